"""Several images of a patient on the canvas: what is shown, what it follows, and that everything comes back."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

from fake_run import FakeRun
from fakes import FakeModel, latent_maps, mammogram
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.canvas.sides import put_texts
from napari_mammosae.viewer.canvas.tools.ruler import Measured
from napari_mammosae.viewer.exam.layers import hang_exam
from napari_mammosae.viewer.intervention.layers import EDITED
from napari_mammosae.viewer.workspace import workspace_of

SIDES, VIEWS = ["L", "L", "R", "R"], ["CC", "MLO", "CC", "MLO"]


def exam_run(folder, *, images=12, days=None, known=True, has_maps=True, phantoms=False):
    """Four images a patient, in the order left CC and MLO, right CC and MLO, all stored with the wall at the left."""
    run = FakeRun(folder, images, has_maps=has_maps)
    count = images // 4
    run.images["patient"] = [f"patient-{row // 4}" for row in range(images)]
    if known:
        run.images["laterality"], run.images["view"] = SIDES * count, VIEWS * count
    if phantoms:
        run.images["image_id"] = [f"phantom-{row:06d}" for row in range(images)]
        run.images["patient"] = [f"phantom-patient-{row // 4:05d}" for row in range(images)]
    if days is not None:
        run.images["patient"], run.images["study_day"] = "patient-0", np.repeat(days, 4)
    return run


@pytest.fixture
def opened(viewer, tmp_path, qtbot):
    """Open a run in a workspace, at an image, as a user would."""

    def opening(row=1, **about):
        workspace = workspace_of(viewer)
        workspace.session.handle = FakeModel()
        workspace.session.run = exam_run(tmp_path, **about)
        workspace.browser.files_of(workspace.session.run).root = tmp_path
        if row is not None:
            workspace.browser.show(row)
            qtbot.waitUntil(lambda: workspace.session.maps is not None)
        return workspace

    return opening


def show(workspace, qtbot, act=None):
    before = workspace.exam.shown
    (act or workspace.toggle_exam)()
    qtbot.waitUntil(lambda: workspace.exam.shown is not before, timeout=15_000)
    qtbot.waitUntil(lambda: not workspace.exam.jobs.busy, timeout=15_000)
    return workspace.exam.shown


def state(viewer):
    grid = viewer.canvas.grid
    shown = [(layer.name, layer.visible) for layer in viewer.layers]
    return shown, grid.enabled, grid.stride, grid.shape, viewer.scene.camera.zoom, viewer.scene.camera.center


def cells(viewer):
    """Layers of each cell of the grid as napari arranges them."""
    boxes = viewer.canvas.grid.iter_viewboxes(viewer.layers)
    return [[viewer.layers[at] for at in inside if viewer.layers[at].visible] for _, inside in boxes]


def names(viewer):
    return [layer.name for layer in owned(viewer).with_role("exam") if layer.name_overlay.visible]


def test_the_four_views_hang_and_everything_comes_back(opened, viewer, qtbot):
    workspace = opened()
    before = state(viewer)
    shown = show(workspace, qtbot)
    assert shown.rows == (0, 1, 2, 3)
    assert names(viewer) == ["R MLO (mirrored)", "L MLO", "R CC (mirrored)", "L CC"]
    assert (viewer.canvas.grid.enabled, viewer.canvas.grid.shape, viewer.canvas.grid.stride) == (True, (2, 2), 2)
    assert all(layer.visible == (owned(viewer).role_of(layer) == "exam") for layer in viewer.layers)
    assert cells(viewer) == [list(cell) for cell in workspace.exam._layers.cells]
    workspace.toggle_exam()
    assert workspace.exam.shown is None
    assert state(viewer) == before
    assert not owned(viewer).with_role("exam")


def test_an_exam_of_unknown_views_hangs_in_the_order_of_the_files(opened, viewer, qtbot):
    workspace = opened(known=False)
    shown = show(workspace, qtbot)
    assert hang_exam(shown) == ((0, 1), (2, 3))
    assert names(viewer) == [f"image image-0{row}" for row in range(4)]


def test_phantoms_hang_properly_though_their_files_do_not_name_their_sides(opened, viewer, qtbot):
    workspace = opened(row=None, known=False, phantoms=True)
    show(workspace, qtbot)
    assert [name.removesuffix(" (mirrored)") for name in names(viewer)] == ["R MLO", "L MLO", "R CC", "L CC"]


def test_one_latent_on_one_scale_over_all_views(opened, viewer, qtbot):
    workspace = opened()
    show(workspace, qtbot)
    run, session = workspace.session.run, workspace.session
    for latent in (7, 5, 3):  # everywhere, on some of the images, silent
        session.current = latent
        top = float(run.dense[:4, ..., latent].max()) or 1.0
        for place, row in enumerate((3, 1, 2, 0)):  # right MLO, left MLO, right CC, left CC
            stack = workspace.exam._layers.cells[place][1]
            assert tuple(stack.contrast_limits) == (0, pytest.approx(top))
            np.testing.assert_array_equal(stack.data, run.dense[row][..., latent])
    session.current = 7
    session.order = Order.by_score(np.arange(64.0), "number")
    viewer.dims.set_point(0, 63 - 5)  # the slider counts in the new order
    for place, row in enumerate((3, 1, 2, 0)):
        stack = workspace.exam._layers.cells[place][1]
        np.testing.assert_array_equal(stack.data, run.dense[row][..., 5])


def bars(workspace):
    """Which places of the grid have a colour bar, where it stands, and whether on a box."""
    found = []
    for place, (_, heat, *_) in enumerate(workspace.exam._layers.cells):
        if heat.visible and heat.colorbar.visible:
            found.append((place, str(heat.colorbar.position), heat.colorbar.box))
    return found


@pytest.mark.parametrize(("text", "beside", "place"), [("right", 0, "top_left"), ("left", 1, "top_right")])
def test_one_colour_bar_stands_for_all_views_in_the_air_away_from_the_text(opened, viewer, qtbot, text, beside, place):
    viewer.canvas.size = (600, 1000)
    workspace = opened()
    put_texts(viewer, text)
    show(workspace, qtbot)
    qtbot.waitUntil(lambda: bars(workspace) == [(beside, place, False)])  # R MLO, or L MLO: outside is air
    assert viewer.canvas.overlays.text.position == f"top_{text}"
    workspace.session.current = 7
    heat = workspace.exam._layers.cells[beside][1]
    assert {tuple(cell[1].contrast_limits) for cell in workspace.exam._layers.cells} == {tuple(heat.contrast_limits)}
    heat.visible = False
    qtbot.waitUntil(lambda: len(bars(workspace)) == 1 and bars(workspace)[0][0] != beside)
    heat.visible = True
    qtbot.waitUntil(lambda: bars(workspace) == [(beside, place, False)])
    mammogram = workspace.exam._layers.cells[beside][0]
    viewer.scene.camera.center = (0.0, *mammogram.extent.world.mean(axis=0))
    viewer.scene.camera.zoom *= 20  # the image fills the cell
    assert bars(workspace) == [(beside, place, True)]
    assert mammogram.name_overlay.box
    workspace.toggle_exam()
    assert not any(layer.colorbar.visible for layer in viewer.layers if owned(viewer).role_of(layer) == "exam")


def test_figures_of_each_view(opened, qtbot):
    workspace = opened()
    show(workspace, qtbot)
    workspace.session.current = 7
    found, dense = workspace.exam.figures(), workspace.session.run.dense
    assert [one.maximum for one in found] == pytest.approx([dense[row, ..., 7].max() for row in range(4)])
    assert [one.cells for one in found] == [(dense[row, ..., 7] > 0).sum() for row in range(4)]
    assert all(one.nipple_distance is not None for one in found)  # the half ellipses have an outermost point


def test_boxes_come_with_the_views_and_stay_away_from_a_blind_judge(opened, viewer, qtbot, tmp_path):
    workspace = opened()
    show(workspace, qtbot)
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\nimage-03,mass,10,20,60,90\nimage-00,mass,1,2,6,9\n")
    workspace.session.findings = read_findings(path)
    cells = workspace.exam._layers.cells
    assert [len(cell[2].data) for cell in cells] == [4, 0, 0, 4]
    first = cells[0][2]  # right MLO is mirrored: columns 10 to 60 of 256 lie at 196 to 246 from the left
    world = np.array([first.data_to_world(start) for start in first.data[:, 0]])
    gap = world[:, 1].min() - (256 - 60 - 0.5)
    assert world[:, 0].min() == 19.5
    assert world[:, 0].max() == 89.5
    assert np.ptp(world[:, 1]) == 50
    assert gap == workspace.exam._layers._fitted[2]
    workspace.session.blind = True
    assert all(len(cell) == 2 for cell in workspace.exam._layers.cells)


def test_next_and_previous_exam(opened, viewer, qtbot):
    workspace = opened(row=None)
    assert show(workspace, qtbot).rows == (0, 1, 2, 3)  # the first one, where no image is open
    layers = list(owned(viewer).with_role("exam"))
    on, back = workspace.next_exam, workspace.previous_exam
    for act, rows in ((on, (4, 5, 6, 7)), (on, (8, 9, 10, 11)), (back, (4, 5, 6, 7))):
        assert show(workspace, qtbot, act).rows == rows
        assert workspace.browser.row in rows
        pixels = [cell[0].data for cell in workspace.exam._layers.cells]
        images = workspace.exam.shown.images
        np.testing.assert_array_equal(pixels, [images[at].ready.pixels for at in (3, 1, 2, 0)])
        assert cells(viewer) == [list(cell) for cell in workspace.exam._layers.cells]
    assert owned(viewer).with_role("exam") == layers  # changed, not made anew
    show(workspace, qtbot, workspace.next_exam)
    workspace.next_exam()
    assert "last exam" in workspace.status.last_told[0]
    workspace.exam.leave()
    assert show(workspace, qtbot, workspace.previous_exam).rows == (4, 5, 6, 7)  # from the single image too


def test_the_exam_follows_the_image(opened, viewer, qtbot):
    workspace = opened(row=3)
    show(workspace, qtbot)
    workspace.browser.show(2)
    qtbot.waitUntil(lambda: workspace.browser.row == 2)
    assert workspace.exam.shown.rows == (0, 1, 2, 3)
    assert show(workspace, qtbot, partial(workspace.browser.show, 4)).rows == (4, 5, 6, 7)
    assert all(layer.visible == (owned(viewer).role_of(layer) == "exam") for layer in viewer.layers)
    workspace.session.run = None
    assert workspace.exam.shown is None
    assert not viewer.canvas.grid.enabled


def test_the_prior_hangs_at_the_right(opened, viewer, qtbot):
    workspace = opened(days=[400, 0, 90])
    exam = workspace.exam
    assert [one.day for one in exam.exams] == [0, 90, 400]
    exam.with_prior = True
    shown = show(workspace, qtbot)  # of the image on the canvas, of the last day
    assert shown.prior.day == 90
    assert viewer.canvas.grid.shape == (2, 4)
    titles = [name.partition(", ") for name in names(viewer)]
    assert [day for _, _, day in titles] == ["day 400", "day 400", "day 90", "day 90"] * 2
    assert [view.removesuffix(" (mirrored)") for view, _, _ in titles] == ["R MLO", "L MLO"] * 2 + ["R CC", "L CC"] * 2
    exam.step(-2)
    qtbot.waitUntil(lambda: exam.shown.exam.day == 0)
    assert exam.shown.prior is None
    assert viewer.canvas.grid.shape == (2, 2)


def test_a_run_without_maps_shows_what_the_model_computes(opened, qtbot):
    workspace = opened(row=None, has_maps=False)
    shown = show(workspace, qtbot)
    assert all(one.ready.maps is not None for one in shown.images)


def test_a_missing_file_leaves_the_canvas_as_it_was(opened, viewer, qtbot, tmp_path):
    workspace = opened()
    before = state(viewer)
    (tmp_path / "image-02.png").unlink()
    workspace.toggle_exam()
    qtbot.waitUntil(lambda: workspace.status.last_told[1])
    assert "image-02.png was not found" in workspace.status.last_told[0]
    assert state(viewer) == before


def test_the_single_image_s_latents_stay_away_until_the_exam_is_left(opened, viewer, qtbot):
    """Their colour bar has another scale: whoever shows them, the story's first step or Enter in the table."""
    workspace = opened()
    stack = workspace.scene.stack_layer
    stack.visible = False
    workspace.editor.start()
    workspace.query.draw("polygon")
    show(workspace, qtbot)
    assert not workspace.editor.editing  # nobody draws what is not seen
    assert workspace.query.layer.mode == "pan_zoom"
    stack.visible = True
    assert not stack.visible
    mine = viewer.add_image(np.zeros((4, 4)), name="mine")
    mine.visible = True
    assert mine.visible  # the user's own layers are the user's
    workspace.exam.leave()
    assert stack.visible


def test_a_layer_of_the_exam_removed_by_hand_ends_it(opened, viewer, qtbot):
    workspace = opened()
    show(workspace, qtbot)
    viewer.layers.remove(workspace.exam._layers.cells[1][1])
    qtbot.waitUntil(lambda: workspace.exam.shown is None)
    assert not owned(viewer).with_role("exam")
    assert not viewer.canvas.grid.enabled
    show(workspace, qtbot)
    viewer.layers.select_all()
    viewer.layers.remove_selected()  # napari goes through a list of them
    qtbot.waitUntil(lambda: workspace.exam.shown is None and not viewer.layers)


def test_from_an_image_outside_the_run_and_left_with_the_grid(opened, viewer, qtbot):
    """The image before goes when the exam's comes; what is said of one image is not said over all."""
    workspace = opened(row=None)
    workspace.session.run, run = None, workspace.session.run
    viewer.add_layer(mammogram_layer(mammogram(7, image_id="mine")))
    model = workspace.session.model
    workspace.session.maps = latent_maps(model, workspace.session.image.frame_for(model.preprocessing))
    workspace.session.run = run
    workspace.intervention.change(source="image", k=3)
    edited = viewer.canvas.overlays[EDITED]
    assert "was" in edited.text
    assert show(workspace, qtbot).rows == (0, 1, 2, 3)
    assert owned(viewer).with_role("exam")
    assert "was" not in edited.text
    assert "disagree" not in edited.text
    viewer.canvas.grid.enabled = False  # by napari's button: views would lie on each other
    assert workspace.exam.shown is None
    assert not owned(viewer).with_role("exam")
    assert "was" in edited.text


def test_without_a_run_it_says_what_to_do(viewer):
    workspace = workspace_of(viewer)
    for act in (workspace.toggle_exam, workspace.next_exam):
        act()
        assert workspace.status.last_told[0].startswith("Open a run")


def drag(viewer, cell, across, down):
    """Drag with the right button from inside a cell of the grid."""
    viewer.cursor.viewbox = cell
    event = SimpleNamespace(button=2, modifiers=(), type="mouse_press", pos=(100, 100), is_dragging=True)
    mouse_press_callbacks(viewer, event)
    event.type, event.pos = "mouse_move", (100 + across, 100 + down)
    mouse_move_callbacks(viewer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(viewer, event)


def limits(workspace):
    return [tuple(cell[0].contrast_limits) for cell in workspace.exam._layers.cells]


def test_a_drag_sets_the_window_of_the_view_under_the_mouse_and_can_be_undone(opened, viewer, qtbot):
    workspace = opened()
    alone = tuple(workspace.scene.image_layer.contrast_limits)
    show(workspace, qtbot)
    before = limits(workspace)
    drag(viewer, (0, 1), 80, 0)
    first = limits(workspace)
    assert [one != other for one, other in zip(first, before, strict=True)] == [False, True, False, False]
    drag(viewer, (1, 0), 0, 60)
    second = limits(workspace)
    assert [one != other for one, other in zip(second, first, strict=True)] == [False, False, True, False]
    workspace.session.blind = not workspace.session.blind  # boxes are drawn anew, the windows stay
    assert limits(workspace) == second
    drag(viewer, None, 80, 80)  # beside the views
    assert limits(workspace) == second
    for act, wanted in ((workspace.actions.undo_window, first), (workspace.actions.undo_window, before)):
        act()
        assert limits(workspace) == wanted
    workspace.actions.redo_window()
    assert limits(workspace) == first
    workspace.toggle_exam()
    assert tuple(workspace.scene.image_layer.contrast_limits) == alone
    workspace.actions.undo_window()  # what was done in the exam is no step of the single image
    assert tuple(workspace.scene.image_layer.contrast_limits) == alone


def test_presets_and_inversion_hold_for_all_views_the_next_exam_and_the_single_image(opened, viewer, qtbot):
    workspace = opened()
    show(workspace, qtbot)
    before = limits(workspace)
    workspace.actions.set_window("Dense tissue")
    workspace.actions.invert()
    dense = limits(workspace)
    assert all(one != other for one, other in zip(dense, before, strict=True))
    show(workspace, qtbot, workspace.next_exam)
    for cell in workspace.exam._layers.cells:
        low, high = cell[0].contrast_limits  # tissue has values from 8,000 to 40,000, evenly
        assert 22_000 < low < 26_000
        assert 39_000 < high < 40_000
        assert cell[0].colormap.name == "gray_r"
    workspace.toggle_exam()
    assert workspace.scene.image_layer.colormap.name == "gray_r"


def test_the_magnifier_looks_at_the_view_under_the_mouse(opened, viewer, qtbot):
    workspace = opened()
    show(workspace, qtbot)
    camera = viewer.scene.camera
    view = workspace.exam._layers.cells[1][0]
    at = np.mean(view.extent.world, axis=0) + np.array([20, 10])
    before = camera.zoom, tuple(camera.center)
    on_screen = (at - camera.center[-2:]) * camera.zoom
    viewer.cursor.viewbox, viewer.cursor.position = (0, 1), (0.0, *at)
    workspace.actions.toggle_magnifier()
    assert camera.zoom == pytest.approx(3 * before[0])
    np.testing.assert_allclose((at - camera.center[-2:]) * camera.zoom, on_screen)
    workspace.actions.toggle_magnifier()
    assert (camera.zoom, tuple(camera.center)) == before


def test_lines_are_measured_on_the_view_under_the_mouse(opened, viewer, qtbot):
    workspace = opened()
    workspace.actions.toggle_ruler()
    (before,) = owned(viewer).with_role("ruler")
    workspace.actions.toggle_ruler()
    show(workspace, qtbot)
    viewer.cursor.viewbox = (0, 1)
    workspace.actions.toggle_ruler()
    places = workspace.exam._layers.cells
    assert cells(viewer) == [list(cell) for cell in places]
    assert viewer.layers.selection.active is places[1][-1]
    viewer.cursor.viewbox = (1, 0)
    ruler = viewer.layers.selection.active
    assert ruler is places[2][-1]
    assert ruler.mode == "add_line"
    ruler.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    assert list(ruler.features["length"]) == ["50 px"]
    workspace.actions.toggle_ruler()
    assert ruler.mode == "pan_zoom"
    assert (before.visible, before.mode) == (False, "pan_zoom")  # of the image, behind the exam
    lines, measured = workspace.actions.ruler.lines, workspace.scene.owned.facts(ruler)["measures"]
    assert list(lines) == [Measured.of(measured)]
    np.testing.assert_array_equal(lines[Measured.of(measured)], [[[10, 10], [40, 50]]])
    viewer.cursor.viewbox = (0, 1)
    assert viewer.layers.selection.active is not places[1][-1]
    show(workspace, qtbot, workspace.next_exam)
    assert not len(ruler.data)
    show(workspace, qtbot, workspace.previous_exam)
    assert [len(cell[-1].data) for cell in places] == [0, 0, 1, 0]
    assert list(places[2][-1].features["length"]) == ["50 px"]
    workspace.toggle_exam()
    assert not owned(viewer).with_role("exam")


def rulers(viewer):
    return [layer for layer in owned(viewer).with_role("exam") if "measures" in owned(viewer).facts(layer)]


def test_lines_go_with_their_image_in_and_out_of_its_exam(opened, viewer, qtbot):
    workspace = opened()
    ruler = workspace.actions.ruler
    workspace.actions.toggle_ruler()
    viewer.layers.selection.active.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    workspace.actions.toggle_ruler()
    here = Measured.of(workspace.session.image)
    show(workspace, qtbot)
    assert cells(viewer) == [list(cell) for cell in workspace.exam._layers.cells]
    (one,) = [layer for layer in rulers(viewer) if len(layer.data)]
    assert owned(viewer).facts(one)["measures"].image_id == here.image_id
    assert list(one.features["length"]) == ["50 px"]
    one.add(np.array([[1.0, 1.0], [1.0, 21.0]]), shape_type="line")
    assert len(ruler.lines[here]) == 2
    workspace.toggle_exam()
    (alone,) = owned(viewer).with_role("ruler")
    assert (alone.visible, list(alone.features["length"])) == (True, ["50 px", "20 px"])
    alone.selected_data = {0, 1}
    alone.remove_selected()
    assert not ruler.lines
    show(workspace, qtbot)
    assert not any(len(layer.data) for layer in rulers(viewer))

"""What the hands do: window and level, magnify, measure, and the scale they are measured on."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from fakes import mammogram
from napari_mammosae.viewer.app.session import Session
from napari_mammosae.viewer.canvas.actions import CanvasActions
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.canvas.scene import Scene
from napari_mammosae.viewer.canvas.tools.scale_bar import BAR, ScaleBar
from napari_mammosae.viewer.canvas.tools.window_drag import follow_right_button


@pytest.fixture
def look(qapp):
    """A viewer that shows a mammogram, with everything that hands can do."""
    viewer = ViewerModel()
    session = Session()
    scene = Scene(viewer, session)
    actions = CanvasActions(scene)
    release, bar = follow_right_button(viewer, actions), ScaleBar(scene)
    image = mammogram(spacing=(0.1, 0.2))
    layer = viewer.add_layer(mammogram_layer(image))
    scene.look_at(layer)
    session.image = image
    yield SimpleNamespace(viewer=viewer, session=session, scene=scene, actions=actions, layer=layer, image=image)
    release()
    bar.cleanup()
    actions.cleanup()
    scene.cleanup()


def drag(viewer, *positions, button=2, modifiers=()):
    event = SimpleNamespace(button=button, modifiers=modifiers, type="mouse_press", pos=positions[0], is_dragging=True)
    mouse_press_callbacks(viewer, event)
    for event.pos in positions[1:]:
        event.type = "mouse_move"
        mouse_move_callbacks(viewer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(viewer, event)


def test_across_is_the_width_and_up_brightens(look):
    low, high = look.layer.contrast_limits
    drag(look.viewer, (100, 100), (200, 100))
    wider = look.layer.contrast_limits
    assert wider[1] - wider[0] > 1.2 * (high - low)
    assert sum(wider) == pytest.approx(low + high)
    assert look.actions.is_by_hand
    drag(look.viewer, (100, 100), (100, 40))  # up: brighter, so the level falls
    assert sum(look.layer.contrast_limits) < sum(wider)
    assert look.viewer.scene.camera.mouse_pan


def test_a_drag_is_one_step_that_can_be_undone_and_redone(look):
    before = tuple(look.layer.contrast_limits)
    drag(look.viewer, (0, 0), (30, 5), (60, 10), (90, 15))
    after = tuple(look.layer.contrast_limits)
    look.actions.undo_window()
    assert tuple(look.layer.contrast_limits) == before
    look.actions.redo_window()
    assert tuple(look.layer.contrast_limits) == after
    look.actions.set_window("Dense tissue")
    look.actions.undo_window()
    assert tuple(look.layer.contrast_limits) == after


@pytest.mark.parametrize("case", ["left button", "Shift", "drawing", "3-D", "no mammogram"])
def test_all_other_drags_are_naparis(look, case):
    if case == "drawing":
        shapes = look.viewer.add_layer(Shapes(ndim=2))
        shapes.mode = "add_rectangle"
    elif case == "3-D":
        look.viewer.dims.ndisplay = 3
    elif case == "no mammogram":
        look.scene.image_layer = None
    before = tuple(look.layer.contrast_limits)
    options = {"left button": {"button": 1}, "Shift": {"modifiers": ("Shift",)}}.get(case, {})
    drag(look.viewer, (0, 0), (90, 60), **options)
    assert tuple(look.layer.contrast_limits) == before


def test_another_image_has_another_history(look):
    drag(look.viewer, (0, 0), (90, 60))
    look.session.image = mammogram(image_id="other")
    shown = tuple(look.layer.contrast_limits)
    look.actions.undo_window()
    assert tuple(look.layer.contrast_limits) == shown
    assert not look.actions.is_by_hand


def test_the_magnifier_keeps_what_is_under_the_mouse(look):
    camera, at = look.viewer.scene.camera, np.array([30.0, 20.0])
    camera.center, camera.zoom = (0.0, 50.0, 40.0), 2.0
    look.viewer.cursor.position = tuple(at)
    on_screen = (at - camera.center[-2:]) * camera.zoom
    look.actions.toggle_magnifier()
    assert camera.zoom == pytest.approx(6.0)
    np.testing.assert_allclose((at - camera.center[-2:]) * camera.zoom, on_screen)
    look.actions.toggle_magnifier()
    assert (camera.zoom, tuple(camera.center[-2:])) == (pytest.approx(2.0), (50.0, 40.0))


def test_lines_are_measured_in_millimetres(look):
    look.actions.toggle_ruler()
    ruler = look.viewer.layers.selection.active
    assert ruler.mode == "add_line"
    ruler.add(np.array([[10.0, 10.0], [40.0, 30.0]]), shape_type="line")  # 3 mm down and 4 mm across
    assert list(ruler.features["length"]) == ["5.0 mm"]
    assert written(ruler) == ["5.0 mm"]
    look.actions.toggle_ruler()
    assert ruler in look.viewer.layers
    assert look.viewer.layers.selection.active is look.layer
    look.session.image = mammogram(image_id="other")
    assert ruler not in look.viewer.layers


def written(ruler):
    return [str(text).strip() for text in ruler.text.values]


@pytest.mark.parametrize(
    ("end", "is_above"),
    [((30, 40), True), ((-30, -40), True), ((30, -40), False), ((-30, 40), False), ((0, 9), True), ((9, 0), True)],
    ids=str,
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_lengths_are_written_beside_their_lines(look, end, is_above, mirrored):
    """A line that falls to the right leaves the room above its right half free, one that rises that below."""
    look.actions.toggle_ruler()
    ruler = look.viewer.layers.selection.active
    ruler.add(np.array([[100.0, 100.0], np.add(end, 100.0)]), shape_type="line")
    if mirrored:
        ruler.affine = np.array([[1.0, 0, 0], [0, -1, 400], [0, 0, 1]])
    (text,) = ruler.text.values
    above, below = (half.strip() for half in str(text).split("\n"))
    upright = 0 in end
    assert bool(above) is ((is_above != mirrored) or upright)
    assert above + below == ruler.features["length"][0]
    assert str(text).strip("\n ") != str(text)


def from_file(name, **facts):
    return replace(mammogram(image_id="image", **facts), path=Path(name))


def line_layers(look):
    return [layer for layer in look.viewer.layers if look.scene.owned.role_of(layer) == "ruler"]


def test_lines_come_back_with_their_image(look):
    first, second = from_file("a.png", spacing=(0.1, 0.1)), from_file("b.png")
    look.session.image = first
    look.actions.toggle_ruler()
    look.viewer.layers.selection.active.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    look.session.image = second  # of another file, called the same
    assert not line_layers(look)
    look.session.image = from_file("a.png", spacing=(0.1, 0.1))  # read once more
    (ruler,) = line_layers(look)
    np.testing.assert_array_equal(ruler.data, [[[10, 10], [40, 50]]])
    assert list(ruler.features["length"]) == written(ruler) == ["5.0 mm"]
    ruler.add(np.array([[1.0, 1.0], [1.0, 11.0]]), shape_type="line")
    ruler.selected_data = {0}
    ruler.remove_selected()
    look.session.image = second
    look.session.image = first
    (ruler,) = line_layers(look)
    assert list(ruler.features["length"]) == ["1.0 mm"]


def test_a_layer_of_lines_that_the_user_removes_does_not_come_back(look):
    image = from_file("a.png")
    look.session.image = image
    look.actions.toggle_ruler()
    look.viewer.layers.selection.active.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    look.viewer.layers.remove(line_layers(look)[0])
    assert not look.actions.ruler.lines
    look.session.image = from_file("b.png")
    look.session.image = image
    assert not line_layers(look)


def test_lines_of_an_image_without_a_file_are_forgotten_with_it(look):
    """Another layer may be called the same."""
    look.actions.toggle_ruler()
    look.viewer.layers.selection.active.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    look.session.image = mammogram(image_id="other")
    look.session.image = mammogram(spacing=(0.1, 0.2))
    assert not line_layers(look)


def test_lines_on_an_image_without_a_scale_are_in_pixels(look):
    look.session.image = mammogram(image_id="other")
    look.actions.toggle_ruler()
    ruler = look.viewer.layers.selection.active
    ruler.add(np.array([[10.0, 10.0], [40.0, 50.0]]), shape_type="line")
    assert list(ruler.features["length"]) == ["50 px"]


def test_the_scale_bar_is_in_millimetres_whatever_the_layers_own_scale(look):
    bar = look.viewer.canvas.overlays[BAR]
    assert (bar.visible, bar.millimetres) == (True, pytest.approx(0.2))
    look.layer.scale = (0.5, 0.5)
    assert bar.millimetres == pytest.approx(0.4)  # a unit of the canvas is two columns
    look.session.image = mammogram(image_id="other")
    assert not bar.visible


@pytest.mark.opengl
def test_on_a_real_canvas_the_right_button_leaves_the_zoom(viewer):
    """The bar is drawn as long as it says, and a drag of the mouse does not reach napari's own zoom."""
    from napari_mammosae.viewer.workspace import workspace_of

    work = workspace_of(viewer)
    image = mammogram(spacing=(0.1, 0.1))
    layer = viewer.add_layer(mammogram_layer(image))
    work.images.use_layer(layer)
    viewer.scene.camera.zoom = 10.0
    canvas = viewer.window._qt_viewer.canvas
    bar = canvas._viewer_overlay_to_visual[viewer.canvas.overlays[BAR]][0]
    value, unit = bar.node.text.text.split()
    assert unit == "mm"
    assert bar._current_length == pytest.approx(float(value) / 0.1 * 10.0)  # screen pixels

    before, events = tuple(layer.contrast_limits), canvas._scene_canvas.events
    events.mouse_press(pos=(200, 200), button=2, modifiers=(), press_event=None)
    press = events.mouse_press(pos=(200, 200), button=2, modifiers=())
    events.mouse_move(pos=(260, 240), button=2, modifiers=(), press_event=press)
    events.mouse_release(pos=(260, 240), button=2, modifiers=(), press_event=press)
    assert tuple(layer.contrast_limits) != before
    assert viewer.scene.camera.zoom == 10.0

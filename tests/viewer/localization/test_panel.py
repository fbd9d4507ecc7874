"""The *Localise* dock without a window: what is chosen, found, said, drawn, undone, kept and saved."""

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QMessageBox

import fakes
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.localization.matching import iou
from napari_mammosae.core.localization.upsampling import upsample
from napari_mammosae.viewer.annotation.files import draft_path, read_draft
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LocalizeDock, ModelDock
from napari_mammosae.viewer.localization.found_boxes import STYLES
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

SHAPE, GRID = (384, 256), (12, 8)
EDGES = ["row_min", "col_min", "row_max", "col_max"]
BLOB, WIDE, SPOTS, SILENT, FLAT = 3, 5, 7, 9, 11


def maps():
    """Latent 3 on the first box, 5 everywhere but peaked there, 7 in four lone cells, 11 constant; 9 is silent."""
    values = np.zeros((4, *GRID), np.float32)
    values[0, 3:6, 2:4] = [[1, 1], [2, 2], [1, 1]]
    rows, cols = np.indices(GRID)
    values[1] = 0.1 + np.exp(-((rows - 4) ** 2 + (cols - 2.5) ** 2) / 6)
    values[2, [1, 1, 9, 10], [1, 6, 1, 6]] = 1, 2, 3, 4
    values[3] = 0.5
    return fakes.maps_of(fakes.FakeModel(), np.array([BLOB, WIDE, SPOTS, FLAT], np.int32), values)


@pytest.fixture
def boxes_csv(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(
        "image,finding,xmin,ymin,xmax,ymax\n"
        "case,mass,64,96,128,192\n"
        "case,suspicious_calcification,200,300,232,330\n"
        "other,mass,1,2,30,40\n"
        "clean,,,,,\n"
    )
    return path


@pytest.fixture
def workspace(qapp, boxes_csv):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    workspace.viewer_for_test = viewer  # a scene holds its viewer weakly
    look_at(workspace, "case")
    workspace.session.findings = read_findings(boxes_csv)
    yield workspace
    workspace.close()


def look_at(workspace, name, **facts):
    image = fakes.mammogram(1, SHAPE, image_id=name, **facts)
    viewer = workspace.scene.viewer
    workspace.images.use_layer(viewer.add_layer(layers.mammogram_layer(image)))
    workspace.session.handle = workspace.session.handle or fakes.FakeModel(preprocessing=Preprocessing(size=SHAPE))
    workspace.session.maps = maps()
    workspace.session.current = BLOB


@pytest.fixture
def dock(qtbot, workspace):
    dock = LocalizeDock(workspace.scene.viewer)
    qtbot.addWidget(dock)
    settled(qtbot, dock)
    yield dock
    dock.cleanup()
    for jobs in (dock.localizer.jobs, dock.run.measures.jobs, dock.editor.jobs):
        qtbot.waitUntil(lambda jobs=jobs: not jobs.busy, timeout=10_000)


def settled(qtbot, dock):
    localizer = dock.localizer
    qtbot.waitUntil(lambda: not localizer.outline.jobs.busy and not is_due(localizer._later), timeout=10_000)


def found_layer(dock):
    return dock.workspace.scene.owned.find("found")


def choose(qtbot, dock, **changes):
    from dataclasses import replace

    dock.localizer.choice = replace(dock.localizer.choice, **changes)
    settled(qtbot, dock)


def texts(dock):
    tree = dock.boxes.list
    return [[tree.topLevelItem(i).text(c) for c in range(5)] for i in range(tree.topLevelItemCount())]


# Found boxes


def test_boxes_of_the_current_latent_lie_where_the_core_finds_them(qtbot, dock):
    regions = find_regions(maps()[BLOB], SHAPE, "quantile:0.95")
    layer = found_layer(dock)
    assert layer.features["fate"].tolist() == ["hit"]
    corners = layer.data[0]
    np.testing.assert_allclose([*corners.min(axis=0), *corners.max(axis=0)], regions.boxes[0] - 0.5)
    overlap = iou(regions.boxes, [[96, 64, 192, 128]])[0, 0]
    assert texts(dock)[0][:2] == ["mass: found", f"{overlap:.2f}"]
    assert texts(dock)[1][0] == "true positive"
    assert dock.boxes.values["mean_best_iou"].text() == f"{overlap:.2f}"
    assert dock.boxes.values["recall"].text() == "1.00"


def test_only_boxes_of_the_chosen_finding_count(qtbot, dock):
    box = dock.choice.finding_box
    assert box.currentData() == "mass"
    box.setCurrentIndex(box.findData("suspicious_calcification"))
    box.activated.emit(box.currentIndex())
    settled(qtbot, dock)
    assert found_layer(dock).features["fate"].tolist() == ["false", "missed"]
    assert [row[0] for row in texts(dock)] == ["suspicious calcification: missed", "false positive"]
    box.setCurrentIndex(0)
    box.activated.emit(0)
    settled(qtbot, dock)
    assert [row[0] for row in texts(dock)] == ["mass: found", "suspicious calcification: missed", "true positive"]


def test_fates_differ_in_colour_and_in_line(qtbot, dock):
    dock.workspace.session.current = SPOTS
    settled(qtbot, dock)
    layer = found_layer(dock)
    kinds = dict(zip(layer.features["fate"], zip(layer.shape_type, layer.edge_width, strict=True), strict=True))
    assert set(kinds) == {"false", "missed"}
    assert kinds["missed"][0] == "path"
    assert len(set(kinds.values())) == 2
    assert len({style.color for style in STYLES.values()}) == len(STYLES)
    assert len({(style.width, style.double) for style in STYLES.values()}) == len(STYLES)


def test_shapes_keep_their_own_widths_when_there_are_more_and_fewer(qtbot, dock):
    for latent, kinds in ((SPOTS, 5), (BLOB, 1), (SPOTS, 5), (SILENT, 1), (BLOB, 1)):
        dock.workspace.session.current = latent
        settled(qtbot, dock)
        layer = found_layer(dock)
        assert layer.nshapes == kinds
        line = SHAPE[0] / 300
        assert layer.edge_width == [line * STYLES[fate].width for fate in layer.features["fate"]]
        assert len(layer.features) == kinds


@pytest.mark.parametrize("kind", ["quantile", "relative", "absolute"])
def test_the_slider_the_box_and_the_line_are_one(qtbot, dock, kind):
    dock.workspace.session.current = WIDE
    settled(qtbot, dock)
    choice = dock.choice
    at = choice.kind_box.findData(kind)
    choice.kind_box.setCurrentIndex(at)
    choice.kind_box.activated.emit(at)
    settled(qtbot, dock)
    choice.slider.setValue(400)
    settled(qtbot, dock)
    top = {"absolute": dock.localizer.current.scope.values.maximum}.get(kind, 1.0)
    assert dock.localizer.choice.value == pytest.approx(0.4 * top)
    assert choice.value_box.value() == pytest.approx(0.4 * top, abs=1e-3)
    heat = upsample(maps()[WIDE], SHAPE)
    level = {"quantile": np.quantile(heat, 0.4), "relative": 0.4 * heat.max(), "absolute": 0.4 * top}[kind]
    assert choice.plot.line.value() == pytest.approx(level, rel=1e-3)
    choice.plot.line.setValue(0.7)
    choice.plot.line.sigDragged.emit(choice.plot.line)
    settled(qtbot, dock)
    expected = {"quantile": (heat <= 0.7).mean(), "relative": 0.7 / heat.max(), "absolute": 0.7}[kind]
    assert dock.localizer.choice.value == pytest.approx(expected, abs=0.01)
    assert dock.localizer.current.boxes.regions.level == pytest.approx(0.7, abs=0.02)
    assert choice.slider.value() == pytest.approx(1000 * expected / top, abs=12)


def test_another_kind_keeps_the_boxes(qtbot, dock):
    dock.workspace.session.current = WIDE
    settled(qtbot, dock)
    before = dock.localizer.current.found
    choice = dock.choice
    for kind in ("absolute", "relative", "quantile"):
        at = choice.kind_box.findData(kind)
        choice.kind_box.setCurrentIndex(at)
        choice.kind_box.activated.emit(at)
        settled(qtbot, dock)
        np.testing.assert_allclose(dock.localizer.current.found, before, atol=2)


def test_moving_the_threshold_reads_no_heatmap_again(qtbot, dock):
    scope = dock.localizer.current.scope
    choose(qtbot, dock, value=0.9)
    assert dock.localizer.current.scope is scope
    choose(qtbot, dock, iou=0.9)
    assert dock.localizer.current.scope is scope
    assert found_layer(dock).features["fate"].tolist() == ["false", "missed"]


# What has no number is said in words


def test_a_quantile_of_zero_is_said(qtbot, dock):
    dock.workspace.session.current = SPOTS
    choose(qtbot, dock, value=0.5)
    assert "The quantile is 0: the mask is every pixel above zero." in dock.boxes.note.text()


def test_a_silent_latent_is_said(qtbot, dock):
    dock.workspace.session.current = SILENT
    settled(qtbot, dock)
    assert "silent on this image" in dock.boxes.note.text()
    assert dock.boxes.values["energy"].text() == "none"
    assert "silent" in dock.boxes.reasons.text()
    assert dock.boxes.values["pointing"].text() == "0.00"
    assert not any("nan" in row for line in texts(dock) for row in line)


def test_an_image_without_boxes_and_one_nobody_annotated(qtbot, dock):
    look_at(dock.workspace, "clean")
    settled(qtbot, dock)
    assert "No box of mass on this image: every found box is a false positive." in dock.boxes.note.text()
    assert found_layer(dock).features["fate"].tolist() == ["false"]
    assert "no annotated box on this image" in dock.boxes.reasons.text()
    look_at(dock.workspace, "unheard of")
    settled(qtbot, dock)
    assert "This image is not annotated" in dock.boxes.note.text()
    assert found_layer(dock).features["fate"].tolist() == ["unjudged"]
    assert dock.boxes.values["precision"].text() == "none"


def test_everything_shown_is_a_number_or_a_word(qtbot, dock):
    for latent in (BLOB, WIDE, SPOTS, SILENT, FLAT):
        for value in (0.0, 0.5, 1.0):
            dock.workspace.session.current = latent
            choose(qtbot, dock, value=value)
            shown = [label.text() for label in dock.boxes.values.values()]
            assert "nan" not in " ".join(shown)
            missing = sum(text == "none" for text in shown)
            assert (missing > 0) == bool(dock.boxes.reasons.text())


def test_boxes_for_an_image_of_another_size_are_a_problem_that_is_said(qtbot, dock, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax,height,width\ncase,mass,1,2,30,40,1000,900\n")
    dock.workspace.session.findings = read_findings(path)
    settled(qtbot, dock)
    assert "1000 x 900" in dock.boxes.note.text()
    assert found_layer(dock).nshapes == 0


def test_before_there_is_anything_it_says_what_to_do(qtbot, qapp):
    viewer = ViewerModel()
    dock = LocalizeDock(viewer)
    qtbot.addWidget(dock)
    assert "Open a mammogram first" in dock.boxes.note.text()
    assert not dock.draw.edit_button.isEnabled()
    dock.draw.edit_button.click()
    dock.cleanup()
    dock.workspace.close()


def test_the_breast_is_outlined_for_the_lift(qtbot, dock):
    lift = float(dock.boxes.values["lift"].text())
    image = dock.workspace.session.image
    assert dock.boxes.values["share_outside"].text() != ""
    assert lift > 1
    assert dock.localizer.outline.image is image


def test_sizes_are_in_millimetres_when_the_spacing_is_known(qtbot, dock):
    look_at(dock.workspace, "case", spacing=(0.1, 0.2))
    settled(qtbot, dock)
    assert texts(dock)[0][3] == "9.6 × 12.8 mm"
    assert texts(dock)[0][4].endswith(" mm")
    regions = find_regions(maps()[BLOB], SHAPE, "quantile:0.95")
    top, left, bottom, right = regions.boxes[0]
    area = regions.area[0] * 0.02
    assert texts(dock)[1][3] == f"{(bottom - top) * 0.1:.1f} × {(right - left) * 0.2:.1f} mm"
    boxes = dock.boxes.list
    assert boxes.topLevelItem(1).toolTip(3).endswith(f" mm, {area:,.0f} mm²")
    dock.resize(400, 700)
    header, letters = boxes.header(), boxes.fontMetrics()
    assert letters.horizontalAdvance(texts(dock)[1][3]) < boxes.columnWidth(3)
    assert header.sectionPosition(4) + letters.horizontalAdvance("To nipple") < boxes.viewport().width()


# The layer


def test_deleting_the_layer_is_a_wish_and_can_be_taken_back(qtbot, dock):
    viewer = dock.workspace.scene.viewer
    viewer.layers.remove(found_layer(dock))
    assert not dock.choice.drawn_box.isChecked()
    choose(qtbot, dock, value=0.5)
    assert found_layer(dock) is None
    dock.choice.drawn_box.setChecked(True)
    assert found_layer(dock).nshapes > 0


def test_the_layer_lies_with_the_image(qtbot, dock):
    viewer = dock.workspace.scene.viewer
    owned(viewer).find("mammogram").scale = (0.5, 2.0)
    np.testing.assert_allclose(found_layer(dock).data_to_world((10, 10)), (5, 20))


def test_closing_the_dock_keeps_the_found_boxes_and_the_choice(qtbot, workspace):
    dock = LocalizeDock(workspace.scene.viewer)
    settled(qtbot, dock)
    choose(qtbot, dock, value=0.1, kind="relative")
    dock.cleanup()
    dock.deleteLater()
    qtbot.wait(20)
    assert workspace.scene.owned.find("found") is not None
    workspace.session.current = SPOTS
    qtbot.waitUntil(lambda: not is_due(workspace.localizer._later))
    assert workspace.scene.owned.find("found").nshapes == 5
    again = LocalizeDock(workspace.scene.viewer)
    qtbot.addWidget(again)
    settled(qtbot, again)
    assert again.choice.kind_box.currentData() == "relative"
    assert again.choice.value_box.value() == 0.1
    assert found_layer(again).nshapes == 5
    again.cleanup()


def test_other_maps_of_another_image_leave_no_old_boxes(qtbot, dock):
    dock.workspace.session.image = None
    settled(qtbot, dock)
    assert found_layer(dock).nshapes == 0
    assert texts(dock) == []


def test_jumping_to_a_box(qtbot, dock):
    viewer = dock.workspace.scene.viewer
    tree = dock.boxes.list
    tree.setCurrentItem(tree.topLevelItem(0))
    np.testing.assert_allclose(viewer.scene.camera.center[1:], (143.5, 95.5))
    zoom = viewer.scene.camera.zoom
    tree.itemActivated.emit(tree.topLevelItem(0), 0)
    assert viewer.scene.camera.zoom != zoom
    viewer.scene.camera.center = (0, 0, 0)  # away, and back by a click on the row that is still selected
    qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=tree.visualItemRect(tree.topLevelItem(0)).center())
    np.testing.assert_allclose(viewer.scene.camera.center[1:], (143.5, 95.5))


def test_latents_that_hit_a_box_come_first(qtbot, dock):
    session = dock.workspace.session
    session.current = SPOTS
    settled(qtbot, dock)
    button = dock.actions_part.hits_button
    assert not button.isEnabled()
    dock.boxes.list.setCurrentItem(dock.boxes.list.topLevelItem(0))
    assert button.isEnabled()
    button.click()
    qtbot.waitUntil(lambda: session.order.name.startswith("IoU with"), timeout=5000)
    box = [[96, 64, 192, 128]]
    expected = {n: iou(find_regions(maps()[n], SHAPE).boxes, box).max(initial=0) for n in (BLOB, WIDE, SPOTS, FLAT)}
    ranked = sorted(expected, key=lambda n: (-expected[n], n))
    assert session.order.latents[:4].tolist() == ranked
    assert session.current == ranked[0]
    for latent, value in expected.items():
        assert session.order.scores[latent] == pytest.approx(value)
    assert "hit the mass box" in dock.actions_part.status.text()
    dock.editor.start()
    dock.editor.remove(0)
    assert "IoU" not in dock.workspace.scene.viewer.canvas.overlays.text.text  # with a box that is gone
    dock.editor.undo()
    dock.editor.stop()
    dock.localizer.order_by_box(dock.localizer.current.rows[0].edges, "the mass box")
    qtbot.waitUntil(lambda: session.order.name.startswith("IoU with"), timeout=5000)
    look_at(dock.workspace, "other")
    assert "IoU" not in dock.workspace.scene.viewer.canvas.overlays.text.text


# Drawing


def edit(dock):
    dock.draw.edit_button.click()
    return dock.workspace.scene.owned.find("truth")


def drawn(layer, box):
    """What napari does when a rectangle was drawn with the mouse."""
    layer.mode = "add_rectangle"
    layer.add(layers.rectangles(np.array(box, float)), shape_type="rectangle")


def boxes_of(dock):
    image = dock.workspace.session.image
    return dock.workspace.session.findings.boxes(image.image_id, shape=image.shape)


def test_a_drawn_box_becomes_an_annotation_with_the_chosen_finding(qtbot, dock):
    layer = edit(dock)
    assert dock.draw.draw_button.isChecked()
    dock.draw.finding_box.setEditText("Focal asymmetry")
    dock.draw.finding_box.lineEdit().editingFinished.emit()
    drawn(layer, [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    table = boxes_of(dock)
    assert table["finding"].tolist() == ["mass", "suspicious_calcification", "focal_asymmetry"]
    np.testing.assert_allclose(table[EDGES].to_numpy()[2], [10, 20, 60, 90])
    assert dock.workspace.scene.owned.find("truth") is layer
    assert layer.features["finding"].tolist()[-1] == "focal asymmetry"
    assert len(dock.workspace.session.findings.boxes("other")) == 1
    assert "Not saved" in dock.draw.state.text()
    assert layer.mode == "add_rectangle"


def test_figures_follow_what_is_drawn(qtbot, dock):
    dock.workspace.session.current = SPOTS
    layer = edit(dock)
    drawn(layer, [304, 192, 352, 224])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    settled(qtbot, dock)
    assert "hit" in found_layer(dock).features["fate"].tolist()
    assert [row[0] for row in texts(dock)[:2]] == ["mass: missed", "mass: found"]


def test_moving_turning_and_reaching_out_is_made_upright_and_clipped(qtbot, dock):
    layer = edit(dock)
    turned = np.array([[-20.0, 50.0], [30.0, 100.0], [80.0, 50.0], [30.0, 0.0]])
    layer.mode = "select"
    layer.data = [turned, layer.data[1]]
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 2 and boxes_of(dock)["row_min"].iloc[0] == 0)
    np.testing.assert_allclose(boxes_of(dock)[EDGES].to_numpy()[0], [0, 0.5, 80.5, 100.5])
    qtbot.waitUntil(lambda: np.isclose(layer.data[0].min(), -0.5))
    assert "clipped" in dock.actions_part.status.text()


def test_a_click_without_a_drag_draws_nothing(qtbot, dock):
    layer = edit(dock)
    drawn(layer, [10, 10, 11, 11])
    qtbot.waitUntil(lambda: layer.nshapes == 2)
    assert len(boxes_of(dock)) == 2
    assert not dock.draw.undo_button.isEnabled()


def test_finding_and_note_of_the_selected_box(qtbot, dock):
    layer = edit(dock)
    dock.draw.select_button.click()
    layer.selected_data = {1}
    assert dock.draw.box == 1
    assert dock.draw.finding_box.currentText() == "suspicious calcification"
    dock.draw.note_edit.setText("coarse, two views")
    dock.draw.note_edit.editingFinished.emit()
    dock.draw.finding_box.setEditText("asymmetry")
    dock.draw.finding_box.lineEdit().editingFinished.emit()
    table = boxes_of(dock)
    assert table["finding"].tolist() == ["mass", "asymmetry"]
    assert table["note"].tolist()[1] == "coarse, two views"
    assert layer.features["note"].tolist()[1] == "coarse, two views"
    assert dock.draw.box == 1


def test_undo_and_redo_step_by_step(qtbot, dock):
    layer = edit(dock)
    before = boxes_of(dock)
    drawn(layer, [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    layer.mode = "select"
    layer.selected_data = {0}
    dock.draw.remove_button.click()
    assert len(boxes_of(dock)) == 2
    dock.draw.undo_button.click()
    assert len(boxes_of(dock)) == layer.nshapes == 3
    dock.draw.undo_button.click()
    pd.testing.assert_frame_equal(boxes_of(dock)[["finding", *EDGES]], before[["finding", *EDGES]])
    assert not dock.draw.undo_button.isEnabled()
    dock.draw.redo_button.click()
    dock.draw.redo_button.click()
    assert len(boxes_of(dock)) == layer.nshapes == 2
    assert not dock.draw.redo_button.isEnabled()


def test_deleting_on_the_image(qtbot, dock):
    layer = edit(dock)
    layer.mode = "select"
    layer.selected_data = {0, 1}
    layer.remove_selected()
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 0)
    settled(qtbot, dock)
    assert "No box of mass" in dock.boxes.note.text() or "No annotated box" in dock.boxes.note.text()
    dock.draw.undo_button.click()
    assert layer.nshapes == 2
    assert layer.features["finding"].tolist() == ["mass", "suspicious calcification"]


def test_drawing_where_nothing_was_annotated(qtbot, dock):
    dock.workspace.session.findings = None
    settled(qtbot, dock)
    layer = edit(dock)
    assert layer is not None
    drawn(layer, [96, 64, 192, 128])
    qtbot.waitUntil(lambda: dock.workspace.session.findings is not None)
    settled(qtbot, dock)
    assert dock.workspace.session.findings.names == ("mass",)
    assert found_layer(dock).features["fate"].tolist() == ["hit"]


def test_looking_again_ends_the_drawing(qtbot, dock):
    layer = edit(dock)
    dock.draw.edit_button.click()
    assert not layer.editable
    assert not dock.editor.editing
    dock.draw.edit_button.click()
    look_at(dock.workspace, "clean")
    assert not dock.editor.editing
    assert not dock.draw.edit_button.isChecked()


# Drafts and files


def save_as(monkeypatch, path, chosen="Plain CSV (*.csv)", replace=True):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **options: (str(path), chosen))
    asked = []
    answer = QMessageBox.StandardButton.Yes if replace else QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *args: asked.append(args[-1]) or answer)
    return asked


def saved(qtbot, dock):
    dock.draw.save_button.click()
    qtbot.waitUntil(lambda: not dock.editor.jobs.busy, timeout=10_000)


@pytest.mark.parametrize(("name", "chosen"), [("out.csv", "Plain CSV (*.csv)"), ("out", "Plain CSV (*.csv)")])
def test_saved_boxes_are_read_again_with_notes_and_empty_images(qtbot, dock, monkeypatch, tmp_path, name, chosen):
    layer = edit(dock)
    drawn(layer, [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    dock.editor.set_note(2, "seen late")
    asked = save_as(monkeypatch, tmp_path / name, chosen)
    saved(qtbot, dock)
    assert asked == []
    again = read_findings(tmp_path / "out.csv")
    mine = again.boxes("case")
    np.testing.assert_allclose(mine[EDGES].to_numpy()[2], [10, 20, 60, 90])
    assert mine["note"].tolist()[2] == "seen late"
    assert set(again.images.index) == {"case", "other", "clean"}
    assert "out.csv.json" in {path.name for path in tmp_path.iterdir()}
    assert not dock.draw.state.isVisibleTo(dock.draw)
    assert "saved in out.csv" in dock.actions_part.status.text()


def test_coco_needs_sizes_and_says_so(qtbot, dock, monkeypatch, tmp_path):
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    save_as(monkeypatch, tmp_path / "out.json")
    saved(qtbot, dock)
    assert "that of other is not given" in dock.actions_part.status.text()
    assert not (tmp_path / "out.json").exists()
    assert dock.editor.unsaved


def test_coco_of_what_was_drawn(qtbot, dock, monkeypatch, tmp_path):
    dock.workspace.session.findings = None
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: dock.workspace.session.findings is not None)
    save_as(monkeypatch, tmp_path / "out", "COCO JSON (*.json)")
    saved(qtbot, dock)
    again = read_findings(tmp_path / "out.json")
    np.testing.assert_allclose(again.boxes("case", shape=SHAPE)[EDGES].to_numpy()[0], [10, 20, 60, 90])


def test_never_over_a_file_without_asking(qtbot, dock, monkeypatch, boxes_csv):
    before = boxes_csv.read_text()
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    asked = save_as(monkeypatch, boxes_csv, replace=False)
    saved(qtbot, dock)
    assert len(asked) == 1
    assert "boxes.csv" in asked[0]
    assert boxes_csv.read_text() == before
    assert dock.editor.unsaved
    save_as(monkeypatch, boxes_csv)
    saved(qtbot, dock)
    assert len(read_findings(boxes_csv).boxes("case")) == 3
    assert not dock.editor.unsaved


def test_boxes_left_unsaved_for_another_table_are_said_and_offered(qtbot, dock, boxes_csv, tmp_path):
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    other = tmp_path / "other.csv"
    other.write_text("image,finding,xmin,ymin,xmax,ymax\ncase,mass,1,2,30,40\n")
    dock.workspace.images.load_boxes(other)
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 1, timeout=20_000)
    text, _ = dock.workspace.status.last_told
    assert text.startswith("other.csv: 1 box of 1 image. ")
    assert text.endswith("Unsaved boxes on case are kept as drafts: open the image and press Restore.")
    dock.draw.restore_button.click()
    assert len(boxes_of(dock)) == 3


def test_an_unsaved_box_outlives_the_viewer(qtbot, dock, boxes_csv):
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    assert len(read_draft("case", SHAPE).boxes) == 3
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    workspace.viewer_for_test = viewer
    look_at(workspace, "case")
    workspace.session.findings = read_findings(boxes_csv)
    other = LocalizeDock(viewer)
    qtbot.addWidget(other)
    settled(qtbot, other)
    assert other.draw.draft.isVisibleTo(other.draw)
    assert "3 boxes on this image, left unsaved" in other.draw.draft_text.text()
    other.draw.restore_button.click()
    assert len(boxes_of(other)) == 3
    assert not other.draw.draft.isVisibleTo(other.draw)
    other.draw.undo_button.click()
    assert len(boxes_of(other)) == 2
    other.cleanup()
    workspace.close()


def test_a_draft_that_is_not_wanted_is_gone(qtbot, dock):
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: len(boxes_of(dock)) == 3)
    dock.workspace.session.findings = None  # as another table that is loaded
    assert dock.editor.draft is not None
    dock.draw.discard_button.click()
    assert not draft_path("case", SHAPE).exists()


def test_a_draft_that_cannot_be_kept_is_told(qtbot, dock, monkeypatch):
    from napari_mammosae.viewer.annotation import controller

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(controller, "keep_draft", full)
    drawn(edit(dock), [10, 20, 60, 90])
    qtbot.waitUntil(lambda: "No draft could be kept" in dock.actions_part.status.text())
    assert len(boxes_of(dock)) == 3


# The figure


def test_the_figure_is_written_with_its_provenance(qtbot, dock, monkeypatch, tmp_path):
    save_as(monkeypatch, tmp_path / "figure", "SVG (*.svg)")
    dock.actions_part.figure_button.click()
    qtbot.waitUntil(lambda: not dock.localizer.jobs.busy, timeout=60_000)
    text = (tmp_path / "figure.svg").read_text()
    for word in (f"latent {BLOB}", "mean", "research use only", "model fake", "mass"):
        assert word in text, word
    assert (tmp_path / "figure.svg.json").exists()


def test_the_dock_fits_a_laptop(qtbot, dock):
    hint = dock.minimumSizeHint()
    assert hint.height() <= 480
    assert hint.width() <= 400


@pytest.mark.parametrize("edges", [["300,10,200,40"], ["900,900,950,950"], ["300,10,200,40", "900,900,950,950"]])
def test_an_image_whose_boxes_are_all_unusable_makes_nothing_wrong(qtbot, workspace, tmp_path, edges):
    path = tmp_path / "bad.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\n" + "".join(f"case,mass,{one}\n" for one in edges))
    workspace.session.findings = read_findings(path)
    dock, model_dock = LocalizeDock(workspace.scene.viewer), ModelDock(workspace.scene.viewer)
    for one in (dock, model_dock):
        qtbot.addWidget(one)
    settled(qtbot, dock)
    assert set(found_layer(dock).features["fate"]) == {"unjudged"}
    assert model_dock.image.boxes_label.text() == "none on this image"
    look_at(workspace, "clean")  # not named by the file
    settled(qtbot, dock)
    assert set(found_layer(dock).features["fate"]) == {"unjudged"}


# Judging blind


def test_a_blind_judge_sees_what_is_found_and_nothing_of_what_is_annotated(qtbot, dock):
    session = dock.workspace.session
    choose(qtbot, dock, finding="suspicious_calcification")
    session.current = SPOTS
    settled(qtbot, dock)
    before = texts(dock)
    assert "missed" in found_layer(dock).features["fate"].tolist()
    session.blind = True
    assert set(found_layer(dock).features["fate"]) == {"unjudged"}
    assert not any(found_layer(dock).features["label"])
    assert {row[0] for row in texts(dock)} == {STYLES["unjudged"].title}
    assert not any(row.annotated for row in dock.localizer.current.rows)
    look_at(dock.workspace, "other")
    settled(qtbot, dock)
    assert dock.localizer.choice.finding == "suspicious_calcification"
    assert set(found_layer(dock).features["fate"]) == {"unjudged"}
    look_at(dock.workspace, "case")
    session.current = SPOTS
    session.blind = False
    settled(qtbot, dock)
    assert texts(dock) == before


def test_other_images_than_mammograms_have_no_measures_of_a_breast(qtbot, dock):
    names = {label.text() for label in dock.boxes.findChildren(QLabel) if not label.isHidden()}
    assert {"Lift", "Pectoral", "Outside breast", "Markers", "Skin line", "Energy in box"} <= names
    chest = Preprocessing(size=SHAPE, breast=False)
    dock.workspace.session.handle = fakes.FakeModel(preprocessing=chest)
    dock.boxes.refresh()
    names = {label.text() for label in dock.boxes.findChildren(QLabel) if not label.isHidden()}
    assert not {"Lift", "Pectoral", "Outside breast", "Markers", "Skin line"} & names
    assert {"Energy in box", "Lift, image", "Recall"} <= names

"""Closing a dock changes nothing but what is seen, in whatever state it is; opened again it shows the same."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QListView,
    QSpinBox,
    QTableView,
    QWidget,
)

from in_process import handle_of
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.viewer import docks
from napari_mammosae.viewer.app.jobs import Jobs
from napari_mammosae.viewer.context import Context, Controller
from napari_mammosae.viewer.image.panels.model import FILES
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.widgets.column_table import ColumnTable
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle, open_run_in
from waiting import Delayed, is_due

ALL = [getattr(docks, name) for name in dir(docks) if name.endswith("Dock")]


# What the session, the canvas and the controllers say


def plain(value, depth=0):
    """A value that can be compared: by content where that is known, else by identity."""
    if value is None or isinstance(value, str | int | float | bool | Path):
        return value
    if isinstance(value, np.ndarray):
        content = tuple(map(str, value.ravel())) if value.dtype == object else value.tobytes()
        return value.dtype.str, value.shape, content
    if isinstance(value, pd.DataFrame):
        return value.to_csv()
    if isinstance(value, list | tuple):
        return tuple(plain(one, depth) for one in value)
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, dict):
        return {str(key): plain(one, depth) for key, one in value.items()}
    if isinstance(value, ColumnTable):
        return plain({k: v for k, v in vars(value).items() if not k.startswith("_")}, depth)
    if isinstance(value, Controller) and depth < 2:
        return facts(value, depth + 1)
    if is_dataclass(value) and type(value).__eq__ is not object.__eq__:
        return {field.name: plain(getattr(value, field.name), depth) for field in fields(value)}
    return id(value)


def facts(one, depth=0):
    mute = (QTimer, Delayed, Jobs, Context)
    return {key: plain(value, depth) for key, value in vars(one).items() if not isinstance(value, mute)}


def of_layer(layer, role):
    data = layer.data if isinstance(layer.data, np.ndarray | list) else None
    extra = tuple(getattr(layer, name, None) for name in ("mode", "editable"))
    return (
        id(layer), layer.name, layer.visible, role, layer.opacity, tuple(map(str, extra)),
        plain(np.asarray(layer.affine.affine_matrix)), plain(data),
        tuple(getattr(layer, "selected_data", ())) if hasattr(layer, "nshapes") else (),
    )  # fmt: skip


def said(workspace):
    viewer = workspace.scene.viewer
    camera, grid = viewer.scene.camera, viewer.canvas.grid
    made = {name: one for name, one in vars(workspace).items() if isinstance(one, Controller)}
    return {
        "session": {key: plain(value) for key, value in vars(workspace.session).items() if key != "events"},
        "layers": [of_layer(layer, workspace.scene.owned.role_of(layer)) for layer in viewer.layers],
        "active": id(viewer.layers.selection.active),
        "view": (tuple(camera.center), camera.zoom, grid.enabled, grid.stride, tuple(viewer.dims.point)),
        "texts": {
            key: (overlay.text, overlay.visible) for key, overlay in viewer.canvas.overlays.items()
            if hasattr(overlay, "text")
        },
        "window": workspace.actions.window,
        **{name: facts(one) for name, one in made.items()},
    }  # fmt: skip


# What a dock shows


def cells(view):
    model = view.model()
    columns = range(1 if isinstance(view, QListView) else min(model.columnCount(), 8))
    hidden = [isinstance(view, QTableView) and view.isColumnHidden(column) for column in columns]
    texts = [
        [model.data(model.index(line, column), Qt.ItemDataRole.DisplayRole) for column in columns]
        for line in range(min(model.rowCount(), 5))
    ]
    return model.rowCount(), hidden, texts, view.currentIndex().row()


def look(widget):
    """What a user sees of a widget, None for one without a content of its own."""
    if isinstance(widget, QComboBox):
        return [widget.itemText(at) for at in range(widget.count())], widget.currentText()
    if isinstance(widget, QSpinBox | QDoubleSpinBox | QAbstractSlider):
        return widget.value(), widget.minimum(), widget.maximum()
    if isinstance(widget, QLineEdit | QLabel):
        return widget.text()
    if isinstance(widget, QAbstractButton):
        return widget.text(), widget.isChecked()
    return cells(widget) if isinstance(widget, QAbstractItemView) else None


def shown(dock):
    inner = ("QScrollBar", "QHeaderView", "QTableCornerButton", "QComboBoxPrivateContainer", "QComboBoxListView")
    found = []
    for widget in dock.findChildren(QWidget):
        kind = widget.metaObject().className()
        if kind not in inner and not widget.objectName().startswith("qt_") and (seen := look(widget)) is not None:
            found.append((kind, widget.isVisibleTo(dock), widget.isEnabledTo(dock), seen))
    return found


# Waiting, opening, closing


def busy(one, seen):
    if id(one) in seen:
        return False
    seen.add(id(one))
    for key, value in vars(one).items():
        if isinstance(value, Jobs) and value.busy:
            return True
        if isinstance(value, Delayed) and is_due(value) and key != "_pause":
            return True
        if (isinstance(value, Controller) or key == "outline") and busy(value, seen):
            return True
    return False


def settle(qtbot, workspace, *parts):
    def quiet():
        seen = set()
        owners = [workspace, *(one for one in vars(workspace).values() if isinstance(one, Controller)), *parts]
        return not any(busy(one, seen) for one in owners)

    for _ in range(3):  # what ends may begin something else
        qtbot.waitUntil(quiet, timeout=60_000)
        QApplication.processEvents()


def parts_of(dock):
    detail = getattr(dock, "detail", None)
    return [dock] if detail is None else [dock, detail, detail.gallery]


def opened(qtbot, kind, workspace):
    dock = kind(workspace.scene.viewer)
    dock.resize(360, 700)
    dock.show()
    settle(qtbot, workspace, *parts_of(dock))
    return dock


def closed(dock):
    """As a click on a dock's cross does: nothing is told, the widget is destroyed."""
    dock.hide()
    dock.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    QApplication.processEvents()


@pytest.fixture
def at_work(qtbot, viewer, run_path, tiny_model, tmp_path):
    """A run with labels, maps and boxes, its model, and an image with its latents."""
    workspace = workspace_of(viewer)
    (tmp_path / "boxes.csv").write_text(
        "image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,60,150,120,220\nimage-003,mass,20,100,90,180\n"
    )
    open_run_in(qtbot, workspace, run_path)
    workspace.session.findings = read_findings(tmp_path / "boxes.csv")
    workspace.images.take_model(workspace.images.choice, handle_of({"name": tiny_model, "device": "cpu"}))
    workspace.browser.show(0)
    idle(qtbot, workspace)
    assert workspace.session.maps is not None
    yield workspace
    workspace.close()
    for path in run_path.glob("verdicts.sqlite*"):
        path.unlink()


# The states


def choose(box, text):
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def model_at_rest(qtbot, dock, work):
    pass


def model_with_choices(qtbot, dock, work):
    work.session.pins = (1, 3)
    work.actions.set_contrast("manual")
    work.actions.set_window("Dense tissue")
    work.actions.invert()
    work.session.current = 5


def model_with_files(qtbot, dock, work):
    choose(dock.model.name_box, FILES)
    dock.model.sae.set_path(Path("/somewhere/sae.pt"))
    dock.model.backbone.set_path(Path("/somewhere/backbone.tar"))
    dock.model.classes.setText("mass, other")
    dock.model.classes.editingFinished.emit()
    assert work.images.choice == ModelChoice(
        None, Path("/somewhere/backbone.tar"), None, Path("/somewhere/sae.pt"), ("mass", "other")
    )


def images_filtered_and_sorted(qtbot, dock, work):
    choose(dock.list.finding_box, "no mass")
    choose(dock.list.split_box, "test")
    dock.list.text.setText("image")
    dock.list.text.returnPressed.emit()
    section = [column.title for column in dock.list.table.columns].index("p mass")
    dock.list.view.horizontalHeader().sectionClicked.emit(section)
    assert 0 < work.browser.rows.size < 12


def images_while_blind(qtbot, dock, work):
    dock.list.wrong.click()
    work.session.blind = True


def images_with_a_form(qtbot, dock, work):
    dock.form.images.value = "/somewhere/pictures"
    dock.form.labels.line_edit.value = "labels.csv"
    dock.form.out.value = "/somewhere/new"
    dock.form.maps.value = False
    dock.form.batch.value = 4
    dock.form.workers.value = 4


def latents_ranked_and_filtered(qtbot, dock, work):
    choose(dock.ranking.label_box, "density")
    settle(qtbot, work, *parts_of(dock))
    choose(dock.ranking.class_box, "b")
    choose(dock.ranking.score_box, "AUROC")
    settle(qtbot, work, *parts_of(dock))
    dock.filters.text.setText("0-20")
    dock.filters.text.returnPressed.emit()
    dock.filters.low.setText("0.1")
    dock.filters.low.returnPressed.emit()
    dock.filters.live.click()
    dock.table.choose_columns(["run.auroc", "image.mean"])
    assert 0 < dock.table.visible.size < dock.table.size


def latents_sorted_apart_from_the_stack(qtbot, dock, work):
    dock.follow_button.setChecked(False)
    column = next(column for column in dock.table.columns if column.key == "image.max")
    dock.view.sort_by(column, rising=True)
    dock.view.sorted_by_user.emit(column.key)


def latents_with_a_region(qtbot, dock, work):
    dock.query.draw("rectangle")
    dock.query.layer.add([[[0, 0], [0, 100], [100, 100], [100, 0]]], shape_type="rectangle")
    qtbot.waitUntil(lambda: bool(dock.query.columns), timeout=20_000)


def latents_side_by_side(qtbot, dock, work):
    work.session.pins = (1, 2)
    dock.side_by_side.show()
    assert work.scene.viewer.canvas.grid.enabled


def verdicts_half_typed(qtbot, dock, work):
    work.reviewer._pause.setTimeout(600_000)
    work.reviewer.judge_lesion()
    qtbot.keyClicks(dock.form.note, "sharp ed")
    dock.form.concept.lineEdit().clear()
    qtbot.keyClicks(dock.form.concept.lineEdit(), "view m")
    dock.form.concept.completer().popup().hide()
    assert (work.reviewer.typed.note, work.reviewer.typed.concept) == ("sharp ed", "view m")


def verdicts_with_suspects(qtbot, dock, work):
    dock.suspects.find_button.click()
    settle(qtbot, work)
    choose(dock.suspects.place_box, "image border")
    dock.suspects.order_button.click()
    assert dock.suspects.view.table.rowCount() > 0


def verdicts_compared(qtbot, dock, work):
    info = work.session.run.info
    with VerdictStore(work.reviewer.book.path, "anna") as store:
        store.decide(Subject(info["model_sha256"], info["sae_sha256"]), work.session.current, "spurious")
    work.reviewer.judge_lesion()
    work.reviewer._poll()
    dock.files.compare_button.click()
    settle(qtbot, work)
    assert "kappa" in dock.files.result.text()


def localize_with_a_threshold(qtbot, dock, work):
    choose(dock.choice.kind_box, "relative")
    dock.choice.value_box.setValue(0.4)
    dock.choice.iou_box.setValue(0.1)
    dock.choice.area_box.setValue(25)
    settle(qtbot, work)
    dock.boxes.list.choose_row(0)
    dock._follow()


def localize_several(qtbot, dock, work):
    work.session.pins = tuple(int(latent) for latent in work.session.maps.latents[:3])
    work.localizer.together = replace(work.localizer.together, source="pins", how="union")
    settle(qtbot, work)
    assert work.scene.owned.find("heatmap") is not None


def localize_undrawn(qtbot, dock, work):
    dock.choice.drawn_box.setChecked(False)


def localize_boxes_half_drawn(qtbot, dock, work):
    dock.draw.edit_button.click()
    layer = work.scene.owned.find("truth")
    layer.add([[[30, 40], [30, 90], [80, 90], [80, 40]]], shape_type="rectangle")
    qtbot.waitUntil(lambda: bool(work.editor.unsaved))
    dock.draw.undo_button.click()
    dock.draw.redo_button.click()
    work.editor.select(0)
    qtbot.wait(20)
    assert work.editor.editing
    assert work.editor.can_undo


def localize_over_the_run(qtbot, dock, work):
    dock.run.measure_button.click()
    settle(qtbot, work)
    assert work.measures.result is not None


def intervene_with_an_edit(qtbot, dock, work):
    choose(dock.set.source_box, "list")
    dock.set.list_edit.setText("1, 3-6")
    dock.set.list_edit.editingFinished.emit()
    choose(dock.set.mode_box, "scale by")
    dock.set.factor_box.setValue(2.5)
    choose(dock.result.map_box, "difference")
    settle(qtbot, work)
    assert work.intervention.is_on


def intervene_by_the_run(qtbot, dock, work):
    choose(dock.run.score_box, "AUROC")
    settle(qtbot, work)
    dock.set.k_slider.box.setValue(4)
    settle(qtbot, work)
    assert work.intervention.state.source == "run"
    assert work.over_run.curve is not None
    assert work.over_run.move.effect is not None


def intervene_without_spurious(qtbot, dock, work):
    work.reviewer.judge_spurious()
    dock.set.switch.click()
    settle(qtbot, work)
    assert work.intervention.is_on


def intervene_with_a_flip(qtbot, dock, work):
    dock.set.flip_button.click()
    settle(qtbot, work)
    assert "flip" in dock.set.note.text()


def compare_two_runs(qtbot, dock, work):
    work.comparer.open(1, work.session.run.path)
    settle(qtbot, work)
    choose(dock.label_box, "density")
    settle(qtbot, work)
    dock.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert work.comparer.comparison is not None


def guide_with_steps_taken(qtbot, dock, work):
    for key in ("latent", "ranking", "find"):
        dock.buttons[key].click()
        settle(qtbot, work)
    assert [key for key, button in dock.buttons.items() if button.text().startswith("✓")] == [
        "latent",
        "ranking",
        "find",
    ]


STATES = [
    (docks.GuideDock, guide_with_steps_taken),
    (docks.ModelDock, model_at_rest),
    (docks.ModelDock, model_with_choices),
    (docks.ModelDock, model_with_files),
    (docks.ImagesDock, images_filtered_and_sorted),
    (docks.ImagesDock, images_while_blind),
    (docks.ImagesDock, images_with_a_form),
    (docks.LatentsDock, latents_ranked_and_filtered),
    (docks.LatentsDock, latents_sorted_apart_from_the_stack),
    (docks.LatentsDock, latents_with_a_region),
    (docks.LatentsDock, latents_side_by_side),
    (docks.VerdictsDock, verdicts_half_typed),
    (docks.VerdictsDock, verdicts_with_suspects),
    (docks.VerdictsDock, verdicts_compared),
    (docks.LocalizeDock, localize_with_a_threshold),
    (docks.LocalizeDock, localize_several),
    (docks.LocalizeDock, localize_undrawn),
    (docks.LocalizeDock, localize_boxes_half_drawn),
    (docks.LocalizeDock, localize_over_the_run),
    (docks.InterveneDock, intervene_with_an_edit),
    (docks.InterveneDock, intervene_by_the_run),
    (docks.InterveneDock, intervene_without_spurious),
    (docks.InterveneDock, intervene_with_a_flip),
    (docks.CompareDock, compare_two_runs),
]


def test_every_dock_has_states():
    assert {kind for kind, _ in STATES} == set(ALL)


@pytest.mark.parametrize(("kind", "bring"), STATES, ids=lambda one: one.__name__)
def test_closing_changes_nothing_but_what_is_seen(qtbot, at_work, kind, bring):
    dock = opened(qtbot, kind, at_work)
    bring(qtbot, dock, at_work)
    settle(qtbot, at_work, *parts_of(dock))
    before, seen = said(at_work), shown(dock)
    closed(dock)
    settle(qtbot, at_work)
    assert said(at_work) == before
    again = opened(qtbot, kind, at_work)
    assert shown(again) == seen
    assert said(at_work) == before
    closed(again)


def test_the_controllers_go_on_without_their_docks(qtbot, at_work):
    """What follows the image goes on following it, and all docks opened then agree with it."""
    for dock in [opened(qtbot, kind, at_work) for kind in ALL]:
        closed(dock)
    at_work.intervention.change(source="image", k=2)
    at_work.browser.show(3)
    settle(qtbot, at_work)
    assert at_work.session.image.image_id == "image-003"
    assert at_work.localizer.current.scope.image_id == "image-003"
    assert at_work.intervention.is_on
    assert list(at_work.latents.table.values["image.mean"]) == list(at_work.session.maps.pooled_mean)
    before = said(at_work)
    again = [opened(qtbot, kind, at_work) for kind in ALL]
    assert said(at_work) == before
    for dock in again:
        closed(dock)


# An edit that rests on a run's ranking


def best_of_run(work, run, k):
    """The best k of every class by the difference of means, worked out by hand."""
    dense, mass = run.pooled("mean").toarray().astype(float), run.label("mass")
    diff = dense[mass == 1].mean(axis=0) - dense[mass == 0].mean(axis=0)
    latents = np.arange(diff.size)
    return {*np.lexsort((latents, -diff))[:k].tolist(), *np.lexsort((latents, diff))[:k].tolist()}


def edited(work):
    return set(np.flatnonzero(work.intervention.view.edit.mask).tolist())


@pytest.fixture
def resting(qtbot, at_work):
    """An edit of the best of the run, its dock closed."""
    dock = opened(qtbot, docks.InterveneDock, at_work)
    dock.set.k_slider.box.setValue(3)
    settle(qtbot, at_work)
    closed(dock)
    assert edited(at_work) == best_of_run(at_work, at_work.session.run, 3)
    return at_work


def another_run(run_path, tiny_model, folder, labels):
    from napari_mammosae.core.runs.making.make import write_run

    labels.to_csv(folder / "labels.csv", index=False)
    images = run_path.parent / "images"
    return open_run(write_run(images, tiny_model, folder / "other", labels=folder / "labels.csv", workers=0).path)


def test_with_another_run_the_edit_takes_its_best(qtbot, resting, run_path, tiny_model, tmp_path):
    first = edited(resting)
    labels = pd.DataFrame({"image": [f"image-{i:03d}" for i in range(12)], "mass": [float(i > 6) for i in range(12)]})
    other = another_run(run_path, tiny_model, tmp_path, labels)
    resting.session.run = other
    assert resting.intervention.view is None  # until the other run is ranked nothing is edited
    settle(qtbot, resting)
    assert edited(resting) == best_of_run(resting, other, 3) != first
    text, error = resting.status.last_told
    assert text == "The edit now takes the best 3 latents of other."
    assert not error


def test_with_a_run_that_cannot_be_ranked_the_edit_ends(qtbot, resting, run_path, tiny_model, tmp_path):
    labels = pd.DataFrame({"image": [f"image-{i:03d}" for i in range(12)], "mass": [1.0] * 12})
    resting.session.run = another_run(run_path, tiny_model, tmp_path, labels)
    settle(qtbot, resting)
    assert not resting.intervention.is_on
    assert resting.status.last_told[0].startswith("The edit has ended: it used the ranking of run, which was replaced")


def test_without_a_run_the_edit_ends(qtbot, resting):
    resting.opener.close_run()
    assert not resting.intervention.is_on
    assert resting.intervention.view is not None  # the prediction is shown, unedited
    assert resting.status.last_told == ("The edit has ended: it used the ranking of run, which was closed.", False)
    settle(qtbot, resting)
    dock = opened(qtbot, docks.InterveneDock, resting)
    assert dock.set.banner.text == ""
    assert dock.set.source_box.currentData() == "image"
    closed(dock)


def test_an_edit_of_its_own_does_not_mind_the_run(qtbot, resting):
    resting.intervention.change(source="list", numbers="1, 2")
    told = resting.status.last_told
    resting.opener.close_run()
    assert edited(resting) == {1, 2}
    assert resting.intervention.is_on
    assert resting.status.last_told == told

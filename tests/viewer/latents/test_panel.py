"""The dock without a window: what it shows, and what it does to the session."""

import gc
import weakref
from threading import Event

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QApplication

from fake_run import FakeRun
from fakes import INPUT, FakeModel, install, latent_maps, mammogram
from layer_kit import owned
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.ranking.of_run import pool_of_run
from napari_mammosae.core.ranking.orders import Ranking
from napari_mammosae.core.ranking.scores import score_latents
from napari_mammosae.viewer.app.order import BY_IMAGE, Order
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.latents import side_by_side
from napari_mammosae.viewer.latents.detail_panel import MODEL_NEEDED, READING, RUN_NEEDED, colour_key
from napari_mammosae.viewer.latents.filters import LatentFilter
from napari_mammosae.viewer.latents.panel import NOTHING
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

ATTRIBUTION = np.random.default_rng(4).normal(size=(2, 64))


class Boxes:
    """One mass on every image."""

    table = pd.DataFrame(
        {"image_id": ["x"], "finding": ["mass"], "row_min": [40], "col_min": [30], "row_max": [90], "col_max": [80]}
    )

    def boxes(self, image_id, finding=None, *, shape=None):
        return self.table


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def workspace(viewer):
    workspace = workspace_of(viewer)
    yield workspace
    workspace.close()


@pytest.fixture
def session(workspace):
    return workspace.session


@pytest.fixture
def dock(viewer, workspace, qtbot):
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    jobs = jobs_of(dock)  # the widgets are gone when this goes on
    yield dock
    dock.cleanup()
    qtbot.waitUntil(lambda: not any(job.busy for job in jobs), timeout=30_000)


@pytest.fixture
def image(viewer, session):
    """An image with its latents."""
    viewer.add_layer(layers.mammogram_layer(mammogram(shape=INPUT)))
    model = FakeModel(attribution=ATTRIBUTION)
    session.handle = model
    session.maps = latent_maps(model, Frame.identity(INPUT))
    return session.maps


def jobs_of(dock):
    return dock.latents.ranking.jobs, dock.detail.jobs, dock.detail.gallery.jobs, dock.query.jobs, dock.workspace.jobs


def settle(qtbot, dock):
    """Wait until nothing is computed for the dock any more."""
    jobs = jobs_of(dock)
    qtbot.waitUntil(lambda: not is_due(dock.detail._later) and not any(job.busy for job in jobs), timeout=30_000)
    QApplication.processEvents()


@pytest.fixture
def run(tmp_path, session, dock, qtbot):
    run = FakeRun(tmp_path)
    session.run = run
    settle(qtbot, dock)
    return run


def titles(dock):
    """Of the columns shown, but for the verdict, which comes and goes."""
    shown = [column for column in dock.table.columns if column.key not in dock.table.hidden]
    return [column.title for column in shown if column.source != "verdict"]


def test_without_anything_it_says_what_is_needed(dock, qtbot):
    settle(qtbot, dock)
    assert dock.status.text() == NOTHING
    assert not dock.view.isEnabled()
    assert "Open a run" in dock.ranking.note.text()
    assert dock.detail.run_note.text() == RUN_NEEDED
    assert dock.detail.logit_note.text() == MODEL_NEEDED
    assert "Open a run" in dock.detail.gallery.note.text()


def test_one_image_fills_the_table(dock, image, session):
    assert dock.status.text() == ""
    assert titles(dock) == ["Latent", "Mean here", "Max here"]
    assert list(dock.table.visible) == list(np.argsort(-image.pooled_mean, kind="stable"))
    contribution = ATTRIBUTION[1] * image.pooled_mean
    assert np.array_equal(dock.table.values["image.logit.suspicious_calcification"], contribution)
    assert session.order.name == BY_IMAGE


def test_image_first_or_dock_first_is_the_same(viewer, workspace, image, qtbot):
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    assert dock.table.size == 64
    assert dock.view.entry == workspace.session.current
    assert dock.follow_button.isChecked()
    dock.cleanup()


def test_row_and_slider_follow_each_other(dock, image, session, viewer, qtbot):
    dock.view.selectRow(4)
    assert session.current == dock.table.visible[4]
    assert viewer.dims.point[0] == 4
    viewer.dims.set_point(0, 9)
    assert dock.view.currentIndex().row() == 9
    qtbot.keyClick(dock.view, Qt.Key.Key_Down)
    assert viewer.dims.point[0] == 10


def test_the_stack_takes_the_table_s_order_and_the_latent_stays(dock, image, session):
    dock.view.selectRow(3)
    latent = session.current
    column = next(column for column in dock.table.columns if column.key == "image.max")
    dock.view.sort_by(column)
    assert list(session.order.latents) == list(dock.table.order)
    assert session.order.name == "maximum on this image"
    assert np.array_equal(session.order.scores, image.pooled_max)
    assert session.current == latent
    assert dock.view.entry == latent
    dock.follow_button.setChecked(False)
    dock.view.sort_by(column, rising=True)
    assert list(session.order.latents) != list(dock.table.order)
    dock.follow_button.setChecked(True)
    assert list(session.order.latents) == list(dock.table.order)


def test_an_order_from_elsewhere_is_left_alone(dock, image, session):
    order = Order.by_score(np.arange(64.0), "something else")
    session.order = order
    assert not dock.follow_button.isChecked()
    session.maps = latent_maps(session.model, Frame.identity(INPUT), seed=5)
    assert session.order is order


def test_a_filter_puts_what_passes_first_in_the_stack(dock, image, session, qtbot):
    qtbot.mouseClick(dock.filters.fires, Qt.MouseButton.LeftButton)
    live = image.latents.size
    assert dock.count.text() == f"{live} of 64"
    assert set(session.order.latents[:live]) == set(image.latents)
    qtbot.keyClicks(dock.filters.text, "1")
    qtbot.keyClick(dock.filters.text, Qt.Key.Key_Return)
    assert all(str(latent).startswith("1") for latent in dock.table.visible)
    assert dock.view.entry in dock.table.visible


def test_the_same_filter_and_sorting_for_the_next_image(dock, image, session):
    dock.filters.fires.click()
    column = next(column for column in dock.table.columns if column.key == "image.max")
    dock.view.sort_by(column)
    dock.latents.prefer(column.key)
    session.maps = other = latent_maps(session.model, Frame.identity(INPUT), seed=7)
    assert set(dock.table.visible) == set(other.latents)
    assert dock.table.sort_key == "image.max"
    assert np.array_equal(session.order.scores, other.pooled_max)


def test_selected_rows_are_pinned(dock, image, session, qtbot):
    chosen = [int(latent) for latent in dock.table.visible[:3]]
    dock.view.select(chosen)
    assert dock.pin_button.text() == "Pin 3"
    qtbot.mouseClick(dock.pin_button, Qt.MouseButton.LeftButton)
    assert session.pins == tuple(chosen)
    assert dock.pin_button.text() == "Unpin 3"
    dock.view.select([int(latent) for latent in dock.table.visible[:14]])
    qtbot.mouseClick(dock.pin_button, Qt.MouseButton.LeftButton)
    assert session.pins == tuple(chosen)
    assert "12" in dock.status.text()
    dock.view.select(chosen)
    qtbot.mouseClick(dock.pin_button, Qt.MouseButton.LeftButton)
    assert session.pins == ()


def test_a_run_is_ranked(dock, run, session):
    expected = Ranking.of(score_latents(pool_of_run(run, "mass"), "diff", 1))
    assert list(dock.table.visible) == list(expected.order)
    assert list(session.order.latents) == list(expected.order)
    assert session.order.name == "difference for mass"
    assert titles(dock)[:4] == ["Latent", "Difference", "AUROC", "Fires"]
    assert dock.ranking.class_box.currentText() == "present"


def test_the_protocol_of_the_paper_ranks_on_training_rows(dock, run, session, qtbot):
    n = len(run)
    assert dock.ranking.note.text() == f"run: {n} of {n} images used."
    run.images["split"] = ["training"] * 10 + ["test"] * (n - 10)
    run.rows = run.images.iloc[[*range(n), 0, 0]][["image", "split", "label.mass"]].reset_index(drop=True)
    dock.ranking.protocol_box.click()
    settle(qtbot, dock)
    rows = [*range(10), 0, 0]
    mass, pooled = run.label("mass")[rows] == 1, run.pooled("mean").toarray()[rows]
    diff = pooled[mass].mean(0) - pooled[~mass].mean(0)
    assert list(dock.table.visible)[:5] == list(np.lexsort((np.arange(diff.size), -diff)))[:5]
    assert dock.ranking.note.text() == (
        f"run: 12 of {n + 2} finding rows used, {n - 10} left out: {n - 10} not of split training."
    )


def test_other_labels_classes_and_scores(dock, run, session, qtbot):
    def choose(box, text):
        box.setCurrentText(text)
        box.activated.emit(box.currentIndex())
        settle(qtbot, dock)

    choose(dock.ranking.score_box, "Selectivity")
    assert dock.table.sort_key == "run.selectivity"
    choose(dock.ranking.label_box, "density")
    assert dock.ranking.score_box.currentText() == "Selectivity"
    choose(dock.ranking.class_box, "c")
    choose(dock.ranking.score_box, "Difference")
    expected = Ranking.of(score_latents(pool_of_run(run, "density"), "diff", 2))
    assert list(dock.table.visible) == list(expected.order)
    choose(dock.ranking.score_box, "Logit")
    assert "Load the model" in dock.ranking.note.text()
    choose(dock.ranking.label_box, "all images")
    assert dock.ranking.class_box.count() == 0
    assert dock.table.sort_key == "run.mean_all"


def test_a_kept_ranking_is_there_at_once(dock, run, qtbot):
    dock.ranking.score_box.setCurrentText("AUROC")
    dock.ranking.score_box.activated.emit(0)
    settle(qtbot, dock)
    dock.ranking.score_box.setCurrentText("Difference")
    dock.ranking.score_box.activated.emit(0)
    assert not dock.latents.ranking.jobs.busy
    assert dock.table.sort_key == "run.diff"


def test_the_stack_follows_the_table_into_another_run(dock, image, run, session, qtbot):
    assert session.order.name == "difference for mass"
    session.run = other = FakeRun(run.path.parent, write=False)
    settle(qtbot, dock)
    assert dock.follow_button.isChecked()
    assert session.order.name == "difference for mass"
    assert session.order.measured_on is other


def test_a_label_all_images_have_is_explained(dock, run, session, qtbot):
    run.images["label.mass"] = 1.0
    other = FakeRun(run.path.parent, write=False)
    other.images["label.mass"] = 1.0
    session.run = other
    settle(qtbot, dock)
    assert "both" in dock.ranking.note.text()
    assert dock.table.size == 64


def test_run_and_image_together(dock, run, image):
    assert {"run.auroc", "image.mean", "image.logit.mass"} <= set(dock.table.values)
    assert dock.table.sort_key == "run.diff"


def test_live_latents_of_the_run(dock, run, qtbot):
    assert dock.filters.live.isVisible()
    qtbot.mouseClick(dock.filters.live, Qt.MouseButton.LeftButton)
    assert 3 not in dock.table.visible
    assert dock.table.visible.size == 63


def test_facts_about_the_current_latent(dock, run, image, session, qtbot):
    dock.detail.tabs.setCurrentIndex(1)
    session.current = 5
    settle(qtbot, dock)
    assert "8 of 24 images" in dock.detail.run_note.text()
    assert dock.detail.histogram.isVisible()
    dock.detail.tabs.setCurrentIndex(3)
    first = dock.detail.by_images.item(0)
    latent = int(first.text().split()[0])
    dock.detail.by_images.itemClicked.emit(first)
    assert session.current == latent
    session.run = None
    settle(qtbot, dock)
    assert dock.detail.run_note.text() == RUN_NEEDED


def test_what_the_run_tells_does_not_wait_for_the_model_to_start(dock, run, image, qtbot, monkeypatch):
    is_up, detail, of_model = Event(), dock.detail, FakeModel.neighbours
    monkeypatch.setattr(FakeModel, "neighbours", lambda *asked: is_up.wait(30) and of_model(*asked))
    detail.tabs.setCurrentIndex(1)
    assert RUN_NEEDED not in detail.run_note.text()
    qtbot.waitUntil(detail.histogram.isVisible)
    detail.tabs.setCurrentIndex(2)
    qtbot.waitUntil(detail.logits.isVisible)
    detail.tabs.setCurrentIndex(3)
    qtbot.waitUntil(lambda: detail.jobs.busy)
    assert detail.decoder_note.text() == READING
    assert detail.by_images.count()
    is_up.set()
    qtbot.waitUntil(lambda: detail.by_decoder.count() > 0)
    assert detail.decoder_note.text() != READING


def test_contributions_to_the_logits(dock, image, session, qtbot):
    dock.detail.tabs.setCurrentIndex(2)
    settle(qtbot, dock)
    table, weight = dock.detail.logits, ATTRIBUTION[1, session.current]
    assert table.isVisible()
    assert table.item(1, 0).text() == f"{weight:+.4g}"
    assert table.item(1, 1).text() == f"{weight * session.maps.pooled_mean[session.current]:+.4g}"
    assert table.item(1, 2).text() == "—"


def test_what_is_to_know_about_a_model_s_latents_is_said_with_them(dock, image, session, qtbot):
    settle(qtbot, dock)
    assert not dock.detail.model_note.isVisible()
    session.handle = FakeModel(notes=("sae.pt: the decoder's columns have norms of 2 to 3, not 1",))
    settle(qtbot, dock)
    assert dock.detail.model_note.isVisible()
    assert dock.detail.model_note.text() == "sae.pt: the decoder's columns have norms of 2 to 3, not 1."
    session.handle = None
    settle(qtbot, dock)
    assert not dock.detail.model_note.isVisible()


def test_the_gallery_shows_the_strongest_images(dock, run, session, qtbot, monkeypatch):
    install(monkeypatch)
    session.findings = Boxes()
    session.current = 5
    settle(qtbot, dock)
    gallery = dock.detail.gallery
    values = run.pooled("mean").toarray()[:, 5]
    strongest = int(values.argmax())
    assert gallery.list.count() == 8
    assert gallery.list.item(0).text() == f"{values[strongest]:.3g}"
    pictures = [gallery.list.item(i).icon().pixmap(76, 116).toImage() for i in range(8)]
    assert all(picture.pixelColor(38, 58).alpha() == 255 for picture in pictures)
    gallery.list.itemClicked.emit(gallery.list.item(0))
    settle(qtbot, dock)
    assert session.image.image_id == run.images["image_id"][strongest]
    assert session.current == 5
    assert session.maps is not None
    count = len(dock.workspace.scene.viewer.layers)
    gallery.list.itemClicked.emit(gallery.list.item(0))
    settle(qtbot, dock)
    assert len(dock.workspace.scene.viewer.layers) == count
    session.current = 3
    settle(qtbot, dock)
    assert "silent on every image" in gallery.note.text()
    session.current = 5
    settle(qtbot, dock)
    assert gallery.list.count() == 8


def test_a_gallery_without_files_or_maps_says_so(dock, session, tmp_path, qtbot):
    lost = FakeRun(tmp_path / "a" / "b" / "c" / "d", has_maps=False, write=False)
    session.run = lost
    session.current = 5
    settle(qtbot, dock)
    assert dock.detail.gallery.root_button.isVisible()
    assert "Choose the image folder" in dock.detail.gallery.note.text()
    assert dock.detail.gallery.list.count() == 8


def test_verdicts_are_a_column_to_sort_and_filter_by(dock, image, session, qtbot):
    said = {4: "spurious, view marker", 9: "lesion"}
    session.verdicts = said.get
    assert dock.table.columns[1].title == "Verdict"
    dock.filters.verdict.setCurrentText("spurious")
    dock.filters.verdict.activated.emit(0)
    assert list(dock.table.visible) == [4]
    said[11] = "spurious"
    session.events.verdicts.emit(session.verdicts)
    assert set(dock.table.visible) == {4, 11}


def test_judging_blind_hides_what_could_sway(dock, run, image, session, qtbot):
    def written(key):
        section = [column.key for column in dock.table.columns].index(key)
        return dock.table.data(dock.table.index(0, section))

    session.blind = True
    assert written("run.auroc") == written("image.logit.mass") == ""
    assert written("latent")
    assert written("image.max")
    assert [dock.detail.tabs.isTabVisible(i) for i in range(4)] == [True, False, False, True]
    settle(qtbot, dock)
    assert "mass" not in dock.detail.gallery.list.item(0).toolTip()
    session.blind = False
    assert written("run.auroc")
    assert dock.detail.tabs.isTabVisible(1)


def test_judging_in_the_order_of_verdicts_moves_nothing(dock, image, session):
    said = {4: "spurious", 9: "lesion"}
    session.verdicts = said.get
    section = [column.key for column in dock.table.columns].index("verdict")
    dock.view.horizontalHeader().sectionClicked.emit(section)
    before, session.current = session.order.latents.tolist(), 30
    assert before[:2] == [9, 4]
    said[30] = "anatomy"
    session.events.verdicts.emit(session.verdicts)
    assert session.order.latents.tolist() == dock.table.visible.tolist() == before
    assert dock.table.index(before.index(30), section).data() == "anatomy"
    dock.latents.filter = LatentFilter(verdict="anatomy")
    assert dock.table.visible.tolist() == [30]


@pytest.mark.parametrize("follows", [True, False])
def test_a_blind_judge_is_shown_no_rank(dock, run, image, session, follows):
    if not follows:
        session.order = Order.by_score(np.arange(64.0), "suspicion")
    before = session.order.latents.copy()
    dock.latents.filter = LatentFilter(column="run.auroc", low=0.5)
    assert dock.table.visible.size < 64
    session.blind = True
    assert list(dock.table.visible) == list(session.order.latents) == list(range(64))
    section = [column.key for column in dock.table.columns].index("run.auroc")
    dock.view.horizontalHeader().sectionClicked.emit(section)
    assert list(dock.table.visible) == list(session.order.latents) == list(range(64))
    session.blind = False
    assert dock.table.visible.size < 64
    dock.latents.filter = LatentFilter()
    assert list(session.order.latents) == list(before)
    assert dock.table.sort_key == "run.diff"


def _ordered_by(dock, key, qtbot):
    """Sort by a column with clicks, and let the stack keep that order from then on."""
    if key.startswith("region"):
        dock.query.draw("rectangle")
        dock.query.layer.add([[[0, 0], [0, 100], [100, 100], [100, 0]]], shape_type="rectangle")
        qtbot.waitUntil(lambda: bool(dock.query.columns), timeout=20_000)
    if dock.table.sort_key != key:
        section = [column.key for column in dock.table.columns].index(key)
        dock.view.horizontalHeader().sectionClicked.emit(section)
    assert dock.follow_button.isChecked()
    dock.follow_button.click()
    return dock.session.order.name


def _another_image(dock, viewer, seed=3):
    viewer.add_layer(layers.mammogram_layer(mammogram(seed, INPUT, f"another-{seed}")))
    dock.session.maps = latent_maps(dock.session.model, Frame.identity(INPUT), seed=seed)


@pytest.mark.parametrize("key", ["image.max", "image.logit.mass", "region.energy", "run.auroc", "run.mean"])
def test_scores_of_another_image_or_run_are_not_shown(dock, run, image, session, viewer, qtbot, tmp_path, key):
    name = _ordered_by(dock, key, qtbot)
    assert name in viewer.canvas.overlays.text.text
    if key.startswith("run"):
        _another_image(dock, viewer)
        assert name in viewer.canvas.overlays.text.text  # it holds for every image of the run
        session.run = FakeRun(tmp_path, write=False)
    else:
        _another_image(dock, viewer)
    settle(qtbot, dock)
    assert name not in viewer.canvas.overlays.text.text
    assert session.order.name == BY_IMAGE


@pytest.mark.parametrize("key", ["image.max", "region.energy"])
def test_eyes_opened_over_another_image_see_no_scores_of_the_former(dock, run, image, session, viewer, qtbot, key):
    name = _ordered_by(dock, key, qtbot)
    session.blind = True
    _another_image(dock, viewer)
    session.blind = False
    settle(qtbot, dock)
    assert name not in viewer.canvas.overlays.text.text


def test_a_region_is_a_table_order(dock, image, session, qtbot):
    dock.query.draw("rectangle")
    dock.query.layer.add([[[0, 0], [0, 100], [100, 100], [100, 0]]], shape_type="rectangle")
    qtbot.waitUntil(lambda: bool(dock.query.columns), timeout=20_000)
    assert dock.table.sort_key == "region.energy"
    assert session.order.name == "energy in the region"
    assert {"In region", "Lift", "Region → mass"} <= set(titles(dock))
    energy = dock.query.columns["region.energy"]
    assert list(session.order.latents) == list(np.argsort(-energy, kind="stable"))
    assert dock.clear_action.isEnabled()
    dock.clear_action.trigger()
    assert dock.query.layer is None
    assert dock.table.sort_key == "image.mean"
    assert "In region" not in titles(dock)


def test_pins_side_by_side_and_back(dock, image, session, viewer, qtbot):
    session.findings = Boxes()
    before = [(layer, layer.visible) for layer in viewer.layers]
    grid = viewer.canvas.grid.model_dump()
    dock._enter(session.current)
    assert not dock.side_button.isEnabled()
    session.pins = (1, 2, 3)
    assert dock.side_button.isEnabled()
    before = [(layer, layer.visible) for layer in viewer.layers]
    qtbot.mouseClick(dock.side_button, Qt.MouseButton.LeftButton)
    assert dock.side_button.isChecked()
    assert viewer.canvas.grid.enabled
    shown = [layer for layer in viewer.layers if layer.visible]
    assert {owned(viewer).role_of(layer) for layer in shown} == {"comparison"}
    cells = {}
    for index, layer in enumerate(viewer.layers):
        cells.setdefault(viewer.canvas.grid.position(index, viewer.layers), []).append(layer.name.split()[0])
    del cells[-1, -1]
    assert [names for _, names in sorted(cells.items())] == [["phantom", "pin", "boxes"]] * 3
    named = [layer.name for layer in reversed(viewer.layers) if layer.name.startswith("pin")]
    assert named == ["pin 1", "pin 2", "pin 3"]
    session.pins = (1, 2)
    qtbot.waitUntil(lambda: sum(owned(viewer).role_of(layer) == "comparison" for layer in viewer.layers) == 6)
    session.pins = (1, 2, 3)
    qtbot.waitUntil(lambda: sum(owned(viewer).role_of(layer) == "comparison" for layer in viewer.layers) == 9)
    qtbot.mouseClick(dock.side_button, Qt.MouseButton.LeftButton)
    assert not dock.side_button.isChecked()
    assert [layer.visible for layer in viewer.layers] == [True] * len(before)
    assert len(viewer.layers) == len(before)
    assert viewer.canvas.grid.model_dump() == grid


class Shifting:
    """Boxes on one image and none on another, as polygons may be drawn by hand."""

    def __init__(self, count):
        self.table = Boxes.table.iloc[:count]

    def boxes(self, image_id, finding=None, *, shape=None):
        return self.table


@pytest.mark.parametrize("shape", ["none", "polygon"])
def test_side_by_side_with_a_layer_of_no_boxes_or_of_a_polygon(dock, image, session, viewer, shape):
    session.findings = Shifting(1)
    session.findings = Shifting(0)  # the layer stays, empty
    truth = owned(viewer).find("truth")
    if shape == "polygon":
        truth.add_polygons(np.array([[10, 10], [10, 50], [30, 70], [60, 40], [50, 10]], float))
    session.pins = (1,)
    dock.side_by_side.show()
    copies = [layer for layer in viewer.layers if owned(viewer).role_of(layer) == "comparison"]
    assert len(copies) == (2 if shape == "none" else 3)
    assert all(layer.visible for layer in copies)
    if shape == "polygon":
        corners = copies[-1].data[:, 0]
        np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [[10, 10], [60, 70]])
    dock.side_by_side.restore()


def test_a_comparison_that_fails_hides_nothing(dock, image, session, viewer, monkeypatch):
    session.pins = (1,)
    before = [layer.visible for layer in viewer.layers]
    monkeypatch.setattr(side_by_side, "_copy_of_pin", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dock.side_by_side.show()
    assert [layer.visible for layer in viewer.layers] == before
    assert not dock.side_by_side.shown


def test_another_image_is_compared_in_its_turn(dock, image, session, viewer, qtbot):
    session.pins = (1, 2)
    dock.side_by_side.show()
    layer = layers.mammogram_layer(mammogram(9, INPUT, "another"))
    viewer.add_layer(layer)
    session.maps = latent_maps(session.model, Frame.identity(INPUT), seed=3)
    qtbot.waitUntil(lambda: sum(one.name.startswith("another") for one in viewer.layers) == 3)
    assert dock.side_by_side.shown
    viewer.canvas.grid.enabled = False  # by napari's button: the copies would lie on each other
    assert not dock.side_by_side.shown
    assert [one.name for one in viewer.layers if one.visible and one.name.startswith(("phantom", "another"))] == [
        "another"
    ]
    dock.side_by_side.show()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock.side_by_side.shown)
    assert not viewer.canvas.overlays.text.visible  # of the image that is gone


class Unlabelled(FakeRun):
    labels = ()

    def label(self, name):
        raise RunError(f"no label {name}")


def test_a_run_without_labels_takes_the_place_of_one_that_is_being_ranked(dock, run, session, qtbot, tmp_path):
    dock.latents.ranking.choose(score="auroc")
    assert dock.latents.ranking.jobs.busy
    session.run = Unlabelled(tmp_path, write=False)
    settle(qtbot, dock)
    assert dock.latents.ranking.choice.label == ""
    assert not dock.ranking.class_box.isVisible()


def test_side_by_side_says_what_is_missing(dock, workspace, image, session):
    dock.side_by_side.show()
    assert "Pin" in dock.status.text()
    assert not dock.side_by_side.shown


def test_ctrl_f_leads_to_the_filter_and_enter_back(dock, image, qtbot):
    dock.activateWindow()
    qtbot.keyClick(dock.view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(dock.filters.text.hasFocus)
    qtbot.keyClick(dock.filters.text, Qt.Key.Key_Return)
    qtbot.waitUntil(dock.view.hasFocus)


def test_enter_brings_a_deleted_stack_back(dock, image, viewer, session, qtbot):
    viewer.layers.remove(dock.workspace.scene.stack_layer)
    dock.view.selectRow(2)
    qtbot.keyClick(dock.view, Qt.Key.Key_Return)
    assert dock.workspace.scene.stack_layer is not None
    assert viewer.dims.point[0] == 2


def test_it_fits_a_laptop(dock, run, image):
    assert dock.minimumSizeHint().height() <= 480
    assert dock.minimumSizeHint().width() <= 365  # 355 in the look of napari, with the scroll bar


def test_a_closed_dock_is_gone_and_hears_nothing(viewer, workspace, image, session, qtbot):
    dock = LatentsDock(viewer)
    settle(qtbot, dock)
    gone = weakref.ref(dock.detail)
    dock.deleteLater()
    QApplication.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    session.current = 9
    session.run = None
    session.pins = (3,)
    session.maps = latent_maps(session.model, Frame.identity(INPUT), seed=2)
    del dock
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", ["<b>dense</b>", "a < b & c", "<img src=x>"])
def test_names_of_classes_are_shown_as_they_are(name):
    found = QTextDocument()
    found.setHtml(colour_key([name, "rest"]))
    assert found.toPlainText().replace("\xa0", " ").split("■")[1].strip() == name

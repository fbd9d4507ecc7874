"""The Intervene dock without a window: what it shows against zeroing latents by hand."""

import gc
import json
import weakref

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes
from qtpy.QtCore import QModelIndex, QPoint, QPointF, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog
from vispy.visuals import AxisVisual

import fakes
import intervene_kit
from layer_kit import owned
from napari_mammosae.core.base.text import numbers_of, text_of
from napari_mammosae.core.images.geometry import cell_affine
from napari_mammosae.core.intervention.effects import effect
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.viewer.app.history import History
from napari_mammosae.viewer.canvas.texts import PREDICTION
from napari_mammosae.viewer.docks import InterveneDock
from napari_mammosae.viewer.intervention import run_move
from napari_mammosae.viewer.intervention.layers import BANNER, EDITED, readable_limit
from napari_mammosae.viewer.intervention.plots import WaterfallPlot
from napari_mammosae.viewer.intervention.result import Term
from napari_mammosae.viewer.intervention.state import EditState
from napari_mammosae.viewer.widgets.log_slider import KSlider


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def model(monkeypatch):
    return intervene_kit.install(monkeypatch)


def make_dock(qtbot, viewer):
    dock = InterveneDock(viewer)
    qtbot.addWidget(dock)
    return dock


def idle(qtbot, dock):
    one, over_run = dock.intervention, dock.over_run
    jobs = (dock.workspace.jobs, one.passing, over_run.jobs, over_run.move.jobs, dock.exporter.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=10_000)


def look_at(qtbot, viewer, dock, seed=0, name="phantom"):
    dock.workspace.images.use_layer(viewer.add_image(fakes.phantom(seed), name=name))
    idle(qtbot, dock)
    dock.workspace.images.compute()
    idle(qtbot, dock)


@pytest.fixture
def dock(qtbot, viewer, model):
    dock = make_dock(qtbot, viewer)
    look_at(qtbot, viewer, dock)
    dock.intervention.change(form="delta")  # what the tests below work out by hand
    dock.intervention._history = History(dock.intervention.state)
    yield dock
    idle(qtbot, dock)
    dock.workspace.close()


@pytest.fixture
def session(dock):
    return dock.session


@pytest.fixture
def run(qtbot, dock, model):
    run = intervene_kit.MemoryRun(model)
    dock.session.run = run
    idle(qtbot, dock)
    return run


def choose(box, key):
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


def press(qtbot, check):
    """Click the box of a check box; beside its text a click does nothing."""
    qtbot.mouseClick(check, Qt.MouseButton.LeftButton, pos=QPoint(8, check.height() // 2))


def judge(dock, latents):
    for latent in latents:
        dock.workspace.reviewer.book.decide(int(latent), "spurious")


def plain_logits(model, maps, factor, form, region=None):
    """Edit every map by hand, pool, and apply the head."""
    values = maps.values.astype(float)
    edited = values * np.asarray(factor)[maps.latents][:, None, None]
    if region is not None:
        edited = np.where(region, edited, values)
    logits = model.facts.constant + model.facts.attribution[:, maps.latents] @ edited.mean(axis=(1, 2))
    return logits + (intervene_kit.ERROR if form == "delta" else 0)


def shown(dock, line=0):
    text = dock.result.after_text(line)
    probability, logit = text.rstrip(")").split(" (")
    return float(probability), float(logit)


@pytest.mark.parametrize("form", ["delta", "replace"])
@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_every_k_equals_removing_latents_by_hand(dock, session, model, form, direction):
    choose(dock.set.form_box, form)
    choose(dock.set.direction_box, direction)
    maps = session.maps
    contributions = model.facts.attribution[0] * maps.pooled_mean
    keys = {"up": -contributions, "down": contributions, "both": -np.abs(contributions)}[direction]
    order = np.lexsort((np.arange(64), keys))
    for k in (0, 1, 2, 7, 63, 64):
        dock.set.k_slider.box.setValue(k)
        factor = np.ones(64)
        factor[order[:k]] = 0
        expected = plain_logits(model, maps, factor, form)
        view = dock.intervention.view
        np.testing.assert_allclose(view.effect.after, expected, atol=1e-6)
        np.testing.assert_allclose(view.after, 1 / (1 + np.exp(-expected)), atol=1e-6)
        assert shown(dock)[1] == pytest.approx(expected[0], abs=0.006)
        assert sum(term.value for term in view.terms) == pytest.approx(expected[0], abs=1e-5)
        assert sum(term.value for term in view.terms[:-1]) == pytest.approx(view.effect.before[0], abs=1e-5)
    assert dock.intervention.view.edit.targets.all()


def test_keep_scale_and_sets_by_hand(dock, session, model):
    maps, chosen = session.maps, [int(latent) for latent in session.maps.latents[:4]]
    choose(dock.set.source_box, "list")
    dock.set.list_edit.setText(text_of(chosen))
    dock.set.list_edit.editingFinished.emit()
    factor = np.ones(64)
    factor[chosen] = 0
    np.testing.assert_allclose(
        dock.intervention.view.effect.after, plain_logits(model, maps, factor, "delta"), atol=1e-6
    )
    choose(dock.set.mode_box, "keep")
    np.testing.assert_allclose(
        dock.intervention.view.effect.after, plain_logits(model, maps, 1 - factor, "delta"), atol=1e-6
    )
    choose(dock.set.mode_box, "scale")
    dock.set.factor_box.setValue(2.5)
    np.testing.assert_allclose(
        dock.intervention.view.effect.after, plain_logits(model, maps, 2.5 - 1.5 * factor, "delta"), atol=1e-6
    )
    choose(dock.set.source_box, "pins")
    assert "pin" in dock.set.note.text()
    session.pins = tuple(chosen)
    np.testing.assert_allclose(
        dock.intervention.view.effect.after, plain_logits(model, maps, 2.5 - 1.5 * factor, "delta"), atol=1e-6
    )
    choose(dock.set.source_box, "current")
    session.current = chosen[2]
    assert list(np.flatnonzero(dock.intervention.view.edit.mask)) == [chosen[2]]


def test_the_waterfall_marks_what_is_edited(dock, session):
    dock.set.k_slider.box.setValue(2)
    terms = dock.result.waterfall.terms
    assert [term.kind for term in terms[:3]] == ["bias", "latent", "latent"]
    assert [term.edited for term in terms if term.kind == "latent"] == [True, True] + [False] * 6
    assert terms[-3].name == f"{len(session.maps.latents) - 8} others"
    sizes = [abs(term.value) for term in terms if term.kind == "latent"]
    assert sizes == sorted(sizes, reverse=True)
    choose(dock.set.form_box, "replace")
    assert "error" not in [term.kind for term in dock.result.waterfall.terms]
    assert dock.result._heads[1].text() == "with SAE"


def test_undo_takes_back_a_drag_at_once(dock, qtbot):
    slider = dock.set.k_slider
    for position in range(100, 600, 20):
        slider.slider.setValue(position)
    slider.slider.sliderReleased.emit()
    dragged = slider.k
    choose(dock.set.mode_box, "keep")
    qtbot.mouseClick(dock.set.undo_button, Qt.MouseButton.LeftButton)
    assert (dock.intervention.state.mode, dock.intervention.state.k) == ("zero", dragged)
    qtbot.mouseClick(dock.set.undo_button, Qt.MouseButton.LeftButton)
    assert dock.intervention.state.k == 0
    assert not dock.set.undo_button.isEnabled()
    assert slider.k == 0
    qtbot.mouseClick(dock.set.redo_button, Qt.MouseButton.LeftButton)
    assert slider.k == dragged
    qtbot.mouseClick(dock.set.reset_button, Qt.MouseButton.LeftButton)
    assert not dock.intervention.is_on
    qtbot.mouseClick(dock.set.undo_button, Qt.MouseButton.LeftButton)
    assert slider.k == dragged


def test_the_slider_reaches_every_k(qtbot):
    slider = KSlider()
    qtbot.addWidget(slider)
    slider.set_most(16_384)
    slider.show_k(0)
    found = []
    slider.moved.connect(found.append)
    for _ in range(300):
        qtbot.keyClick(slider.slider, Qt.Key.Key_Right)
        slider.show_k(slider.k)
    assert found == list(range(1, 301))
    qtbot.keyClick(slider.slider, Qt.Key.Key_Left)
    assert slider.k == 299
    slider.slider.setValue(slider.slider.maximum())
    assert slider.k == 16_384
    slider.slider.setValue(0)
    assert slider.k == 0


def test_without_my_spurious_latents_is_one_switch(dock, session, viewer, model, qtbot):
    plain = viewer.canvas.overlays[PREDICTION]
    qtbot.waitUntil(lambda: plain.visible)
    press(qtbot, dock.set.switch)
    assert "No latent is marked spurious" in dock.set.note.text()
    assert dock.set.banner.text == ""
    press(qtbot, dock.set.switch)
    spurious = session.maps.latents[[2, 5]]
    judge(dock, spurious)
    assert "(2)" in dock.set.switch.text()
    press(qtbot, dock.set.switch)
    factor = np.ones(64)
    factor[spurious] = 0
    expected = plain_logits(model, session.maps, factor, "delta")
    np.testing.assert_allclose(dock.intervention.view.effect.after, expected, atol=1e-6)
    assert dock.set.banner.text.startswith(f"{BANNER}: without 2 spurious latents")
    overlay = viewer.canvas.overlays[EDITED]
    assert overlay.visible
    assert not plain.visible
    assert overlay.text.startswith(BANNER)
    assert f"mass {1 / (1 + np.exp(-expected[0])):.3f}" in overlay.text
    assert not dock.set.panel.isEnabled()
    np.testing.assert_array_equal(dock.intervention.view.edit.targets, factor == 0)

    judge(dock, session.maps.latents[:1])  # one more verdict, at once
    assert dock.intervention.view.edit.mask.sum() == 3
    look_at(qtbot, viewer, dock, 1, "next")  # the next image is edited too, and says so
    qtbot.wait(50)
    assert overlay.visible
    assert not plain.visible
    press(qtbot, dock.set.switch)
    assert not overlay.visible
    assert plain.visible
    assert not dock.intervention.is_on


def test_the_edit_outlives_its_dock(dock, session, viewer, qtbot):
    dock.set.k_slider.box.setValue(3)
    text = viewer.canvas.overlays[EDITED].text
    dock.cleanup()
    gone = weakref.ref(dock)
    again = make_dock(qtbot, viewer)
    assert viewer.canvas.overlays[EDITED].visible
    assert again.set.banner.text
    assert again.set.k_slider.k == 3
    assert gone() is not None
    again.set.k_slider.box.setValue(4)
    assert viewer.canvas.overlays[EDITED].text != text


def test_blind_judging_hides_numbers_not_the_banner(dock, session, viewer, run):
    dock.set.k_slider.box.setValue(3)
    assert "logit" in viewer.canvas.overlays[EDITED].text
    session.blind = True
    assert "logit" not in viewer.canvas.overlays[EDITED].text
    assert BANNER in viewer.canvas.overlays[EDITED].text
    assert dock.result.isHidden()
    assert dock.run.move_part.isHidden()
    session.blind = False
    assert "logit" in viewer.canvas.overlays[EDITED].text


@pytest.mark.parametrize("limit", [0.0053, 0.0091, 0.017, 0.1, 0.23, 0.7, 0.8, 1.0, 1.6, 1.99, 5.0, 9.9, 83.0, 1e-12])
def test_the_colour_bar_of_the_logit_map_has_numbers_on_both_sides(limit):
    rounded = readable_limit(limit)
    assert 1 <= rounded / limit <= 4 / 3 + 1e-9
    axis = AxisVisual(pos=np.array([(1.0, 1.0), (1.0, 0.0)]), domain=(-rounded, rounded))  # as napari has it
    axis.transforms.dpi = 96
    numbers = [float(text) for text in axis.ticker.get_update()[1]]
    assert min(numbers) < 0 < max(numbers)
    assert max(numbers) >= rounded / 2


def test_the_logit_map_lies_on_the_image(dock, session, viewer, model):
    dock.set.k_slider.box.setValue(4)
    choose(dock.result.map_box, "difference")
    layer, view = owned(viewer).find("logit map"), dock.intervention.view
    np.testing.assert_allclose(layer.data.sum(dtype=float), view.effect.after[0] - view.effect.before[0], atol=1e-5)
    low, high = layer.contrast_limits
    assert low == -high
    assert 1 <= high / np.abs(layer.data).max() <= 4 / 3  # rounded up
    np.testing.assert_allclose(
        layer.affine.affine_matrix, cell_affine(session.maps.frame, session.maps.shape[1:]), atol=1e-9
    )
    choose(dock.result.map_box, "before")
    before = layer.data.copy()
    by_hand = np.tensordot(model.facts.attribution[0, session.maps.latents], session.maps.values, 1) / 96
    np.testing.assert_allclose(before, by_hand, atol=1e-6)
    total = before.sum(dtype=float) + model.facts.constant[0] + intervene_kit.ERROR[0]
    assert total == pytest.approx(session.maps.logits[0], abs=1e-5)
    limits = layer.contrast_limits
    choose(dock.result.map_box, "after")
    assert layer.contrast_limits == limits
    dock.set.k_slider.box.setValue(64)
    assert not layer.data.any()
    choose(dock.result.class_box, "suspicious_calcification")
    assert dock.intervention.state.logit == 1
    assert owned(viewer).facts(layer)["edit"]["mode"] == "zero"
    viewer.layers.remove(layer)
    assert dock.result.map_box.currentData() == "none"
    middle = layer.colormap.map(np.array([0.5]))[0]
    assert middle[3] == pytest.approx(0, abs=0.02)


def test_inside_a_drawn_region(dock, session, viewer, model, qtbot):
    region_layer = Shapes([np.array([[40.0, 20], [40, 200], [300, 200], [300, 20]])], shape_type="rectangle")
    assert not dock.set.region_check.isEnabled()
    owned(viewer).add(region_layer, "region")
    assert dock.set.region_check.isEnabled()
    dock.set.k_slider.box.setValue(64)
    press(qtbot, dock.set.region_check)
    region = dock.intervention.sources.region
    assert 0 < region.sum() < region.size
    expected = plain_logits(model, session.maps, np.zeros(64), "delta", region)
    np.testing.assert_allclose(dock.intervention.view.effect.after, expected, atol=1e-6)
    choose(dock.set.source_box, "region")
    dock.set.k_slider.box.setValue(1)
    inside = session.maps.values[:, region].sum(axis=1) * model.facts.attribution[0, session.maps.latents]
    best = session.maps.latents[np.abs(inside).argmax()]
    assert list(np.flatnonzero(dock.intervention.view.edit.mask)) == [best]
    viewer.layers.remove(region_layer)
    assert "No region is drawn" in dock.set.note.text()
    assert not dock.intervention.is_on


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("", "empty"),
        ("64", "no latent 64; they go from 0 to 63"),
        ("3, x", "'x' is not the number of a latent"),
        ("9-3", "not a range"),
    ],
)
def test_wrong_sets_are_said_in_words(dock, numbers, words):
    choose(dock.set.source_box, "list")
    dock.set.list_edit.setText(numbers)
    dock.set.list_edit.editingFinished.emit()
    assert words in dock.set.note.text()
    assert dock.intervention.view is None
    assert not dock.export_button.isEnabled()
    assert dock.set.banner.text == ""


def test_all_latents_is_said(dock):
    dock.set.k_slider.box.setValue(64)
    assert "only the SAE error is left" in dock.set.note.text()
    choose(dock.set.form_box, "replace")
    assert "every image gets the same logit" in dock.set.note.text()


def test_lists_of_numbers_round_trip():
    assert numbers_of("3, 17 40-44;5") == [3, 17, 40, 41, 42, 43, 44, 5]
    assert text_of([44, 40, 41, 42, 43, 3, 17, 5, 18]) == "3, 5, 17, 18, 40-44"
    assert numbers_of(text_of([1, 2, 5])) == [1, 2, 5]
    assert text_of([]) == ""


def test_the_smallest_set_flips_the_decision(dock, session, qtbot):
    before = dock.intervention.view.effect.before[0] >= 0
    qtbot.mouseClick(dock.set.flip_button, Qt.MouseButton.LeftButton)
    view = dock.intervention.view
    assert (view.effect.after[0] >= 0) != before
    assert "flip" in dock.set.note.text()
    assert dock.intervention.state.source == "list"
    fewer = numbers_of(dock.intervention.state.numbers)
    for latent in fewer:  # without any one of them the decision stays
        dock.intervention.change(numbers=text_of([one for one in fewer if one != latent]) or "63")
        assert (dock.intervention.view.effect.after[0] >= 0) == before


def test_the_run_s_curve_and_flips(dock, session, run, model, qtbot, monkeypatch):
    assert dock.set.source_box.currentData() == "run"
    mass = run.label("mass")
    diff = run.dense[mass == 1].mean(0) - run.dense[mass == 0].mean(0)
    up = np.lexsort((np.arange(64), -diff))
    down = np.lexsort((np.arange(64), diff))
    for k in (0, 3, 20, 64):
        dock.set.k_slider.box.setValue(k)
        mask = np.zeros(64, bool)
        mask[up[:k]] = mask[down[:k]] = True
        logits = run.logits[:, 0] - run.dense[:, mask] @ model.facts.attribution[0, mask]
        idle(qtbot, dock)
        assert dock.over_run.curve.at(k)["auroc"] == pytest.approx(auroc(mass, logits.round(9)), abs=1e-9)
        flipped = np.flatnonzero((run.logits[:, 0] >= 0) != (logits >= 0))
        assert [row for row, _, _ in dock.over_run.move.flip_rows()] == list(flipped)
        assert f"→ {auroc(mass, logits):.4f}; {flipped.size} of 60" in dock.run.move_part.measures.text()
        assert dock.run.plot.marker.value() == pytest.approx(np.log1p(k))
    dock.run.plot.marker.setValue(np.log1p(7))
    dock.run.plot.marker.sigDragged.emit(dock.run.plot.marker)
    assert dock.intervention.state.k == 7
    assert dock.set.k_slider.k == 7
    opened = []
    monkeypatch.setattr(dock.workspace.browser, "show", opened.append)
    first = dock.over_run.move.flips.index(0)
    assert run.images["image_id"].iloc[dock.over_run.move.flip_rows()[0][0]] in first.data()
    dock.run.move_part.list.clicked.emit(first)
    assert opened == [dock.over_run.move.flip_rows()[0][0]]
    assert dock.over_run.move.flips.rowCount(QModelIndex()) == len(dock.over_run.move.flip_rows())


def test_the_protocol_of_the_paper_ranks_and_scores_on_other_rows(dock, run, model, qtbot):
    idle(qtbot, dock)
    n = len(run)
    run.images["split"] = ["training"] * 30 + ["test"] * (n - 30)
    run.rows = run.images.iloc[[*range(n), 0, 40, 40]][["image", "split", "label.mass"]].reset_index(drop=True)
    dock.run.protocol_box.click()
    idle(qtbot, dock)
    ranked, scored = [*range(30), 0], [*range(30, n), 40, 40]
    mass, dense = run.label("mass"), run.dense
    rank_mass = mass[ranked] == 1
    diff = dense[ranked][rank_mass].mean(0) - dense[ranked][~rank_mass].mean(0)
    mask = np.zeros(64, bool)
    mask[np.lexsort((np.arange(64), -diff))[:5]] = mask[np.lexsort((np.arange(64), diff))[:5]] = True
    logits = run.logits[scored, 0] - dense[scored][:, mask] @ model.facts.attribution[0, mask]
    assert dock.over_run.curve.at(5)["auroc"] == pytest.approx(auroc(mass[scored], logits.round(9)), abs=1e-9)
    assert dock.over_run.note.endswith(f"{n - 28} of {n + 3} finding rows used, 31 left out: 31 not of split test.")


def test_intervals_come_later(dock, run, qtbot):
    qtbot.waitUntil(lambda: dock.over_run.bands is not None, timeout=20_000)
    bands = dock.over_run.bands
    inside = [dock.over_run.curve.at(int(k))["auroc"] for k in bands.ks]
    assert (bands.low <= inside).all()
    assert (inside <= bands.high).all()
    choose(dock.set.mode_box, "keep")
    assert dock.over_run.bands is None
    idle(qtbot, dock)
    assert dock.over_run.curve.mode == "keep"


def test_a_hand_made_set_gets_its_intervals_a_moment_later(dock, run, qtbot):
    move, part = dock.over_run.move, dock.run.move_part
    dock.intervention.change(source="list", numbers="1, 2, 4")
    assert "→" in part.measures.text()
    assert part.intervals.text() == run_move.PENDING
    qtbot.waitUntil(lambda: move.effect is not None, timeout=20_000)
    row = effect(dock.over_run.effects.cohort, dock.intervention.view.edit).set_index("measure").loc["auroc"]
    said = part.intervals.text().replace("−", "-")
    assert f"[{row['before_lo']:.3f}, {row['before_hi']:.3f}] → [{row['after_lo']:.3f}" in said
    assert f"change {row['change']:+.4f} [{row['change_lo']:+.3f}, {row['change_hi']:+.3f}]" in said
    dock.intervention.map_kind = "after"  # nothing that the figures depend on
    assert move.effect is not None
    dock.intervention.change(numbers="1, 2")
    assert move.effect is None
    assert part.intervals.text() == run_move.PENDING
    dock.intervention.change(numbers="")
    assert part.measures.text() == part.intervals.text() == ""


def test_intervals_of_an_edit_changed_meanwhile_are_dropped(dock, run, qtbot):
    move, part = dock.over_run.move, dock.run.move_part
    dock.intervention.change(source="list", numbers="1")
    move._later.cancel()
    move._bootstrap()
    dock.intervention.change(numbers="2")
    qtbot.waitUntil(lambda: move.effect is not None, timeout=20_000)
    row = effect(dock.over_run.effects.cohort, dock.intervention.view.edit).set_index("measure").loc["auroc"]
    assert f"{row['change']:+.4f}" in part.intervals.text().replace("−", "-")


def test_too_few_patients_for_intervals_is_said(dock, model, qtbot):
    few = intervene_kit.MemoryRun(model, n=6)
    few.images["label.mass"] = [0, 1] * 3
    dock.session.run = few
    idle(qtbot, dock)
    dock.intervention.change(source="list", numbers="1")
    qtbot.waitUntil(lambda: dock.over_run.move.effect is not None, timeout=20_000)
    assert "No intervals: too few patients" in dock.run.move_part.intervals.text()


def test_a_region_cannot_be_said_for_a_run(dock, run, viewer):
    owned(viewer).add(Shapes([np.array([[40.0, 20], [40, 200], [300, 200], [300, 20]])]), "region")
    dock.intervention.change(inside_region=True, k=3)
    assert "region needs the maps" in dock.run.move_part.measures.text()
    assert dock.over_run.move.flip_rows() == []


def test_a_run_of_another_sae(dock, model, qtbot):
    other = intervene_kit.MemoryRun(intervene_kit.TailModel(sae_sha256="t" * 64))
    dock.session.run = other
    idle(qtbot, dock)
    assert "made with another SAE" in dock.run.note.text()
    assert dock.over_run.effects is None
    dock.intervention.change(source="run", k=3)
    assert "The run is not ranked yet" in dock.set.note.text()


def test_one_class_only(dock, run, qtbot):
    choose(dock.result.class_box, "suspicious_calcification")
    idle(qtbot, dock)
    assert "1 class" in dock.run.note.text()
    choose(dock.result.class_box, "mass")
    idle(qtbot, dock)
    assert dock.over_run.curve is not None
    dock.session.run = None
    assert dock.run.choosers.isHidden()
    assert "Open a run" in dock.run.note.text()


def test_export_carries_mask_mode_and_hashes(dock, session, run, model, tmp_path, qtbot, monkeypatch):
    dock.set.k_slider.box.setValue(5)
    idle(qtbot, dock)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "edit.csv"), ""))
    qtbot.mouseClick(dock.export_button, Qt.MouseButton.LeftButton)
    assert not dock.export_button.isEnabled()
    idle(qtbot, dock)
    assert dock.status.text().startswith("Wrote edit.csv")
    names = sorted(path.name for path in tmp_path.iterdir())
    tables = ["edit.csv", "edit.curve.csv", "edit.effect.csv", "edit.flips.csv"]
    assert names == [*tables, "edit.json", "edit.png", "edit.terms.csv"]
    view = dock.intervention.view
    latents = np.flatnonzero(view.edit.mask)
    table = pd.read_csv(tmp_path / "edit.csv")
    np.testing.assert_array_equal(table["logit_after"], view.effect.after)
    np.testing.assert_array_equal(table["probability_after"], view.after)
    for name in ("edit.csv", "edit.terms.csv", "edit.curve.csv"):
        rows = pd.read_csv(tmp_path / name)
        assert set(rows["mode"]) == {"zero"}
        assert set(rows["sae_sha256"]) == {model.facts.sae_sha256}
        assert numbers_of(rows["latents"].iloc[0]) == list(latents)
    terms = pd.read_csv(tmp_path / "edit.terms.csv")
    assert terms["value"].sum() == pytest.approx(view.effect.after[0], abs=1e-5)
    curve = pd.read_csv(tmp_path / "edit.curve.csv").set_index("k")
    assert curve.loc[5, "auroc"] == dock.over_run.move.moved.measures["auroc"]
    assert len(pd.read_csv(tmp_path / "edit.flips.csv")) == len(dock.over_run.move.flip_rows())
    changes = pd.read_csv(tmp_path / "edit.effect.csv").set_index("measure")  # though exported before it was shown
    cohort = dock.over_run.effects.cohort
    pd.testing.assert_frame_equal(
        changes[["before", "after", "change_lo", "change_hi"]],
        effect(cohort, view.edit).set_index("measure")[["before", "after", "change_lo", "change_hi"]],
    )
    record = json.loads((tmp_path / "edit.json").read_text())
    assert record["edit"]["latents"] == latents.tolist()
    assert record["settings"]["run"] == "made-up"
    maps = session.maps
    assert bool(record["settings"]["disagreements"]) == ((maps.logits >= 0) != (maps.logits_sae >= 0)).any()
    assert "not for diagnosis" in record["notice"]
    assert str(tmp_path) not in (tmp_path / "edit.json").read_text()


@pytest.mark.parametrize(("name", "start"), [("edit.pdf", b"%PDF"), ("edit.svg", b"<?xml"), ("edit.png", b"\x89PNG")])
def test_the_figure_is_of_the_kind_asked_for(dock, qtbot, tmp_path, name, start):
    dock.set.k_slider.box.setValue(5)
    dock.exporter.export(tmp_path / name)
    idle(qtbot, dock)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert (tmp_path / "edit.csv").exists()


def test_the_caption_says_what_was_done_and_to_what(dock, session, qtbot, tmp_path):
    choose(dock.set.source_box, "list")
    latents = [int(latent) for latent in session.maps.latents[:2]]
    dock.set.list_edit.setText(text_of(latents))
    dock.set.list_edit.editingFinished.emit()
    qtbot.mouseClick(dock.caption_button, Qt.MouseButton.LeftButton)
    text, effect = QGuiApplication.clipboard().text(), dock.intervention.view.effect
    assert f"2 latents ({latents[0]}, {latents[1]}) set to zero" in text
    assert f"{effect.before[0]:.3f} before and {effect.after[0]:.3f} after" in text
    assert session.image.image_id in text
    assert "not for diagnosis" in text
    dock.exporter.export(tmp_path / "edit.csv")
    idle(qtbot, dock)
    assert json.loads((tmp_path / "edit.json").read_text())["caption"] == text


def test_an_export_goes_on_when_the_dock_is_closed(dock, qtbot, tmp_path):
    dock.set.k_slider.box.setValue(5)
    dock.exporter.export(tmp_path / "edit.csv")
    jobs, workspace = dock.exporter.jobs, dock.workspace
    dock.cleanup()
    qtbot.waitUntil(lambda: not jobs.busy, timeout=10_000)
    assert (tmp_path / "edit.json").exists()
    assert workspace.status.last_told[0].startswith("Wrote edit.csv")


def test_an_export_that_fails_is_said(dock, qtbot, tmp_path):
    dock.set.k_slider.box.setValue(5)
    dock.exporter.export(tmp_path / "missing" / "edit.csv")
    idle(qtbot, dock)
    assert dock.status.text() != ""
    assert dock.export_button.isEnabled()


def test_nothing_computed_yet(qtbot, viewer, model):
    dock = make_dock(qtbot, viewer)
    assert "Compute the latents" in dock.set.note.text()
    dock.intervention.change(k=5)
    assert dock.intervention.view is None
    dock.workspace.close()


def test_another_model_starts_afresh(dock, session, viewer, qtbot, monkeypatch):
    dock.set.k_slider.box.setValue(5)
    session.handle = intervene_kit.TailModel(sae_sha256="t" * 64)
    assert dock.intervention.state.k == 0
    assert not dock.intervention.can_undo
    assert not viewer.canvas.overlays[EDITED].visible


def test_the_dock_fits_a_laptop(dock, run):
    dock.set.k_slider.box.setValue(3)
    assert dock.minimumSizeHint().height() <= 480
    assert dock.minimumSizeHint().width() <= 400


def test_nothing_keeps_the_viewer_alive(qtbot, model):
    viewer = ViewerModel()
    dock = InterveneDock(viewer)
    look_at(qtbot, viewer, dock)
    dock.set.k_slider.box.setValue(3)
    dock.cleanup()
    dock.workspace.close()
    gone = weakref.ref(viewer)
    del viewer
    dock.deleteLater()
    del dock
    qtbot.waitUntil(lambda: gc.collect() is not None and gone() is None)


# The curve under the mouse and the keyboard


def test_a_drag_or_a_click_on_the_curve_sets_k_and_ctrl_z_undoes_it(dock, run, qtbot):
    dock.show()
    dock.activateWindow()
    dock.tabs.setCurrentIndex(1)
    plot, one = dock.run.plot, dock.intervention
    qtbot.waitUntil(lambda: dock.over_run.curve is not None)
    one.change(k=3)
    one.settle()
    view = plot.plotItem.vb
    qtbot.waitUntil(lambda: view.width() > 100)

    def place_of(k):
        return plot.mapFromScene(view.mapViewToScene(QPointF(np.log1p(k), np.mean(view.viewRange()[1]))))

    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place_of(20))
    assert abs(one.state.k - 20) <= 1
    qtbot.waitUntil(plot.hasFocus)
    plot.marker.setValue(np.log1p(7))
    plot.marker.sigDragged.emit(plot.marker)
    assert one.state.k == 7
    plot.marker.sigPositionChangeFinished.emit(plot.marker)
    qtbot.keyClick(plot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert abs(one.state.k - 20) <= 1
    qtbot.keyClick(plot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert one.state.k == 3


def test_the_curve_is_not_shown_for_another_set(dock, run, session, qtbot):
    dock.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: dock.over_run.curve is not None)
    part = dock.run
    assert part.plot.isVisibleTo(part)
    dock.set.flip_button.click()
    assert dock.intervention.state.source == "list"
    assert not part.plot.isVisibleTo(part)
    assert "best of the run" in part.other_set.text()
    assert part.other_set.isVisibleTo(part)
    dock.intervention.undo()
    assert part.plot.isVisibleTo(part)


def test_a_set_that_is_larger_than_k_says_why(dock, run, qtbot):
    dock.intervention.change(source="run", direction="both", k=5)
    size = int(dock.intervention.view.edit.mask.sum())
    assert 5 < size <= 10
    assert dock.set.note.text().startswith(f"The best 5 of each class: a set of {size};")
    dock.intervention.change(direction="up")
    assert dock.set.note.text().startswith("A set of 5;")


def test_a_run_without_labels_leaves_the_prediction_and_its_map(dock, run, session, viewer, model, qtbot):
    dock.show()
    assert dock.set.source_box.currentData() == "run"
    dock.intervention.map_kind = "before"
    unlabelled = intervene_kit.MemoryRun(model)
    unlabelled.images = unlabelled.images.drop(columns=["label.mass", "label.suspicious_calcification"])
    session.run = unlabelled
    idle(qtbot, dock)
    assert owned(viewer).find("logit map") is not None
    assert dock.set.source_box.currentData() == "image"
    dock.set.k_slider.box.setValue(3)
    assert dock.intervention.view.edit.mask.sum() == 3
    assert dock.set.banner.isVisible()
    dock.set.reset_button.click()
    assert "has no label for this prediction" in dock.over_run.note


def test_the_form_to_begin_with_is_the_command_s():
    from inspect import signature

    from napari_mammosae.cli.intervene import intervene

    assert EditState().form == signature(intervene).parameters["form"].default


def test_the_banner_moves_no_control(dock, session, qtbot):
    dock.resize(400, 700)
    dock.show()
    before = dock.set.k_slider.mapTo(dock, QPoint(0, 0))
    dock.intervention.change(source="image", k=5)
    qtbot.waitUntil(dock.set.banner.isVisible)
    assert dock.set.k_slider.mapTo(dock, QPoint(0, 0)) == before


def test_a_click_on_a_bar_goes_to_its_latent_and_verdicts_stand_beside_the_bars(dock, session, qtbot):
    plot = dock.result.waterfall
    row, term = next((row, term) for row, term in enumerate(plot.terms) if term.kind == "latent")
    dock.resize(420, 700)
    dock.show()
    qtbot.waitExposed(dock)
    session.current = next(other.latent for other in plot.terms if other.latent not in (-1, term.latent))

    def click(line):
        at = plot.plotItem.vb.mapViewToScene(QPointF(0.0, -line)).toPoint()
        qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=plot.mapFromScene(QPointF(at)))

    click(row)
    assert session.current == term.latent == int(term.name)
    click(0)  # the bias belongs to no latent
    assert session.current == term.latent
    assert plot.remarks == []
    session.verdicts = {term.latent: "spurious: view marker"}.get
    assert [item.toPlainText() for item in plot.remarks] == ["spurious: view marker"]


def test_bars_of_the_waterfall_say_what_latents_are_called(qtbot):
    plot = WaterfallPlot()
    qtbot.addWidget(plot)
    terms = [
        Term("bias", 0.1, "bias"),
        Term("88", 0.5, "latent"),
        Term("3", -0.2, "latent"),
        Term("9 others", 0, "rest"),
    ]
    called = {88: "view marker?", 3: "a name much longer than there is room for"}
    plot.show_terms(terms, called.__getitem__)
    axis = plot.getAxis("left")
    titles = [title for _, title in axis._tickLevels[0]]
    assert titles == ["bias", "88 view marker?", "3 a name much longer …", "9 others"]
    named = axis.fixedWidth
    plot.show_terms(terms, lambda _: "")
    assert [title for _, title in axis._tickLevels[0]] == ["bias", "88", "3", "9 others"]
    assert axis.fixedWidth < named

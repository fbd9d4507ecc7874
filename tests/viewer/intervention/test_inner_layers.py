"""The Intervene dock with an SAE on an inner layer: every edit is a pass through a small real network."""

import json
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import intervene_kit
import tiny
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.process.local import LocalModel
from napari_mammosae.viewer.docks import InterveneDock
from napari_mammosae.viewer.image import tasks
from napari_mammosae.viewer.intervention.layers import EDITED
from napari_mammosae.viewer.intervention.tasks import pass_edit

LAYER = "blocks.4"
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def model(tiny_model, monkeypatch):
    inner = replace(load_model(tiny_model, device="cpu"), layer=LAYER, sae=None)
    torch.manual_seed(0)
    sae = SparseAutoencoder(inner.width, 40)
    for weight in (sae.encoder_weight, sae.decoder_weight):
        torch.nn.init.normal_(weight, std=inner.width**-0.5)
    inner = replace(inner, sae=sae, sae_sha256="i" * 64)
    monkeypatch.setattr(tasks, "load", lambda models, choice, report: LocalModel(inner))
    return inner


@pytest.fixture
def dock(qtbot, qapp, model):
    viewer = ViewerModel()
    dock = InterveneDock(viewer)
    dock.viewer_for_test = viewer
    qtbot.addWidget(dock)
    dock.workspace.images.use_layer(viewer.add_image(tiny.picture(), name="phantom"))
    idle(qtbot, dock)
    dock.workspace.images.compute()
    idle(qtbot, dock)
    yield dock
    idle(qtbot, dock)
    dock.workspace.close()


def idle(qtbot, dock):
    one, over_run = dock.intervention, dock.over_run
    jobs = (dock.workspace.jobs, one.passing, over_run.jobs, over_run.move.jobs, dock.exporter.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=20_000)


def choose(box, key):
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


def by_hand(model, image, latents, form, mode="zero"):
    """Edit the latents of the network itself, position by position, and let it go on."""
    with torch.inference_mode():
        features = model.features(image.to_input(model.preprocessing))
        z = model.encode(features)
        factor = torch.full((z.shape[1],), float(mode == "zero"))
        factor[latents] = float(mode == "keep")
        edited = model.decode(z * factor[None, :, None, None])
        if form == "delta":
            edited = features + edited - model.decode(z)
        return model.logits(edited)[0].numpy()


def shown(dock, line):
    probability, logit = dock.result.after_text(line).rstrip(")").split(" (")
    return float(probability), float(logit)


def compute(qtbot, dock):
    qtbot.mouseClick(dock.passing.compute_button, LEFT)
    idle(qtbot, dock)


def test_nothing_is_edited_at_first(dock):
    assert LAYER in dock.passing.why.text()
    assert "exact, by a pass through the rest of the network" in dock.passing.why.text()
    assert not dock.passing.compute_button.isEnabled()
    assert not dock.intervention.is_on
    assert dock.result.waterfall.isHidden()
    assert dock.result.map_box.isHidden()
    assert not dock.set.flip_button.isEnabled()
    assert shown(dock, 0)[1] == pytest.approx(dock.session.maps.logits_sae[0], abs=0.006)


@pytest.mark.parametrize("form", ["delta", "replace"])
@pytest.mark.parametrize("mode", ["zero", "keep"])
def test_a_pass_is_what_the_network_says(dock, model, qtbot, form, mode):
    choose(dock.set.form_box, form)
    choose(dock.set.mode_box, mode)
    dock.set.k_slider.box.setValue(5)
    assert "not computed yet" in dock.set.note.text()
    assert dock.result.isHidden()
    assert not dock.intervention.is_on
    compute(qtbot, dock)
    latents = np.argsort(-dock.session.maps.pooled_mean, kind="stable")[:5]
    expected = by_hand(model, dock.session.image, latents, form, mode)
    np.testing.assert_allclose(dock.intervention.view.effect.after, expected, rtol=1e-5)
    for line, logit in enumerate(expected):
        assert shown(dock, line)[1] == pytest.approx(logit, abs=0.006)
    assert dock.intervention.is_on
    assert "edited" in dock.viewer_for_test.canvas.overlays[EDITED].text


def test_a_result_belongs_to_its_settings(dock, qtbot):
    dock.set.k_slider.box.setValue(5)
    compute(qtbot, dock)
    five = dock.intervention.view.effect.after
    dock.set.k_slider.box.setValue(6)
    assert dock.intervention.view is None
    assert dock.set.banner.text == ""
    assert not dock.viewer_for_test.canvas.overlays[EDITED].visible
    assert dock.passing.compute_button.isEnabled()
    dock.set.k_slider.box.setValue(5)  # going back needs no pass
    np.testing.assert_array_equal(dock.intervention.view.effect.after, five)
    assert not dock.passing.compute_button.isEnabled()
    dock.intervention.undo()
    dock.intervention.reset()
    assert not dock.intervention.is_on


def test_settings_changed_during_a_pass(dock, qtbot, monkeypatch):
    go, real = threading.Event(), pass_edit

    def slow(*args):
        go.wait(10)
        return real(*args)

    monkeypatch.setattr("napari_mammosae.viewer.intervention.controller.pass_edit", slow)
    dock.set.k_slider.box.setValue(5)
    qtbot.mouseClick(dock.passing.compute_button, LEFT)
    assert not dock.passing.compute_button.isEnabled()
    assert not dock.passing.progress.isHidden()
    dock.set.k_slider.box.setValue(7)
    go.set()
    idle(qtbot, dock)
    assert dock.intervention.view is None
    assert dock.intervention.awaited.mask.sum() == 7
    dock.set.k_slider.box.setValue(5)
    assert dock.intervention.view is not None


def test_a_pass_can_be_cancelled(dock, qtbot, monkeypatch):
    go = threading.Event()

    def slow(handle, image, key, edit, report):
        report("Passing", 0, 2)
        go.wait(10)
        report("Passing", 1, 2)
        raise AssertionError("went on after it was cancelled")

    monkeypatch.setattr("napari_mammosae.viewer.intervention.controller.pass_edit", slow)
    dock.set.k_slider.box.setValue(5)
    qtbot.mouseClick(dock.passing.compute_button, LEFT)
    qtbot.mouseClick(dock.passing.progress.cancel_button, LEFT)
    go.set()
    idle(qtbot, dock)
    assert dock.intervention.view is None
    assert dock.passing.compute_button.isEnabled()
    assert dock.passing.status.text() == ""


def test_what_goes_wrong_in_a_pass_is_said(dock, qtbot, monkeypatch):
    def broken(*args):
        raise RuntimeError("no room")

    monkeypatch.setattr("napari_mammosae.viewer.intervention.controller.pass_edit", broken)
    dock.set.k_slider.box.setValue(5)
    compute(qtbot, dock)
    assert dock.passing.status.text() == "no room"
    assert dock.passing.compute_button.isEnabled()


def test_another_image_forgets_the_passes(dock, qtbot):
    dock.set.k_slider.box.setValue(5)
    compute(qtbot, dock)
    dock.workspace.images.use_layer(dock.viewer_for_test.add_image(tiny.picture(1), name="other"))
    idle(qtbot, dock)
    assert dock.intervention.passes.key == ""
    dock.workspace.images.compute()
    idle(qtbot, dock)
    assert dock.intervention.view is None
    assert dock.passing.compute_button.isEnabled()


def test_passes_go_on_from_the_features_of_the_image_s_latents(dock, model, qtbot, monkeypatch):
    calls = []
    real = model.features
    monkeypatch.setattr(model, "features", lambda x: calls.append(1) or real(x))
    for k in (3, 4):
        dock.set.k_slider.box.setValue(k)
        compute(qtbot, dock)
    assert dock.intervention.passes.key == dock.session.maps.key != ""
    assert calls == []


def test_features_that_are_not_kept_are_computed_once(dock, model, qtbot, monkeypatch):
    dock.session.maps = replace(dock.session.maps, key="")  # as a run has them
    calls = []
    real = model.features
    monkeypatch.setattr(model, "features", lambda x: calls.append(1) or real(x))
    for k in (3, 4):
        dock.set.k_slider.box.setValue(k)
        compute(qtbot, dock)
        latents = np.argsort(-dock.session.maps.pooled_mean, kind="stable")[:k]
        found = dock.intervention.view.effect.after
        np.testing.assert_allclose(found, by_hand(model, dock.session.image, latents, "replace"), rtol=1e-5)
    assert len(calls) == 1 + 2  # for the passes, and by hand


@pytest.mark.parametrize("method", ["integrated", "gradient"])
def test_contributions_are_drawn_with_what_they_leave_open(dock, model, qtbot, method):
    choose(dock.passing.method_box, method)
    qtbot.mouseClick(dock.passing.contribution_button, LEFT)
    idle(qtbot, dock)
    maps = dock.session.maps
    features = model.features(dock.session.image.to_input(model.preprocessing))
    expected = contributions_of(model, features, method)
    assert f"completeness error {expected.error[0]:+.3f}" in dock.passing.completeness.text()
    terms = {term.name: term.value for term in dock.result.waterfall.terms}
    assert terms["left open"] == pytest.approx(expected.error[0], rel=1e-3, abs=1e-5)
    assert sum(terms.values()) == pytest.approx(maps.logits_sae[0], rel=1e-4)
    assert dock.result.map_box.isHidden()
    dock.set.k_slider.box.setValue(3)
    best = np.argsort(-np.abs(expected.spread(40)[0]), kind="stable")[:3]
    assert set(np.flatnonzero(dock.intervention.awaited.mask)) == set(best)
    assert dock.set.source_box.itemText(dock.set.source_box.findData("image")) == "strongest here"
    compute(qtbot, dock)
    terms = dock.result.waterfall.terms
    assert sum(term.value for term in terms) == pytest.approx(dock.intervention.view.effect.after[0], rel=1e-4)
    assert {int(term.name) for term in terms if term.edited} <= set(best)
    dock.workspace.images.use_layer(dock.viewer_for_test.add_image(tiny.picture(1), name="other"))
    idle(qtbot, dock)
    assert dock.intervention.sources.contributions is None


def test_a_run_gives_sets_but_no_curve(dock, model, qtbot):
    tail = intervene_kit.TailModel(n_latents=40, attribution=np.random.default_rng(1).normal(0, 1, (2, 40)))
    run = intervene_kit.MemoryRun(tail)
    run.info["sae_sha256"] = model.sae_sha256
    dock.session.run = run
    idle(qtbot, dock)
    assert LAYER in dock.run.note.text()
    assert dock.over_run.effects is None
    assert dock.run.plot.isHidden()
    assert dock.set.source_box.currentData() == "run"
    dock.set.k_slider.box.setValue(2)
    mass = run.label("mass")
    diff = run.dense[mass == 1].mean(0) - run.dense[mass == 0].mean(0)
    union = {*np.lexsort((np.arange(40), -diff))[:2], *np.lexsort((np.arange(40), diff))[:2]}
    assert set(np.flatnonzero(dock.intervention.awaited.mask)) == union
    choose(dock.run.score_box, "attribution")
    idle(qtbot, dock)
    assert "not linear" in dock.run.note.text()


def test_export_without_terms_and_figure(dock, model, qtbot, tmp_path, monkeypatch):
    dock.set.k_slider.box.setValue(5)
    assert not dock.export_button.isEnabled()
    compute(qtbot, dock)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "edit.csv"), ""))
    qtbot.mouseClick(dock.export_button, LEFT)
    idle(qtbot, dock)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edit.csv", "edit.json"]
    table = pd.read_csv(tmp_path / "edit.csv")
    np.testing.assert_allclose(table["logit_after"], dock.intervention.view.effect.after)
    assert json.loads((tmp_path / "edit.json").read_text())["edit"]["mode"] == "zero"


def test_without_a_classifier_it_is_said(qtbot, qapp, model, monkeypatch):
    bare = replace(model, heads=())
    monkeypatch.setattr(tasks, "load", lambda models, choice, report: LocalModel(bare))
    viewer = ViewerModel()
    dock = InterveneDock(viewer)
    qtbot.addWidget(dock)
    dock.workspace.images.use_layer(viewer.add_image(tiny.picture(), name="phantom"))
    idle(qtbot, dock)
    dock.workspace.images.compute()
    idle(qtbot, dock)
    assert "no classifier" in dock.set.note.text()
    assert dock.passing.isHidden()
    dock.workspace.close()

"""Heads in the docks: one trained for a label of the open run, and which are shown."""

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.training.heads import logistic
from napari_mammosae.viewer.canvas.latent_view import Prediction, prediction_text
from napari_mammosae.viewer.canvas.texts import PREDICTION
from napari_mammosae.viewer.docks import InterveneDock, ModelDock
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.sessions.controller import keeper_of
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle, open_run_in
from runs_kit import write_images

COUNT = 20


@pytest.fixture(scope="module")
def path(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("heads")
    images = write_images(folder / "images", COUNT)
    table = {"image": [f"image-{i:03d}" for i in range(COUNT)], "patient": [f"p{i // 2}" for i in range(COUNT)]}
    table |= {"clip": [i % 2 for i in range(COUNT)], "rare": [int(i == 0) for i in range(COUNT)]}
    pd.DataFrame(table).to_csv(folder / "labels.csv", index=False)
    return write_run(images, tiny_model, folder / "run", labels=folder / "labels.csv", workers=0, maps=True).path


@pytest.fixture
def docks(qtbot, viewer, path, tiny_model, monkeypatch):
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01,))
    docks = ModelDock(viewer), InterveneDock(viewer)
    for dock in docks:
        qtbot.addWidget(dock)
    dock = docks[0]
    dock.images.choice = ModelChoice(str(tiny_model), device="cpu")
    dock.images.load()
    idle(qtbot, dock.workspace)
    open_run_in(qtbot, dock.workspace, path)
    assert dock.session.maps is not None
    return docks


def train(qtbot, dock, label):
    part = dock.heads
    part.label_box.setCurrentIndex(part.label_box.findData(label))
    part.train_button.click()
    qtbot.waitUntil(lambda: not part.heads.jobs.busy, timeout=60_000)


def test_a_head_is_trained_shown_ranked_and_edited(qtbot, viewer, docks, path):
    dock, intervene = docks
    session, part = dock.session, dock.heads
    assert part.label_box.currentData() == "clip"
    assert not part.button.isVisibleTo(dock)
    train(qtbot, dock, "clip")
    assert part.note.text().startswith("clip: AUROC ")
    assert "10 of 20 images are positive" in part.note.text()
    toml, run = path / "heads" / "model.toml", open_run(path)
    saved = load_model(toml, device="cpu").heads[-1]
    expected = run.features()[0].astype(float) @ saved.weight[0] + saved.bias[0]
    assert session.model.classes == ("mass", "suspicious_calcification", "clip")
    assert session.maps.logits[2] == pytest.approx(expected, abs=1e-6)
    attribution, constant = session.model.linear_tail()
    assert session.maps.logits_sae[2] == pytest.approx(constant[2] + attribution[2] @ session.maps.pooled_mean)
    # in the Intervene dock
    over_run = intervene.over_run
    intervene.intervention.change(logit=2)
    qtbot.waitUntil(lambda: over_run.effects is not None and not over_run.jobs.busy, timeout=20_000)
    assert over_run.labels == {"clip": None, "rare": "clip"}
    np.testing.assert_allclose(
        over_run.effects.cohort.logits[:, 0], run.features().astype(float) @ saved.weight[0] + saved.bias[0], atol=1e-9
    )
    over_run.choose(score="attribution")
    qtbot.waitUntil(lambda: over_run.effects is not None and not over_run.jobs.busy, timeout=20_000)
    best = int(np.argmax(attribution[2] * run.pooled("mean").toarray()[1::2].mean(axis=0)))
    assert over_run.ranking.entry("up", 2)[best] == 1


def test_heads_are_hidden_and_shown(qtbot, viewer, docks):
    dock, intervene = docks
    train(qtbot, dock, "clip")
    part = dock.heads
    assert [action.text() for action in part.menu.actions()] == ["classifier", "clip"]
    part.menu.actions()[0].trigger()
    assert dock.session.hidden_heads == ("classifier",)
    assert part.button.text().strip() == "Heads 1 of 2"
    text = viewer.canvas.overlays[PREDICTION].text
    assert text.split("\n")[-1].startswith("clip ")
    assert "mass" not in text
    shown = [label.text() for label in intervene.result._titles if label.isVisibleTo(intervene.result.table)]
    assert shown == ["clip"]
    part.menu.actions()[0].trigger()
    assert any(line.startswith("mass ") for line in viewer.canvas.overlays[PREDICTION].text.split("\n"))


def test_a_trained_head_comes_back_with_a_session(qtbot, docks, path, tmp_path, request):
    dock, session = docks[0], docks[0].session
    train(qtbot, dock, "clip")
    keeper_of(dock.workspace).save(tmp_path / "a.session.json")
    assert str(path) not in (tmp_path / "a.session.json").read_text()
    again = workspace_of(ViewerModel())
    request.addfinalizer(again.close)

    def restore():
        keeper_of(again).open(tmp_path / "a.session.json")
        qtbot.waitUntil(lambda: not keeper_of(again).busy, timeout=60_000)
        return again.status.last_told[0]

    assert restore() == "Session restored."
    assert again.session.model.classes == session.model.classes == ("mass", "suspicious_calcification", "clip")
    np.testing.assert_array_equal(again.session.model.heads[-1].weight, session.model.heads[-1].weight)
    np.testing.assert_allclose(again.session.maps.logits, session.maps.logits, atol=1e-6)
    again.images.unload()
    file, kept = path / "heads" / "clip.safetensors", b""
    try:
        kept = file.read_bytes()
        file.write_bytes(kept[:40])
        text = restore()
        assert "clip.safetensors has changed since" in text
        assert "the head clip (" in text
        file.unlink()
        again.images.unload()
        assert restore() == "Session restored, but clip.safetensors was not found."
        assert again.session.model.classes == ("mass", "suspicious_calcification")
    finally:
        file.write_bytes(kept)


def test_a_head_that_cannot_be_trained_says_why(qtbot, docks):
    train(qtbot, docks[0], "rare")
    assert "oo few patients with an image with 'rare' (1; at least 5 needed)" in docks[0].heads.note.text()
    assert docks[0].session.model.classes == ("mass", "suspicious_calcification")
    docks[0].workspace.opener.close_run()
    assert not docks[0].heads.isVisibleTo(docks[0])


def test_the_image_is_seen_however_many_heads_there_are():
    rows = [Prediction(f"finding {i}", 1.0, 0.73, -1.0, 0.27) for i in range(14)]
    lines = prediction_text(rows).split("\n")
    assert len(lines) == 6
    assert lines[4].startswith("finding 4 0.730 (+1.00)")
    assert lines[5] == "9 more in the dock"
    assert len(prediction_text(rows[:6]).split("\n")) == 6

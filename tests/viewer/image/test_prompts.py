"""The Prompt field in both docks: a text becomes a logit of the image shown, with its cosine, order and edits."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
import torch

import text_kit
import tiny
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.prompt_scores import score_image
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.naming.text.heads import text_head
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.process.local import LocalModel
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import InterveneDock, LatentsDock, ModelDock
from napari_mammosae.viewer.image.tasks import ModelChoice


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    return text_kit.write_model(tmp_path_factory.mktemp("prompted"))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return read_mammogram(tiny.write_image(tmp_path_factory.mktemp("image") / "a.png", 3))


@pytest.fixture
def docks(qtbot, viewer, toml, image):
    docks = ModelDock(viewer), InterveneDock(viewer)
    for dock in docks:
        qtbot.addWidget(dock)
    images = docks[0].images
    images.choice = ModelChoice(str(toml), device="cpu")
    viewer.add_layer(layers.mammogram_layer(image))
    idle(qtbot, docks)
    images.compute()
    idle(qtbot, docks)
    assert docks[0].session.maps is not None
    return docks


def idle(qtbot, docks):
    work = docks[0].workspace
    own = (work.jobs, work.images.prompts.jobs, docks[1].over_run.jobs, docks[1].over_run.move.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in own), timeout=20_000)


def ask(qtbot, docks, text, which=0):
    docks[which].prompt.field.setText(text)
    docks[which].prompt.field.returnPressed.emit()
    idle(qtbot, docks)


@pytest.mark.parametrize("which", [0, 1])
def test_a_prompt_is_asked_and_answered(qtbot, docks, toml, image, which):
    ask(qtbot, docks, "Mass | no mass", which)
    model = load_model(toml, device="cpu")
    head = text_head(model, "mass", "no mass")
    maps = compute_latents(model, image)
    score = score_image(head, model.joint_space(), maps)
    session = docks[0].session
    assert session.model.classes[-1] == head.classes[0]
    assert session.maps.logits[-1] == pytest.approx(score.logit, rel=1e-5)
    assert session.maps.logits_sae[-1] == pytest.approx(maps.logits_sae[-1], rel=1e-5)
    for dock in docks:
        text = dock.prompt.score_label.text()
        assert f"cosine {score.cosine:+.3f} (logit {score.logit:+.2f})" in text
        assert f"probability {score.probability:.3f}, uncalibrated" in text
    assert session.order.latents[0] == np.argmax(model.attribution[-1] * maps.pooled_mean) == session.current
    assert session.order.name.lower() == head.prompt.title
    assert docks[1].intervention.state.logit == 2
    assert docks[1].result.class_box.currentText().lower() == head.prompt.title
    assert docks[1].result.after_text(2).startswith("– (")


def test_a_prompt_orders_nothing_for_a_blind_judge(qtbot, docks):
    session = docks[0].session
    session.blind = True
    before = session.order, session.current
    ask(qtbot, docks, "Mass | no mass")
    assert (session.order, session.current) == before
    assert docks[0].workspace.images.prompts.head is not None
    assert not any(dock.prompt.score_label.text() for dock in docks)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_answer_is_drawn_once(qtbot, docks, rank):
    session, layer = docks[0].session, docks[0].workspace.context.scene.stack_layer
    session.current = int(session.order.latents[rank])
    drawn, announced = [], []
    layer.events.set_data.connect(drawn.append)
    session.events.maps.connect(lambda maps: announced.append((maps, session.order, session.current)))
    ask(qtbot, docks, "mass")
    assert len(drawn) == 1
    assert announced == [(session.maps, session.order, session.order.latents[0])]


def test_an_edit_changes_the_cosine(qtbot, docks, toml, image):
    ask(qtbot, docks, "mass", 1)
    one = docks[1].intervention
    one.change(source="list", numbers="3, 5-9", form="delta")
    model = load_model(toml, device="cpu")
    head = text_head(model, "mass")
    after = score_image(head, model.joint_space(), compute_latents(model, image), one.view.edit)
    text = docks[1].prompt.score_label.text()
    assert f"after the edit: cosine {after.cosine:+.3f} (logit {after.logit:+.2f})" in text
    assert "uncalibrated" not in text
    docks[1].set.flip_button.click()
    assert "A single prompt decides nothing" in docks[1].set.note.text()


@pytest.mark.parametrize(
    ("text", "words"), [("tumour", "has not learned 'tumour'"), ("a|b|c", "has 3 parts"), ("?", "has no words")]
)
def test_what_cannot_be_asked_is_said_in_the_dock(qtbot, docks, text, words):
    ask(qtbot, docks, text)
    assert words in docks[0].prompt.note.text()
    assert docks[0].session.model.classes == tiny.CLASSES


def test_a_prompt_over_a_run(qtbot, docks, run_path):
    session, over_run = docks[0].session, docks[1].over_run
    session.run = open_run(run_path)
    idle(qtbot, docks)
    ask(qtbot, docks, "view marker", 1)
    assert over_run.label == "mass"
    assert over_run.effects.cohort.logits.shape[1] == 1
    model = load_model(docks[0].images.choice.name, device="cpu")
    head = text_head(model, "view marker")
    np.testing.assert_allclose(over_run.effects.cohort.logits, session.run.logits_of(head)[over_run.effects.rows])
    docks[1].intervention.change(source="list", numbers="3, 5-9")
    idle(qtbot, docks)
    assert "AUROC" in over_run.move.measures
    assert "flip" not in over_run.move.measures
    session.image, session.maps = session.image, session.run.latents(session.run.images["image_id"].iloc[0])
    assert session.maps.logits.shape == (3,)


def test_another_model_ends_the_prompt(qtbot, docks):
    ask(qtbot, docks, "mass")
    docks[0].images.unload()
    assert docks[0].images.prompts.head is None
    assert docks[0].prompt.score_label.text() == ""
    ask(qtbot, docks, "mass")
    assert "Compute the latents of an image first" in docks[0].prompt.note.text()


def test_a_prompt_is_answered_while_a_person_waits(qtbot, viewer, toml, image):
    """16,384 latents and a tower of the published size, warm: from Enter to the order, score and table of latents."""
    model = load_model(toml, device="cpu")
    torch.manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(model.width, 16_384), dim=0)
    model.sae = SparseAutoencoder(model.width, 16_384).requires_grad_(False)
    model.sae.load_state_dict({"decoder_weight": decoder, "encoder_weight": decoder.T.contiguous()}, strict=False)
    side = model._texts.side
    vars(model._texts)["side"] = replace(side, tower=text_kit.published_size(side.tower))
    handle, maps = LocalModel(model), compute_latents(model, image)
    dock, table = ModelDock(viewer), LatentsDock(viewer)
    qtbot.addWidget(dock)
    qtbot.addWidget(table)
    session, prompts = dock.session, dock.workspace.images.prompts
    session.handle = handle
    session.show(image, maps)

    def ask(text):
        dock.prompt.field.setText(text)
        start = perf_counter()
        dock.prompt.field.returnPressed.emit()
        assert perf_counter() - start < 3  # worked out beside the window
        title = f"“{text}”" if "|" not in text else "“{}” – “{}”".format(*text.split(" | "))
        qtbot.waitUntil(lambda: session.order is not None and session.order.name == title, timeout=30_000)
        assert not prompts.note
        return perf_counter() - start

    ask("mass")
    assert ask("view marker | skin fold") < 15  # a fraction of a second on two idle cores
    weights = session.model.attribution[-1]
    assert session.order.latents[0] == np.argmax(weights * maps.pooled_mean)
    assert table.latents.table.size == 16_384

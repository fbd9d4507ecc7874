"""The embedded text tower: what it finds on phantoms it was not trained on, and how fast it answers."""

import json
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch

import napari_mammosae
from demo_classifier import to_input
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.naming.text.heads import text_head
from napari_mammosae.core.phantoms.phantom import make_phantom
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.process.local import LocalModel
from napari_mammosae.viewer.image.tasks import add_prompt

DEMO = Path(napari_mammosae.__file__).parent / "sample_data" / "demo"
PAIRS = 6
PLAIN = 24


@pytest.fixture(scope="module")
def model():
    return load_model("demo", device="cpu")


@pytest.fixture(scope="module")
def pairs(model):
    """Means (2, n, h) of the latents on phantoms without and with a marker, everything else being the same."""
    found = []
    for marker in (False, True):
        drawn = [make_phantom(901_000 + 4 * number, marker=marker).pixels for number in range(PAIRS)]
        maps = [latents_of_features(model, model.features(to_input(one[None])))[0] for one in drawn]
        found.append([one.pooled_mean for one in maps])
    return np.array(found, np.float64)


@pytest.mark.slow
def test_the_marker_prompt_leads_to_latents_that_answer_to_the_marker(model, pairs):
    head = text_head(model, "view marker")
    contribution = pairs.reshape(-1, model.n_latents).mean(0) * model.attribution[model.logits_of(head.name)][0]
    first = np.argsort(-contribution, kind="stable")[:10]
    truth = np.repeat([0, 1], PAIRS)
    areas = [auroc(truth, pairs[:, :, latent].ravel()) for latent in first]
    assert sum(area >= 0.9 for area in areas) >= 3


def test_the_marker_prompt_itself_answers_to_the_marker(model, pairs):
    place = model.logits_of(text_head(model, "view marker", "no view marker").name).start
    logits = pairs @ model.attribution[place] + model.constant[place]
    assert (logits[1] > logits[0]).all()


def test_the_card_has_its_figures():
    figures = json.loads((DEMO / "figures.json").read_text(encoding="utf-8"))["text"]
    card = (DEMO.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    mass = figures["prompts"]["mass"]
    assert abs(mass["auroc"] - figures["classifier"]["mass"]) < 0.10
    assert figures["marker_latents_at_0.9"] >= 3
    assert f"| mass | {mass['auroc']:.3f} |" in card
    assert (DEMO / "text.safetensors").stat().st_size < 400_000


def test_the_tower_is_asked_within_the_time_a_person_waits(model):
    """16,384 latents, the tower warm: the words, the head, its ledger and the facts that the viewer is sent."""
    wide = load_model("demo", device="cpu")
    torch.manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(wide.width, 16_384), dim=0)
    wide.sae = SparseAutoencoder(wide.width, 16_384).requires_grad_(False)
    wide.sae.load_state_dict({"decoder_weight": decoder, "encoder_weight": decoder.T.contiguous()}, strict=False)
    handle = LocalModel(wide)
    add_prompt(handle, ("mass", ""), False, lambda *_: None)
    start = perf_counter()
    head, space = add_prompt(
        handle, ("suspicious calcification", "no suspicious calcification"), False, lambda *_: None
    )
    assert perf_counter() - start < 1.5  # a tenth of it on an idle machine
    assert space.latents.shape == (48, 16_384)
    assert handle.facts.attribution.shape == (4, 16_384)
    np.testing.assert_allclose(handle.facts.attribution[-1], (head.weight @ decoder.double().numpy())[0], atol=1e-9)

"""What a model says of itself without its weights, and heads added to it."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.base.files import sha256_file
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents, latents_of_features
from napari_mammosae.core.models.facts import Domain, ModelFacts
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE


@pytest.fixture
def model(tiny_model: Path) -> MammoSAE:
    return load_model(tiny_model, device="cpu")


def density(width: int = 256) -> Head:
    rng = np.random.default_rng(5)
    return Head("density", ("low", "high", "extreme"), "multiclass", rng.normal(size=(3, width)), rng.normal(size=3))


def test_facts_say_what_the_model_says(model: MammoSAE, tiny_model: Path):
    facts = model.facts
    assert (facts.name, facts.layer, facts.n_latents, facts.grid) == ("tiny", "head", tiny.LATENTS, model.grid)
    assert (facts.classes, facts.task) == (tiny.CLASSES, "multilabel")
    assert (facts.device, facts.precision, facts.engine, facts.domain) == ("cpu", "float32", "torch", Domain())
    assert facts.preprocessing.size == tiny.SIZE
    assert facts.model_sha256 == sha256_file(tiny_model.parent / "classifier.safetensors")
    assert facts.sae_sha256 == sha256_file(tiny_model.parent / "sae.safetensors")
    assert facts.head_of(1).source == "classifier.safetensors"
    assert "\n" not in repr(model)


def test_the_linear_tail_of_two_heads(model: MammoSAE):
    own = model.heads[0]
    before = model.attribution
    model.add_head(density())
    decoder, bias = model.sae.decoder_weight.double().numpy(), model.sae.tied_bias.double().numpy()
    for head in (own, density()):
        part = model.logits_of(head.name)
        np.testing.assert_allclose(model.attribution[part], head.weight @ decoder, rtol=1e-12)
        np.testing.assert_allclose(model.constant[part], head.bias + head.weight @ bias, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(model.attribution[:2], before)
    attribution, constant = model.facts.linear_tail()
    assert attribution.shape == (5, tiny.LATENTS)
    image = read_mammogram(tiny.picture())
    maps = compute_latents(model, image)
    np.testing.assert_allclose(maps.logits_sae, constant + attribution @ maps.pooled_mean.astype(np.float64), rtol=1e-5)
    direct = model.features(image.to_input(model.preprocessing)).double().mean((2, 3))
    np.testing.assert_allclose(maps.logits[2:], direct[0].numpy() @ density().weight.T + density().bias, rtol=1e-9)


def test_probabilities_go_by_head(model: MammoSAE):
    model.add_head(density())
    logits = np.array([0.0, np.log(3), *np.log([1.0, 1.0, 2.0])])
    for said in (model, model.facts):
        np.testing.assert_allclose(said.probabilities(logits), [0.5, 0.75, 0.25, 0.25, 0.5])
    assert (model.task, model.facts.head_of(3).task) == ("multilabel", "multiclass")


def test_predicting_by_name(model: MammoSAE):
    model.add_head(density())
    image = read_mammogram(tiny.picture())
    pooled = model.features(image.to_input(model.preprocessing)).double().mean((2, 3))[0].numpy()
    own, other = (head.weight @ pooled + head.bias for head in model.heads)
    expected = [*1 / (1 + np.exp(-own)), *np.exp(other) / np.exp(other).sum()]
    found = model.predict(image)
    assert tuple(found) == model.classes
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-9)


def test_where_compiling_fails_pytorch_computes(tiny_model: Path, model: MammoSAE, monkeypatch: pytest.MonkeyPatch):
    def compile(function):
        def fail(x):
            raise RuntimeError("no C compiler\nmore")

        return fail

    monkeypatch.setattr(torch, "compile", compile)
    quick = load_model(tiny_model, device="cpu", compile=True)
    assert quick.facts.engine == "compiled"
    x = torch.randn(1, 3, *tiny.SIZE)
    with pytest.warns(UserWarning, match=r"torch\.compile failed \(no C compiler\); continuing without it"):
        features = quick.features(x)
    np.testing.assert_array_equal(features, model.features(x))
    assert quick.facts.engine == "torch"


def test_adding_a_head_changes_no_hash_and_no_earlier_facts(model: MammoSAE):
    before = model.facts
    model.add_head(density())
    after = model.facts
    assert (before.model_sha256, before.sae_sha256) == (after.model_sha256, after.sae_sha256)
    assert before.classes == tiny.CLASSES
    assert before.attribution.shape == (2, tiny.LATENTS)
    assert after.classes == (*tiny.CLASSES, "low", "high", "extreme")
    with pytest.raises(ModelError, match="two heads are called 'density'"):
        model.add_head(density())
    with pytest.raises(ModelError, match="'narrow' reads 9 features, 'classifier' reads 256"):
        model.add_head(Head("narrow", ("other",), "binary", np.ones((1, 9)), np.ones(1)))
    assert model.classes == after.classes


def test_a_model_without_a_classifier_takes_a_head(tiny_model: Path, model: MammoSAE):
    files = tiny_model.parent
    bare = load_model(
        backbone=files / "classifier.safetensors", sae=files / "sae.safetensors", input_size=tiny.SIZE, device="cpu"
    )
    assert (bare.heads, bare.classes, bare.facts.attribution) == ((), (), None)
    assert bare.model_sha256 == model.model_sha256
    with pytest.raises(ModelError, match="local files has no classifier"):
        bare.facts.linear_tail()
    with pytest.raises(ModelError, match="the head 'density' reads 9 features, phantom-b0 gives 256"):
        bare.add_head(density(9))
    bare.add_head(density())
    features = torch.randn(2, 256, 5, 3)
    expected = features.double().numpy().mean((2, 3)) @ density().weight.T + density().bias
    np.testing.assert_allclose(bare.logits(features), expected, rtol=1e-12)
    assert latents_of_features(bare, features)[0].logits.shape == (3,)
    assert bare.facts.attribution.shape == (3, tiny.LATENTS)


def test_facts_without_a_linear_tail(tiny_model: Path):
    plain = load_model(classifier=tiny_model.parent / "classifier.safetensors", classes=tiny.CLASSES, device="cpu")
    assert plain.facts.constant is None
    with pytest.raises(ModelError, match="without a sparse autoencoder"):
        plain.facts.linear_tail()
    inner = load_model(
        classifier=tiny_model.parent / "classifier.safetensors", classes=tiny.CLASSES, layer="blocks.3", device="cpu"
    )
    with pytest.raises(ModelError, match=r"the SAE reads blocks\.3; the layers after it are not linear"):
        inner.facts.linear_tail()


def test_facts_travel(model: MammoSAE):
    there = pickle.loads(pickle.dumps(model.facts))
    assert isinstance(there, ModelFacts)
    assert (there.classes, there.grid, there.preprocessing) == (model.classes, model.grid, model.preprocessing)
    np.testing.assert_array_equal(there.attribution, model.attribution)


def test_plain_values_need_no_torch():
    code = (
        "import sys, napari_mammosae.core.models.facts, napari_mammosae.core.models.latents\n"
        "import napari_mammosae.core.models.files.model_files, napari_mammosae.process.local\n"
        "assert not {'torch', 'timm', 'pandas', 'skimage'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""`LocalModel` against the model itself, call by call; an inner layer as well."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fakes
import tiny
from in_process import handle_of
from napari_mammosae.core.base.errors import Cancelled, FeaturesForgotten, ModelError, SettingsError
from napari_mammosae.core.images.mammogram import Mammogram, read_mammogram
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.process.handle import ModelHandle
from napari_mammosae.process.local import IMAGES_KEPT, LocalModel

INNER = "blocks.4"


def image(seed: int = 0) -> Mammogram:
    return read_mammogram(tiny.picture(seed))


def silent(*_: object) -> None:
    return


class Reports(list):
    def __call__(self, text: str, done: int = 0, total: int = 0) -> None:
        self.append((text, done, total))


@pytest.fixture
def model(tiny_model: Path) -> MammoSAE:
    return load_model(tiny_model, device="cpu")


@pytest.fixture
def inner(model: MammoSAE) -> MammoSAE:
    bare = replace(model, layer=INNER, sae=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sae = SparseAutoencoder(bare.width, 40)
        torch.nn.init.normal_(sae.encoder_weight, std=bare.width**-0.5)
        torch.nn.init.normal_(sae.decoder_weight, std=bare.width**-0.5)
    return replace(bare, sae=sae)


def edits(n_latents: int) -> list[Edit]:
    mask = np.random.default_rng(0).random(n_latents) < 0.5
    return [Edit(mask, "zero"), Edit(mask, "keep", "delta"), Edit(~mask, "scale", "replace", 1.5)]


def test_computing_gives_what_the_model_gives(model: MammoSAE):
    handle = LocalModel(model)
    said = Reports()
    found, expected = handle.compute(image(), said), compute_latents(model, image())
    np.testing.assert_array_equal(found.latents, expected.latents)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert found.frame == expected.frame
    assert found.key == expected.key == ""
    assert said == [("Computing 64 latents of array on cpu", 0, 0)]


def test_facts_are_those_of_the_model(model: MammoSAE, tiny_model: Path):
    handle = handle_of({"name": tiny_model, "device": "cpu", "precision": "float32"})
    assert (handle.facts.name, handle.facts.classes, handle.facts.grid) == (model.name, model.classes, model.grid)
    np.testing.assert_array_equal(handle.facts.attribution, model.attribution)
    assert handle.facts is handle.facts
    with pytest.raises(ModelError, match="precision 'int8'"):
        handle_of({"name": tiny_model, "precision": "int8"})


def test_edits_of_an_inner_layer(inner: MammoSAE):
    handle = LocalModel(inner)
    maps = handle.compute(image(), silent)
    chosen, said = edits(40), Reports()
    found = handle.pass_edits(maps.key, chosen, said)
    expected = masked_logits(inner, image().to_input(inner.preprocessing), chosen)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.shape == (3, 2)
    assert [(done, total) for _, done, total in said] == [(0, 3), (1, 3), (2, 3)]
    assert handle.pass_edits(maps.key, [], silent).shape == (0, 2)
    nothing = Edit(np.zeros(40, bool), "zero", "delta")
    np.testing.assert_allclose(handle.pass_edits(maps.key, [nothing], silent)[0], maps.logits, rtol=1e-5)


def test_contributions_of_an_inner_layer(inner: MammoSAE):
    handle = LocalModel(inner)
    maps, said = handle.compute(image(), silent), Reports()
    found = handle.contributions(maps.key, "integrated", said)
    expected = contributions_of(inner, inner.features(image().to_input(inner.preprocessing)))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-7)
    assert said[-1][1:] == (15, 16)
    with pytest.raises(FeaturesForgotten):
        handle.contributions("", "gradient", silent)


def test_keys_go_by_image_and_model(inner: MammoSAE, model: MammoSAE):
    handle = LocalModel(inner)
    first, again, second = (handle.compute(image(seed), silent) for seed in (0, 0, 1))
    assert first.key == again.key != second.key
    chosen = edits(40)[:1]
    of_first, of_second = (handle.pass_edits(one.key, chosen, silent) for one in (first, second))
    assert not np.allclose(of_first, of_second)
    other = LocalModel(replace(inner, layer="blocks.3", sae=None))
    assert other.facts.layer == "blocks.3"
    with pytest.raises(FeaturesForgotten, match="compute the latents of the image again"):
        other.pass_edits(first.key, chosen, silent)
    with pytest.raises(FeaturesForgotten):
        LocalModel(model).pass_edits("", edits(64), silent)


def test_only_the_last_images_are_kept(inner: MammoSAE):
    handle = LocalModel(inner)
    one = inner.features(image().to_input(inner.preprocessing)).nbytes
    keys = [handle.compute(image(seed), silent).key for seed in range(IMAGES_KEPT)]
    handle.pass_edits(keys[0], edits(40)[:1], silent)  # used, so another one is the oldest
    assert handle.memory().features == IMAGES_KEPT * one
    handle.compute(image(99), silent)
    assert handle.memory().features == IMAGES_KEPT * one
    handle.pass_edits(keys[0], edits(40)[:1], silent)
    with pytest.raises(FeaturesForgotten):
        handle.pass_edits(keys[1], edits(40)[:1], silent)


def test_edits_that_do_not_fit(inner: MammoSAE):
    handle = LocalModel(inner)
    key = handle.compute(image(), silent).key
    with pytest.raises(SettingsError, match="for 64 latents, the model or run has 40"):
        handle.pass_edits(key, edits(64), silent)


def test_stopping_between_edits(inner: MammoSAE):
    handle = LocalModel(inner)
    key = handle.compute(image(), silent).key

    def stop(text: str, done: int, total: int) -> None:
        if done == 1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        handle.pass_edits(key, edits(40), stop)
    assert handle.pass_edits(key, edits(40), silent).shape == (3, 2)


def test_neighbours_by_cosine(model: MammoSAE):
    latents, cosines = LocalModel(model).neighbours(3, 5)
    decoder = model.sae.decoder_weight.double().numpy()
    unit = decoder / np.linalg.norm(decoder, axis=0)
    expected = unit.T @ unit[:, 3]
    expected[3] = -2
    np.testing.assert_array_equal(latents, np.argsort(-expected)[:5])
    np.testing.assert_allclose(cosines, expected[latents], atol=1e-6)
    with pytest.raises(SettingsError, match="there is no latent 64"):
        LocalModel(model).neighbours(64, 5)
    with pytest.raises(ModelError, match="without a sparse autoencoder"):
        LocalModel(replace(model, sae=None)).neighbours(0, 5)


def test_a_head_is_added(model: MammoSAE):
    handle = LocalModel(model)
    before = handle.facts
    weight = np.random.default_rng(1).normal(size=(1, 256))
    handle.add_head(Head("cyst", ("cyst",), "binary", weight, np.array([0.5])))
    after = handle.facts
    assert (before.classes, after.classes) == (tiny.CLASSES, (*tiny.CLASSES, "cyst"))
    assert (before.model_sha256, before.sae_sha256) == (after.model_sha256, after.sae_sha256)
    decoder = model.sae.decoder_weight.double().numpy()
    np.testing.assert_allclose(after.attribution[after.logits_of("cyst")], weight @ decoder, rtol=1e-12)
    maps = handle.compute(image(), silent)
    pooled = model.features(image().to_input(model.preprocessing)).double().mean((2, 3))[0].numpy()
    np.testing.assert_allclose(maps.logits[2], weight[0] @ pooled + 0.5, rtol=1e-9)


def test_memory(model: MammoSAE):
    use = LocalModel(model).memory()
    modules = (model.backbone, model.sae)
    expected = sum(t.numel() * t.element_size() for m in modules for t in m.state_dict().values())
    assert use.weights == expected + 8 * (2 * 256 + 2)
    assert (use.device, use.features, use.free, use.total) == ("cpu", 0, None, None)


def test_unloading(inner: MammoSAE):
    handle = LocalModel(inner)
    key = handle.compute(image(), silent).key
    handle.unload()
    assert all(parameter.device.type == "meta" for parameter in inner.backbone.parameters())
    assert handle.facts.classes == tiny.CLASSES
    assert (handle.memory().weights, handle.memory().features) == (0, 0)
    for ask in (
        lambda: handle.compute(image(), silent),
        lambda: handle.pass_edits(key, [], silent),
        lambda: handle.neighbours(0, 1),
        lambda: handle.add_head(Head("x", ("x",), "binary", np.ones((1, 256)), np.ones(1))),
    ):
        with pytest.raises(ModelError, match="tiny was unloaded; load it again"):
            ask()
    handle.unload()


def test_a_model_that_was_loaded_before_stays_its_owners(model: MammoSAE, tiny_model: Path):
    before = model.predict(image())
    handle_of(model).unload()
    assert model.predict(image()) == before
    loaded = handle_of(lambda: model)  # made for the handle
    loaded.unload()
    assert all(parameter.device.type == "meta" for parameter in model.backbone.parameters())


def test_both_models_are_handles(model: MammoSAE):
    assert isinstance(LocalModel(model), ModelHandle)
    assert isinstance(fakes.FakeModel(), ModelHandle)
    assert not isinstance(model, ModelHandle)


def test_facts_tell_that_the_gpu_was_full(model: MammoSAE, monkeypatch: pytest.MonkeyPatch):
    features, model.device = model.features, "cpu:0"
    handle = LocalModel(model)
    assert handle.facts.device == "cpu:0"

    def on_a_full_gpu(x: torch.Tensor) -> torch.Tensor:
        if model.device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return features(x)

    monkeypatch.setattr(model, "features", on_a_full_gpu)
    with pytest.warns(UserWarning, match="Out of memory on cpu:0; using the CPU instead"):
        handle.compute(image(), silent)
    assert handle.facts.device == "cpu"


def test_several_threads_at_a_time(inner: MammoSAE):
    handle = LocalModel(inner)
    chosen = edits(40)
    expected = {
        seed: masked_logits(inner, image(seed).to_input(inner.preprocessing), chosen)[:, 0] for seed in range(4)
    }
    found: dict[int, np.ndarray] = {}

    def work(seed: int) -> None:
        found[seed] = handle.pass_edits(handle.compute(image(seed), silent).key, chosen, silent)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, logits in expected.items():
        np.testing.assert_allclose(found[seed], logits, rtol=1e-5)

"""Latents of batches: the same numbers as plain formulas give, whatever the blocks are in which they are computed."""

from pathlib import Path

import numpy as np
import pytest
import torch

import overflow
import recipe
import tiny
from layer_models import inner_model
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.choices import Precision
from napari_mammosae.core.models.compute import compute_latents, features_of_planes, latents_of_features
from napari_mammosae.core.models.engines import measure as measuring
from napari_mammosae.core.models.engines import sums
from napari_mammosae.core.models.engines.measure import measure
from napari_mammosae.core.models.latents import LatentBatch
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def features_of(model: MammoSAE, count: int) -> torch.Tensor:
    return torch.cat([model.features(recipe.image(seed, *model.preprocessing.size)) for seed in range(count)])


def dense(found: LatentBatch, name: str) -> np.ndarray:
    full = np.zeros((len(found), found.shape[0]))
    full[found.fires.image, found.fires.latent] = getattr(found.fires, name)
    return full


@pytest.mark.parametrize("few", [0, 2], ids=["column by column", "value by value"])
@pytest.mark.parametrize("room", [2**30, 15_000, 999], ids=["at once", "some images", "some cells"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_is_pooled_as_formulas_say(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, device: str, room: int, few: float
):
    monkeypatch.setattr(measuring, "_ROOM", room)
    monkeypatch.setattr(sums, "_FEW", few)
    model = load_model(tiny_model, device=device)
    features = features_of(model, 5)
    found = measure(model, features)
    sae = load_model(tiny_model, device="cpu").autoencoder
    x = features.double().cpu().numpy().transpose(0, 2, 3, 1).reshape(5, -1, model.width)
    weights = {name: value.double().numpy() for name, value in sae.state_dict().items()}
    z = np.maximum((x - weights["tied_bias"]) @ weights["encoder_weight"].T + weights["encoder_bias"], 0)
    rebuilt = z @ weights["decoder_weight"].T + weights["tied_bias"]
    near = {"rtol": 1e-5, "atol": 1e-6 * z.max()}
    np.testing.assert_allclose(dense(found, "mean"), z.mean(1), **near)
    np.testing.assert_allclose(dense(found, "max"), z.max(1), **near)
    np.testing.assert_allclose(dense(found, "active_cells"), (z > 0).sum(1), atol=1)
    np.testing.assert_allclose(found.counts, (z > 0).sum((1, 2)), atol=3)
    np.testing.assert_allclose(found.features["mean"], x.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.features["max"], x.max(1), rtol=1e-6)
    for means, logits in ((x, found.logits), (rebuilt, found.logits_sae)):
        np.testing.assert_allclose(logits, means.mean(1) @ model.head_weight.T + model.head_bias, rtol=1e-5, atol=1e-5)
    missed = ((x - rebuilt) ** 2).sum(2).mean(1)
    np.testing.assert_allclose(found.error_norm, missed**0.5, rtol=1e-5)
    np.testing.assert_allclose(found.fvu, missed / x.var(1).sum(1), rtol=1e-5)
    cells = found.cells
    assert cells is not None
    order = np.lexsort((cells.cell, cells.image, cells.latent))
    assert (order == np.arange(len(order))).all()
    again = np.zeros_like(z)
    again[cells.image, cells.cell, cells.latent] = cells.value
    np.testing.assert_allclose(again, z, **near)


@pytest.mark.parametrize("layer", ["head", "blocks.3"])
def test_a_batch_gives_the_maps_of_its_images(tiny_model: Path, layer: str):
    model = load_model(tiny_model, device="cpu") if layer == "head" else inner_model(tiny_model, layer)
    features = features_of(model, 3)
    together = measure(model, features)
    for at, alone in enumerate(latents_of_features(model, features)):
        maps = together.part(at, at + 1).maps()
        np.testing.assert_array_equal(maps.latents, alone.latents)
        np.testing.assert_allclose(maps.values, alone.values, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(maps.pooled_mean, alone.pooled_mean, rtol=1e-5)
        np.testing.assert_allclose((maps.logits, maps.logits_sae), (alone.logits, alone.logits_sae), atol=1e-4)
        assert maps.features.keys() == alone.features.keys()
        for name, values in maps.features.items():
            np.testing.assert_allclose(values, alone.features[name], rtol=1e-5, atol=1e-6)


def test_on_the_cpu_features_do_not_depend_on_the_batch(tiny_model: Path):
    model = load_model(tiny_model, device="cpu")
    planes = [tiny.picture(seed, model.preprocessing.size) for seed in range(3)]
    together = features_of_planes(model, planes)
    assert torch.equal(together, torch.cat([features_of_planes(model, [plane]) for plane in planes]))


@pytest.mark.parametrize("device", DEVICES)
def test_an_image_that_overflows_float16_is_computed_in_float32(tmp_path: Path, device: str):
    image = read_mammogram(tiny.picture())
    toml = overflow.write_model(tmp_path, [image])
    exact, half = (load_model(toml, device=device, precision=one) for one in ("float32", "float16"))
    assert not half.features(image.to_input(half.preprocessing)).isfinite().all()
    expected, found = compute_latents(exact, image), compute_latents(half, image)
    np.testing.assert_allclose(found.pooled_mean, expected.pooled_mean, rtol=1e-5)
    assert half.predict(image) == pytest.approx(exact.predict(image))
    assert (half.precision, half.exact.precision) == ("float16", "float32")
    modules = half.backbone, half.exact.backbone
    half.unload()
    assert all(one.is_meta for module in modules for one in module.parameters())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "near"), [("tf32", 1e-2), ("float16", 1e-2), ("bfloat16", 5e-2)])
def test_other_precisions_are_near(tiny_model: Path, device: str, precision: Precision, near: float):
    image = read_mammogram(tiny.picture())
    exact = compute_latents(load_model(tiny_model, device="cpu"), image)
    found = compute_latents(load_model(tiny_model, device=device, precision=precision), image)
    for name in ("pooled_mean", "pooled_max", "logits"):
        one, other = getattr(found, name), getattr(exact, name)
        assert np.linalg.norm(one - other) < near * np.linalg.norm(other), name


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives_in_float32(tiny_model: Path):
    image = read_mammogram(tiny.picture())
    expected, found = (compute_latents(load_model(tiny_model, device=one), image) for one in ("cpu", "cuda"))
    for name in ("pooled_mean", "pooled_max", "logits", "logits_sae"):
        one, other = getattr(found, name), getattr(expected, name)
        assert np.linalg.norm(one - other) < 1e-5 * np.linalg.norm(other), name
    best = [np.argsort(-maps.pooled_mean, kind="stable")[:20].tolist() for maps in (expected, found)]
    assert best[0] == best[1]


@pytest.mark.gpu
def test_a_recorded_pass_gives_what_the_pass_itself_gives(tiny_model: Path):
    """The third batch of a size is repeated from a recording; others between leave it as it is."""
    model = load_model(tiny_model, device="cuda", precision="float16")
    for seed, count in enumerate((1, 1, 1, 2, 1, 2, 2, 2)):
        x = torch.cat([recipe.image(seed + at, *model.preprocessing.size) for at in range(count)])
        found = model.features(x)
        with torch.inference_mode():
            expected = model.backbone(x.to("cuda", torch.float16).contiguous(memory_format=torch.channels_last))
        assert found.shape == expected.shape
        assert (found - expected).norm() < 1e-3 * expected.norm(), (seed, count)


@pytest.mark.gpu
def test_unloading_gives_the_gpus_memory_back(tiny_model: Path):
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = load_model(tiny_model, device="cuda", precision="float16")
    for seed in range(3):
        compute_latents(model, read_mammogram(tiny.picture(seed)))
    assert torch.cuda.memory_allocated() > before
    model.unload()
    assert torch.cuda.memory_allocated() <= before

"""Features by OpenVINO: equal to those of PyTorch, converted once, without a word to its makers; or without it."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import layer_models
import tiny
from napari_mammosae.core.base.caches import all_caches, cache_folder
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.engines.openvino import OpenVinoNetwork
from napari_mammosae.core.models.loading import load_model


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, *tiny.SIZE, generator=torch.Generator().manual_seed(1))


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_features_latents_and_logits_are_those_of_pytorch(tiny_model: Path, x: torch.Tensor):
    model, quick = (load_model(tiny_model, device="cpu", engine=engine) for engine in ("torch", "openvino"))
    assert quick.facts.engine == "openvino"
    features, found = model.features(x), quick.features(x)
    assert found.shape == features.shape
    assert_close(found, features)
    for expected, maps in zip(*(latents_of_features(m, m.features(x)) for m in (model, quick)), strict=True):
        np.testing.assert_allclose(maps.pooled_mean, expected.pooled_mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(maps.logits, expected.logits, rtol=1e-4, atol=1e-6)
    odd = x[:1, :, :97, :83]
    assert_close(quick.features(odd), model.features(odd))


def test_gates_of_an_image_are_its_own(tiny_model: Path, x: torch.Tensor):
    """Gates are in the weights of the converted network, and no multiplication of a map by them is left."""
    model, quick = (load_model(tiny_model, device="cpu", engine=engine) for engine in ("torch", "openvino"))
    both = torch.cat([x, x[:1] * 3 - 1])
    found = quick.features(both)
    assert_close(found, model.features(both))
    assert torch.equal(found[2:], quick.features(both[2:]))
    network = OpenVinoNetwork(model.backbone, "", 3)
    products = [node for node in network._model.get_ops() if node.get_type_name() == "Multiply"]
    gates = [node for node in network._model.get_ops() if node.get_type_name() == "Sigmoid"]
    assert len(gates) > 3
    assert len(products) == len(gates)
    assert all(str(node.output(0).get_partial_shape()[0]) not in ("?", "1") for node in products)  # of weights


def test_the_passes_through_an_inner_layer_are_converted_too(tiny_model: Path, x: torch.Tensor):
    weights = {"classifier": tiny_model.parent / "classifier.safetensors", "classes": tiny.CLASSES}
    model, quick = (
        load_model(**weights, task="multilabel", layer="blocks.4", device="cpu", engine=engine)
        for engine in ("torch", "openvino")
    )
    features = model.features(x)
    assert_close(quick.features(x), features)
    assert_close(quick.last_features(features * 0.5), model.last_features(features * 0.5))
    assert_close(quick.logits(features), model.logits(features))
    assert not torch.equal(quick.last_features(features * 0.5), quick.last_features(features))


@pytest.mark.parametrize("layer", ["blocks.4", "head"])
@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_masked_passes_are_those_of_pytorch(
    tiny_model: Path, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch, layer: str, fails: bool
):
    """Through what follows an inner layer too; where OpenVINO fails under way, a note says that PyTorch computes."""
    last = layer == "head"
    model = load_model(tiny_model, device="cpu") if last else layer_models.inner_model(tiny_model, layer)
    quick = replace(model, engine="openvino")
    chosen = np.arange(model.n_latents) % 3 == 0
    edits = [Edit(chosen, mode, form) for mode in ("keep", "zero") for form in ("replace", "delta")]
    expected = masked_logits(model, x, edits)
    assert np.ptp(expected, axis=0).min() > 1e-3
    if fails:
        monkeypatch.setattr(OpenVinoNetwork, "_request", lambda *_: (_ for _ in ()).throw(RuntimeError("no operation")))
    with pytest.warns(UserWarning, match="OpenVINO failed") if fails else nullcontext():
        found = masked_logits(quick, x, edits)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert quick.facts.engine == ("torch" if fails else "openvino")


def test_a_network_is_converted_once_and_a_damaged_copy_again(
    tiny_model: Path, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    converted = []
    convert = OpenVinoNetwork._converted

    def counted(*given):
        converted.append(given)
        return convert(*given)

    monkeypatch.setattr(OpenVinoNetwork, "_converted", counted)
    (cache,) = (cache for cache in all_caches() if cache.name == "openvino")
    cache.empty()
    assert cache.size() == 0
    first = load_model(tiny_model, device="cpu", engine="openvino").features(x)
    assert len(converted) == 1
    assert cache.size() > 100_000
    assert torch.equal(load_model(tiny_model, device="cpu", engine="openvino").features(x), first)
    assert len(converted) == 1
    for file in cache_folder().glob("openvino-*/network.xml"):
        file.write_text("no network")
    assert torch.equal(load_model(tiny_model, device="cpu", engine="openvino").features(x), first)
    assert len(converted) == 2


def test_where_it_fails_pytorch_computes(tiny_model: Path, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch):
    quick = load_model(tiny_model, device="cpu", engine="openvino")

    def fail(*_):
        raise RuntimeError("an operation is missing\nmore")

    monkeypatch.setattr(OpenVinoNetwork, "_request", fail)
    with pytest.warns(UserWarning, match=r"OpenVINO failed \(an operation is missing\); continuing without it"):
        features = quick.features(x)
    np.testing.assert_array_equal(features, load_model(tiny_model, device="cpu").features(x))
    assert quick.facts.engine == "torch"
    monkeypatch.setattr(OpenVinoNetwork, "__init__", fail)
    with pytest.warns(UserWarning, match="OpenVINO failed"):
        assert load_model(tiny_model, device="cpu", engine="openvino").facts.engine == "torch"


def test_without_it_the_message_says_what_to_install(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"not installed; install napari-mammosae\[openvino\], or choose engine"):
        load_model(tiny_model, device="cpu", engine="openvino")
    monkeypatch.delenv("NAPARI_MAMMOSAE_ENGINE")
    assert load_model(tiny_model, device="cpu").facts.engine == "torch"


def test_its_makers_are_told_nothing():
    """The package reports its import over the network, unless the part that does so cannot be imported."""
    code = (
        "import sys\n"
        "from napari_mammosae.core.models.engines.openvino import import_openvino\n"
        "import_openvino()\n"
        "sys.exit(any(n.startswith('openvino_telemetry') and m is not None for n, m in sys.modules.items()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

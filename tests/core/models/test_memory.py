"""Out of memory: fewer images at a time, then the CPU, then a sentence; each said once."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents, features_of_planes
from napari_mammosae.core.models.engines.measure import measure
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.memory import MemoryLadder, out_of_memory, within_memory
from napari_mammosae.core.models.model import MammoSAE


@pytest.fixture
def model(tiny_model: Path) -> MammoSAE:
    return load_model(tiny_model, device="cpu")


def small(model: MammoSAE, room: int, tried: list[tuple[str, int]]):
    """Work that fits `room` images into the GPU, and any number into the CPU."""

    def work(images):
        tried.append((model.device, len(images)))
        if model.device != "cpu" and len(images) > room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return [2 * image for image in images]

    return work


@pytest.mark.parametrize(
    ("room", "tried"),
    [
        (8, [("cuda:7", 5)]),
        (2, [("cuda:7", 5), ("cuda:7", 2), ("cuda:7", 2), ("cuda:7", 1)]),
        (0, [("cuda:7", 5), ("cuda:7", 2), ("cuda:7", 1), *[("cpu", 1)] * 5]),
    ],
)
def test_smaller_batches_then_the_cpu(model: MammoSAE, room: int, tried: list, recwarn: pytest.WarningsRecorder):
    model.device = "cuda:7"
    seen: list[tuple[str, int]] = []
    parts = within_memory(model, [1, 2, 3, 4, 5], small(model, room, seen))
    assert [value for part in parts for value in part] == [2, 4, 6, 8, 10]
    assert seen == tried
    said = [str(warning.message) for warning in recwarn]
    assert len(said) == {8: 0, 2: 1, 0: 3}[room]
    if room == 2:
        assert said == ["Out of memory on cuda:7 with 5 images at a time; continuing with 2."]
    if room == 0:
        assert said[-1] == "Out of memory on cuda:7; using the CPU instead, which is slower."
        assert model.device == "cpu"


def test_what_fits_is_remembered_and_said_as_asked(model: MammoSAE):
    model.device = "cuda:7"
    seen: list[tuple[str, int]] = []
    said: list[str] = []
    ladder = MemoryLadder(model, batch=4, notice=said.append)
    assert ladder.run(range(6), small(model, 2, seen)) == [[0, 2], [4, 6], [8, 10]]
    assert ladder.run(range(3), small(model, 2, seen)) == [[0, 2], [4]]
    assert [size for _, size in seen] == [4, 2, 2, 2, 2, 1]
    assert said == ["Out of memory on cuda:7 with 4 images at a time; continuing with 2."]
    assert ladder.batch == 2


def test_one_image_on_a_gpu_that_is_full(model: MammoSAE, monkeypatch: pytest.MonkeyPatch):
    image = read_mammogram(tiny.picture())
    expected = compute_latents(model, image)
    features, model.device = model.features, "cpu:0"

    def on_a_full_gpu(x: torch.Tensor) -> torch.Tensor:
        if model.device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return features(x)

    monkeypatch.setattr(model, "features", on_a_full_gpu)
    with pytest.warns(UserWarning, match="Out of memory on cpu:0; using the CPU instead, which is slower"):
        maps = compute_latents(model, image)
    np.testing.assert_array_equal(maps.pooled_mean, expected.pooled_mean)
    assert model.device == "cpu"


def test_not_even_the_cpu_has_room(model: MammoSAE, monkeypatch: pytest.MonkeyPatch):
    def full(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nmore")

    monkeypatch.setattr(model, "features", full)
    with pytest.raises(ModelError, match=r"one image alone does not fit in memory .*; close other programs"):
        compute_latents(model, read_mammogram(tiny.picture()))


def test_weights_that_do_not_fit_the_gpu(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    move = torch.nn.Module.to

    def to(self: torch.nn.Module, device: object, *rest: object, **more: object) -> torch.nn.Module:
        if device == "cuda:7":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return move(self, device, *rest, **more)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    with pytest.warns(UserWarning, match="tiny does not fit in GPU memory; using the CPU instead"):
        model = load_model(tiny_model, device="cuda:7")
    assert model.device == "cpu"


def test_weights_that_do_not_fit_the_cpu_either(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    def to(self: torch.nn.Module, *rest: object, **more: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(torch.nn.Module, "to", to)
    with pytest.raises(ModelError, match=r"tiny does not fit in memory \(DefaultCPUAllocator.*\); close other"):
        load_model(tiny_model, device="cpu")


def test_other_errors_are_not_taken_for_it(model: MammoSAE):
    def broken(images: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        within_memory(model, [1], broken)


@pytest.mark.gpu
def test_a_gpu_that_is_short_of_memory_is_left_with_a_sentence_and_gets_all_of_it_back(tiny_model: Path):
    images = [tiny.picture(seed, tiny.SIZE) for seed in range(8)]
    here = load_model(tiny_model, device="cpu")
    exact = [measure(here, features_of_planes(here, [one])) for one in images]
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model, said = load_model(tiny_model, device="cuda"), []
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 4 * 2**20) / total)
    try:
        parts = MemoryLadder(model, notice=said.append).run(
            images, lambda part: measure(model, features_of_planes(model, part))
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert said[0].startswith("Out of memory on cuda with 8 images at a time")
    for name in ("logits", "error_norm"):
        found, expected = (np.concatenate([getattr(one, name) for one in some]) for some in (parts, exact))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    model.unload()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= before

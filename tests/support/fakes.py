"""A model and an image small enough for tests that never touch torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.mammogram import Mammogram, read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.models.latents import LatentMaps

if TYPE_CHECKING:
    from pathlib import Path

GRID = (12, 8)
INPUT = (384, 256)


@dataclass(eq=False)
class FakeModel:
    """What the viewer asks of a model, without weights."""

    n_latents: int = 64
    grid: tuple[int, int] = GRID
    classes: tuple[str, ...] = ("mass", "suspicious_calcification")
    task: str = "multilabel"
    name: str = "fake"
    device: str = "cpu"
    precision: str = "float32"
    model_sha256: str = "m" * 64
    sae_sha256: str = "s" * 64
    layer: str = "head"
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(size=INPUT))
    unloaded: bool = False

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-logits))

    def unload(self) -> None:
        self.unloaded = True


def phantom(seed: int = 0, shape: tuple[int, int] = (500, 400), name: str = "phantom") -> np.ndarray:
    """A bright half ellipse on black, 16 bit: enough of a breast for the cropping rule."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    inside = ((rows - shape[0] / 2) / (shape[0] * 0.4)) ** 2 + (cols / (shape[1] * 0.8)) ** 2 < 1
    noise = np.random.default_rng(seed).integers(8000, 40000, shape)
    return np.where(inside, noise, 0).astype(np.uint16)


def mammogram(seed: int = 0, shape: tuple[int, int] = (500, 400), image_id: str = "phantom", **facts) -> Mammogram:
    return read_mammogram(phantom(seed, shape), image_id=image_id, **facts)


def latent_maps(
    model: FakeModel | None = None, frame: Frame | None = None, seed: int = 0, live: int = 20
) -> LatentMaps:
    """Random maps of `live` latents; latent i fires in about i cells."""
    model = model or FakeModel()
    rng = np.random.default_rng(seed)
    latents = np.sort(rng.choice(model.n_latents, live, replace=False)).astype(np.int32)
    values = rng.gamma(1.0, 1.0, (live, *model.grid)).astype(np.float32)
    values[rng.random(values.shape) < 0.7] = 0
    values[:, 0, 0] = 0.5  # no live latent is silent
    return maps_of(model, latents, values, frame)


def maps_of(model: FakeModel, latents: np.ndarray, values: np.ndarray, frame: Frame | None = None) -> LatentMaps:
    """`LatentMaps` of given maps (L, H', W'), pooled as defined."""

    def spread(of_live: np.ndarray, dtype: type) -> np.ndarray:
        out = np.zeros(model.n_latents, dtype)
        out[latents] = of_live
        return out

    cells = values.reshape(len(latents), int(np.prod(model.grid)))
    return LatentMaps(
        shape=(model.n_latents, *model.grid),
        latents=latents,
        values=values,
        pooled_mean=spread(cells.mean(1), np.float32),
        pooled_max=spread(cells.max(1), np.float32),
        active_cells=spread((cells > 0).sum(1), np.int32),
        logits=np.linspace(-1, 2, len(model.classes)),
        logits_sae=np.linspace(-0.9, 1.9, len(model.classes)),
        error_norm=0.1,
        frame=frame or Frame.identity(model.preprocessing.size),
    )


def write_png(folder: Path, name: str = "phantom.png", seed: int = 0) -> Path:
    import cv2

    path = folder / name
    cv2.imwrite(str(path), phantom(seed))
    return path


def install(monkeypatch, model: FakeModel | None = None, seconds: float = 0.0) -> FakeModel:
    """Let the viewer load `model` and compute random maps, in `seconds` each, in place of the real thing."""
    import time

    from napari_mammosae.viewer.image import tasks

    model = model or FakeModel()

    def load(choice, report):
        report("Loading the fake")
        time.sleep(seconds)
        report("Loaded the fake")
        return model

    def compute(of, image, report):
        report("Computing the fake")
        time.sleep(seconds)
        report("Computed the fake")
        return latent_maps(of, image.frame_for(of.preprocessing), seed=sum(image.image_id.encode()))

    monkeypatch.setattr(tasks, "load", load)
    monkeypatch.setattr(tasks, "compute", compute)
    return model

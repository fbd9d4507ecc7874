"""A model and an image small enough for tests that never touch torch."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mammosae.core.base.errors import FeaturesForgotten, ModelError
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.mammogram import Mammogram, read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.models.facts import ModelFacts
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.ranking.neighbours import decoder_neighbours
from napari_mammosae.process.handle import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_mammosae.core.base.progress import Report
    from napari_mammosae.core.intervention.edit import Edit

GRID = (12, 8)
INPUT = (384, 256)


def model_facts(
    classes: tuple[str, ...] = ("mass", "suspicious_calcification"), task: str = "multilabel", **others: Any
) -> ModelFacts:
    """Facts of a small model; what follows its SAE is linear where its layer is "head"."""
    heads = (Head("classifier", classes, task, np.ones((len(classes), 1)), np.zeros(len(classes))),) if classes else ()
    facts = {
        "name": "fake",
        "layer": "head",
        "n_latents": 64,
        "grid": GRID,
        "preprocessing": Preprocessing(size=INPUT),
        "model_sha256": "m" * 64,
        "sae_sha256": "s" * 64,
    } | others
    if classes and facts["layer"] == "head":
        weights = np.random.default_rng(5).normal(0, 1.5, (len(classes), facts["n_latents"]))
        facts = {"attribution": weights, "constant": np.linspace(-0.4, 0.2, len(classes))} | facts
    return ModelFacts(heads=heads, **facts)


class FakeModel:
    """A model without weights: known facts, random maps in `seconds` each, random directions of latents."""

    def __init__(self, *, seconds: float = 0.0, **facts: Any) -> None:
        self.facts = model_facts(**facts)
        self.seconds, self.unloaded, self.lost = seconds, False, None

    def change(self, **facts: Any) -> None:
        """Know something else from now on."""
        self.facts = replace(self.facts, **facts)

    def maps(self, frame: Frame | None, seed: int) -> LatentMaps:
        return latent_maps(self, frame, seed)

    def compute(self, image: Mammogram, report: Report, *, urgent: bool = True) -> LatentMaps:
        report("Computing the fake")
        time.sleep(self.seconds)
        report("Computed the fake")
        return self.maps(image.frame_for(self.facts.preprocessing), sum(image.image_id.encode()))

    def pass_edits(self, key: str, edits: Sequence[Edit], report: Report) -> np.ndarray:
        raise FeaturesForgotten("the fake keeps no features")

    def contributions(self, key: str, method: str, report: Report) -> Any:
        raise FeaturesForgotten("the fake keeps no features")

    @property
    def decoder(self) -> np.ndarray:
        """Directions (10, h) of the latents."""
        return np.random.default_rng(3).normal(size=(10, self.facts.n_latents)).astype(np.float32)

    def neighbours(self, latent: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        return decoder_neighbours(self.decoder, latent, count)

    def add_head(self, head: Head) -> None:
        raise ModelError("the fake takes no heads")

    def encode_texts(self, texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
        raise ModelError("the fake has no text tower")

    joint_space = text_agreement = encode_texts

    def memory(self) -> MemoryUse:
        return MemoryUse(self.facts.device, 0, 0)

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
    model: FakeModel | ModelFacts | None = None, frame: Frame | None = None, seed: int = 0, live: int = 20
) -> LatentMaps:
    """Random maps of `live` latents; latent i fires in about i cells."""
    facts = facts_of(model)
    rng = np.random.default_rng(seed)
    latents = np.sort(rng.choice(facts.n_latents, live, replace=False)).astype(np.int32)
    values = rng.gamma(1.0, 1.0, (live, *facts.grid)).astype(np.float32)
    values[rng.random(values.shape) < 0.7] = 0
    values[:, 0, 0] = 0.5  # no live latent is silent
    return maps_of(facts, latents, values, frame)


def facts_of(model: FakeModel | ModelFacts | None) -> ModelFacts:
    return model_facts() if model is None else model if isinstance(model, ModelFacts) else model.facts


def maps_of(
    model: FakeModel | ModelFacts, latents: np.ndarray, values: np.ndarray, frame: Frame | None = None
) -> LatentMaps:
    """`LatentMaps` of given maps (L, H', W'), pooled as defined."""
    facts = facts_of(model)

    def spread(of_live: np.ndarray, dtype: type) -> np.ndarray:
        out = np.zeros(facts.n_latents, dtype)
        out[latents] = of_live
        return out

    cells = values.reshape(len(latents), int(np.prod(facts.grid)))
    return LatentMaps(
        shape=(facts.n_latents, *facts.grid),
        latents=latents,
        values=values,
        pooled_mean=spread(cells.mean(1), np.float32),
        pooled_max=spread(cells.max(1), np.float32),
        active_cells=spread((cells > 0).sum(1), np.int32),
        logits=np.linspace(-1, 2, len(facts.classes)),
        logits_sae=np.linspace(-0.9, 1.9, len(facts.classes)),
        error_norm=0.1,
        frame=frame or Frame.identity(facts.preprocessing.size),
    )


def write_png(folder: Path, name: str = "phantom.png", seed: int = 0) -> Path:
    import cv2

    path = folder / name
    cv2.imwrite(str(path), phantom(seed))
    return path


def install(monkeypatch, model: FakeModel | None = None, seconds: float = 0.0) -> FakeModel:
    """Let the viewer load `model` in place of the real thing; loading and computing take `seconds` each."""
    from napari_mammosae.viewer.image import tasks

    model = model or FakeModel()
    model.seconds = seconds

    def load(models, choice, report):
        report("Loading the fake")
        time.sleep(seconds)
        report("Loaded the fake")
        return model

    monkeypatch.setattr(tasks, "load", load)
    return model

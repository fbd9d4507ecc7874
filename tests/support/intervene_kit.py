"""A model with a linear tail, an image and a run that go with it, all in memory: for the tests of interventions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

import fakes
from napari_mammosae.core.base.errors import RunError

ERROR = np.array([0.3, -0.2])
"""What the SAE leaves out of the logits of every image."""


class TailModel(fakes.FakeModel):
    """The fake model whose predictions follow from its latents."""

    def maps(self, frame: Any, seed: int) -> Any:
        return image_maps(self, frame, seed)


def image_maps(model: TailModel, frame: Any = None, seed: int = 0, live: int = 20) -> Any:
    """Maps whose logits are those of the model's tail."""
    maps = fakes.latent_maps(model, frame, seed, live)
    attribution, constant = model.facts.linear_tail()
    means = np.zeros(model.facts.n_latents)
    means[maps.latents] = maps.values.mean(axis=(1, 2), dtype=np.float64)
    logits = constant + attribution @ means
    return replace(maps, logits=logits + ERROR[: logits.size], logits_sae=logits)


def install(monkeypatch: Any, model: TailModel | None = None) -> TailModel:
    """Let the viewer load the model and compute consistent maps."""
    return fakes.install(monkeypatch, model or TailModel())


class MemoryRun:
    """What the viewer asks of a run."""

    def __init__(self, handle: TailModel, path: Path = Path("made-up"), n: int = 60, seed: int = 0) -> None:
        rng, model = np.random.default_rng(seed), handle.facts
        attribution, constant = model.linear_tail()
        self.path, self.grid, self.n_latents, self.classes = path, model.grid, model.n_latents, model.classes
        self.task = model.task
        self.dense = np.maximum(rng.normal(-0.3, 0.8, (n, model.n_latents)), 0)
        self.dense[:, ::3] = 0
        self.logits_sae = self.dense @ attribution.T + constant
        self.logits = self.logits_sae + rng.normal(0, 0.3, self.logits_sae.shape)
        self.info = {
            "task": model.task, "categories": {}, "model": model.name,
            "model_sha256": model.model_sha256, "sae_sha256": model.sae_sha256,
        }  # fmt: skip
        mass = (self.logits[:, 0] + rng.normal(0, 3, n) > 0).astype(float)
        self.images = pd.DataFrame(
            {
                "image": np.arange(n, dtype=np.int32),
                "image_id": [f"case-{i:03d}" for i in range(n)],
                "path": [f"case-{i:03d}.png" for i in range(n)],
                "patient": [f"p{i // 2}" for i in range(n)],
                "split": None,
                "label.mass": mass,
                "label.suspicious_calcification": np.ones(n),
            }
        )
        self.rows = None
        self.numbers = self.images["image"].to_numpy()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(name.removeprefix("label.") for name in self.images.columns if name.startswith("label."))

    def label(self, name: str) -> np.ndarray:
        return self.images[f"label.{name}"].to_numpy(float)

    def pooled(self, kind: str = "mean") -> Any:
        return scipy.sparse.csc_array(self.dense)

    def check_model(self, model: Any) -> None:
        if model.sae_sha256 != self.info["sae_sha256"]:
            raise RunError(f"{self.path.name} was made with another SAE than the loaded {model.name}.")

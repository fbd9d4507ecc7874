"""A run over made-up images: what the viewer asks of one, in memory, its images as PNG files beside it."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import csc_array

from fakes import GRID, INPUT, maps_of, model_facts, phantom
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.images.geometry import Frame


class FakeRun:
    """`images` pictures of half as many patients; latent 5 fires where there is a mass, latent 7 everywhere."""

    def __init__(self, folder: Path, images: int = 24, latents: int = 64, has_maps: bool = True, write: bool = True):
        rng = np.random.default_rng(0)
        self.path, self.n_latents, self.grid, self.has_maps = folder / "run", latents, GRID, has_maps
        self.classes, self.task = ("mass", "suspicious_calcification"), "multilabel"
        mass = np.arange(images) % 3 == 0
        self.info = {
            "categories": {"density": ["a", "b", "c", "d"]},
            "model_sha256": "m" * 64,
            "sae_sha256": "s" * 64,
        }
        self.images = pd.DataFrame(
            {
                "image": np.arange(images, dtype=np.int32) * 2,  # numbers have gaps where images failed
                "image_id": [f"image-{i:02d}" for i in range(images)],
                "path": [f"image-{i:02d}.png" for i in range(images)],
                "patient": [f"patient-{i // 2}" for i in range(images)],
                "label.mass": mass.astype(float),
                "label.density": rng.integers(0, 4, images).astype(float),
            }
        )
        self.dense = rng.gamma(1.0, 1.0, (images, *GRID, latents)).astype(np.float32)
        self.dense[rng.random(self.dense.shape) < 0.9] = 0
        self.dense[..., 3] = 0  # silent everywhere
        self.dense[..., 5] *= mass[:, None, None]
        self.dense[:, 0, 0, 5] += mass
        self.dense[:, 0, 0, 7] += 1
        if write:
            for i, name in enumerate(self.images["path"]):
                cv2.imwrite(str(folder / name), phantom(i, INPUT))

    def __len__(self):
        return len(self.images)

    @property
    def numbers(self):
        return self.images["image"].to_numpy()

    @property
    def labels(self):
        return ("mass", "density")

    def label(self, name):
        return self.images[f"label.{name}"].to_numpy()

    def pooled(self, kind="mean"):
        cells = self.dense.reshape(len(self), -1, self.n_latents)
        return csc_array(
            {"mean": cells.mean(1), "max": cells.max(1), "active_cells": (cells > 0).sum(1)}[kind].astype(float)
        )

    def maps(self, latent):
        if not self.has_maps:
            raise RunError("This run keeps no maps.")
        row, cell = np.nonzero(self.dense[..., latent].reshape(len(self), -1))
        values = self.dense[..., latent].reshape(len(self), -1)[row, cell]
        return self.numbers[row], cell.astype(np.int32), values.astype(np.float16)

    def latents(self, image):
        row = int(np.searchsorted(self.numbers, image))
        latents = np.flatnonzero(self.dense[row].any(axis=(0, 1))).astype(np.int32)
        values = np.moveaxis(self.dense[row][..., latents], -1, 0)
        return maps_of(model_facts(n_latents=self.n_latents), latents, values, self.frame(row))

    def check_model(self, model):
        pass

    def frame(self, row):
        return Frame.identity(INPUT)

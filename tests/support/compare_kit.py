"""Runs of two models that share an SAE, and one of another, on the same small images."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save_file

import runs_kit
import tiny
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run

COUNT = 16
MASS = np.arange(COUNT) % 2 == 0


def write_runs(folder: Path, tiny_model: Path) -> Path:
    """Runs `a` and `b` of one SAE and two classifiers, `c` of another SAE; all with the label mass."""
    runs_kit.write_images(folder / "images", COUNT)
    pd.DataFrame({"image_id": [f"image-{i:03d}" for i in range(COUNT)], "mass": MASS.astype(int)}).to_csv(
        folder / "labels.csv", index=False
    )
    other = tiny.write_model(folder / "other", seed=3)
    mixed = tiny.write_model(folder / "mixed")
    shutil.copy(tiny_model.parent / "sae.safetensors", mixed.parent)
    weights = load_file(mixed.parent / "classifier.safetensors")
    scale = weights["image_encoder.bn2.weight"]
    weights["image_encoder.bn2.weight"] = scale.roll(1) * 0.7  # fires less, and elsewhere
    save_file(weights, mixed.parent / "classifier.safetensors")
    for name, model in (("a", tiny_model), ("b", mixed), ("c", other)):
        network = load_model(model, device="cpu")
        write_run(folder / "images", network, folder / name, labels=folder / "labels.csv", workers=0)
    return folder

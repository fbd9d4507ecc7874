"""A run with annotated boxes for the tests of localisation."""

from pathlib import Path

import numpy as np

import runs_kit
from napari_mammosae.core.runs.making.make import write_run

COUNT, WITH = 14, 9
"""Pictures, of as many patients; those with a mass."""


def write_localized_run(root: Path, model: Path) -> Path:
    """`run` with maps and `pooled` without over 14 pictures; `boxes.csv`: masses on 9, one of these with two."""
    images = runs_kit.write_images(root / "images", COUNT)
    rng = np.random.default_rng(0)
    lines, labels = ["image,finding,xmin,ymin,xmax,ymax"], ["image,patient,mass"]
    for i in range(COUNT):
        labels.append(f"image-{i:03d},p{i},{int(i < WITH)}")
        for _ in range((1 + (i == 3)) if i < WITH else 0):
            x, y = rng.integers(0, 150), rng.integers(80, 250)
            lines.append(f"image-{i:03d},mass,{x},{y},{x + 80},{y + 90}")
        if i >= WITH:
            lines.append(f"image-{i:03d},,,,,")
    lines.append("image-000,suspicious_calcification,40,200,80,260")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    (root / "labels.csv").write_text("\n".join(labels) + "\n")
    write_run(images, str(model), root / "run", labels=root / "labels.csv", maps=True, block=5)
    write_run(images, str(model), root / "pooled", labels=root / "labels.csv")
    return root

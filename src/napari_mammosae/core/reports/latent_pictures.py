"""Small pictures of a run's images with a latent's heatmap and the annotated boxes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images.geometry import Frame
from ..ranking.latent_facts import column_of
from ..runs.run import Run

Colors = Callable[[NDArray[Any]], NDArray[Any]]

HEIGHT = 220  # pixels of a picture
COUNT = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of the gallery before its picture is there: an image of the run and its activation."""

    row: int
    image_id: str
    name: str
    """What tables are searched for."""
    activation: float
    caption: str


def grey(path: Path, frame: Frame) -> NDArray[np.uint8]:
    """Read a mammogram and shrink the part that the model saw, in its display window: uint8, `HEIGHT` rows."""
    from ..images.mammogram import read_mammogram

    image = read_mammogram(path)
    part = frame.cut(image.displayed())
    low, high = image.contrast_limits()
    width = max(1, round(HEIGHT * part.shape[1] / part.shape[0]))
    small = cv2.resize(np.asarray(part, np.float32), (width, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip((small - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def small_picture(path: Path) -> NDArray[np.uint8]:
    """Read a small picture that was made before, uint8 (rows, cols)."""
    from ..images.mammogram import read_mammogram

    return np.asarray(read_mammogram(path).displayed(), np.uint8)


def strongest(run: Run, latent: int, count: int = COUNT) -> list[Cell]:
    """Images that activate a latent most, strongest first, one a patient; labels and prediction in the caption."""
    from ..ranking.neighbours import top_images
    from ..runs.listed_names import listed_name

    values = column_of(run.pooled("mean"), latent)
    rows = top_images(values, run.images["patient"].to_numpy(), count)
    labels = {name: run.label(name) for name in run.labels}
    cells = []
    for row in rows:
        present = [name.replace("_", " ") for name, column in labels.items() if column[row] == 1 and _is_binary(column)]
        image_id, path = run.images[["image_id", "path"]].astype(str).iloc[row]
        cells.append(Cell(int(row), image_id, listed_name(image_id, path), float(values[row]), ", ".join(present)))
    return cells


def heatmaps(run: Run, latent: int, rows: list[int]) -> dict[int, NDArray[np.float32]]:
    """Maps (H', W') of a latent on some images of a run that keeps maps, by row."""
    image, cell, value = run.maps(latent)
    found = {}
    for row in rows:
        own = image == run.numbers[row]
        cells = np.zeros(run.grid[0] * run.grid[1], np.float32)
        cells[cell[own]] = value[own]
        found[row] = cells.reshape(run.grid)
    return found


def paint(
    base: NDArray[np.uint8],
    frame: Frame,
    heat: NDArray[np.float32] | None,
    boxes: Any,
    colors: Colors,
    color_of: Callable[[str], str],
) -> NDArray[np.uint8]:
    """Lay heatmap and boxes over a small mammogram: uint8 (rows, cols, 3).

    Parameters
    ----------
    heat
        (H', W'), or None; its own maximum is full colour.
    boxes
        Table with `finding` and edges in source pixels, or None.
    colors, color_of
        RGBA (n, 4) of values from 0 to 1, and the colour of a finding as ``#rrggbb``.
    """
    rows, cols = base.shape
    picture = np.repeat(base[..., None], 3, axis=2).astype(np.float32)
    if heat is not None and (top := float(heat.max(initial=0.0))) > 0:
        # half-pixel centres, as napari draws the latents
        full = cv2.resize(heat / top, (cols, rows), interpolation=cv2.INTER_LINEAR)
        colours = colors(full.ravel()).reshape(rows, cols, 4)
        alpha = colours[..., 3:]
        picture = picture * (1 - alpha) + 255 * colours[..., :3] * alpha
    out = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
    if boxes is not None and len(boxes):
        row0, col0, row1, col1 = frame.crop
        scale = rows / (row1 - row0), cols / (col1 - col0)
        edges = boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)
        for name, (top_, left, bottom, right) in zip(boxes["finding"], edges, strict=True):
            corner = round((left - col0) * scale[1]), round((top_ - row0) * scale[0])
            other = round((right - col0) * scale[1]) - 1, round((bottom - row0) * scale[0]) - 1
            color = color_of(str(name)).lstrip("#")
            cv2.rectangle(out, corner, other, tuple(int(color[i : i + 2], 16) for i in (0, 2, 4)), 1, cv2.LINE_AA)
    return out


def _is_binary(values: NDArray[np.float64]) -> bool:
    return bool(np.isin(values[~np.isnan(values)], (0, 1)).all())

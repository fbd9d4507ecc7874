"""Figures for papers, drawn without a screen: heatmaps over the mammogram, in the same place as in the viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .errors import ModelError, SettingsError
from .files import write_atomic
from .provenance import NOTICE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from .geometry import Frame
    from .images import Mammogram
    from .latents import LatentMaps

FORMATS = ("png", "pdf", "svg")
COLUMNS = 6
PANEL_HEIGHT = 3.4  # inches
ROWS_DRAWN = 700  # pixels; a panel has no more when it is saved
HEAT = "inferno"
BOX = "#35d0ba"


def latents_figure(
    image: Mammogram,
    maps: LatentMaps,
    *,
    boxes: pd.DataFrame | None = None,
    top: int = 10,
    subtitle: str = "",
) -> Figure:
    """Draw the mammogram, and beside it the latents of highest mean on it, each as a heatmap of its own contrast.

    Parameters
    ----------
    image, maps
        The mammogram and its latents.
    boxes
        Columns row_min, col_min, row_max, col_max (source edges); drawn on every panel.
    top
        Heatmaps at most; latents that are silent on the image are not shown.
    subtitle
        Second line of the heading.
    """
    from matplotlib.figure import Figure

    if maps.frame is None:
        raise ModelError("These latents do not come from an image; compute them with compute_latents.")
    frame = maps.frame
    order = np.argsort(-maps.pooled_mean, kind="stable")[: min(top, len(maps.latents))]
    background = _background(image, frame)
    panels = 1 + len(order)
    rows, columns = -(-panels // COLUMNS), min(panels, COLUMNS)
    row0, col0, row1, col1 = frame.crop
    width = PANEL_HEIGHT * (col1 - col0) / (row1 - row0)
    figure = Figure(figsize=(max(width * columns, 4.0), (PANEL_HEIGHT + 0.45) * rows + 0.8), layout="constrained")
    figure.suptitle("\n".join(filter(None, [image.image_id, subtitle])), fontsize=9)
    figure.supxlabel(f"napari-mammosae · {NOTICE}", fontsize=6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    _draw(axes[0], background, frame, boxes)
    axes[0].set_title("image", fontsize=8)
    for axis, latent in zip(axes[1:], order, strict=False):
        _draw(axis, background, frame, boxes)
        _draw(axis, _heat(maps[int(latent)], background.shape), frame, None)
        mean, peak = maps.pooled_mean[latent], maps.pooled_max[latent]
        axis.set_title(f"latent {latent}\nmean {mean:.3g}, max {peak:.3g}", fontsize=7)
    return figure


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure whole, in the format its suffix names: png (200 dpi), pdf or svg.

    Raises
    ------
    SettingsError
        If the suffix is another one.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise SettingsError(f"{path.name}: a figure can be saved as {', '.join(FORMATS)}, not as '{path.suffix}'.")
    with write_atomic(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=200)


def _background(image: Mammogram, frame: Frame) -> NDArray[np.uint8]:
    """The part of the image that the model saw, windowed to 8 bit, at a size worth drawing."""
    row0, col0, row1, col1 = frame.crop
    low, high = image.contrast_limits()
    part = np.asarray(image.displayed()[row0:row1, col0:col1], dtype=np.float32)
    grey = np.asarray(np.clip((part - low) / (high - low), 0, 1) * 255, dtype=np.uint8)
    shrink = min(1.0, ROWS_DRAWN / grey.shape[0])
    if shrink == 1:
        return grey
    return np.asarray(cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _heat(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """RGBA of a map, stretched over the crop with half-pixel bilinear interpolation; weak means transparent."""
    from matplotlib import colormaps

    full = np.asarray(cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float64)
    relative = full / max(float(values.max()), 1e-30)
    colours = np.asarray(colormaps[HEAT](0.25 + 0.75 * relative, bytes=True), dtype=np.uint8)
    colours[..., 3] = 255 * np.clip(1.6 * relative, 0, 0.75)
    return colours


def _draw(axis: Axes, picture: NDArray[Any], frame: Frame, boxes: pd.DataFrame | None) -> None:
    from matplotlib.patches import Rectangle

    row0, col0, row1, col1 = frame.crop
    extent = (
        col0 - 0.5,
        col1 - 0.5,
        row1 - 0.5,
        row0 - 0.5,
    )  # an edge lies half a pixel before its pixel's centre
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="antialiased")
    if boxes is None:
        return
    for box in boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy(dtype=np.float64):
        corner, height, width = (box[1] - 0.5, box[0] - 0.5), box[2] - box[0], box[3] - box[1]
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=BOX, linewidth=0.8))

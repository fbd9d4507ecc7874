"""Figures for papers, drawn without a screen: heatmaps over the mammogram, in the same place as in the viewer."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.arguments import expect
from ..base.errors import ModelError, SettingsError
from ..base.figures import plain
from ..base.files import write_atomic
from ..base.provenance import NOTICE, ModelIdentity
from ..base.text import shorten
from ..images.geometry import Frame
from ..images.mammogram import Mammogram
from ..models.latents import LatentMaps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..annotations.boxes import Findings

FORMATS = ("png", "pdf", "svg")
COLUMNS = 6
PANEL_HEIGHT = 3.4  # inches
LONGEST_SIDE = 12_000
"""Pixels of a saved figure, of however many heatmaps."""
ROWS_DRAWN = 700  # pixels; a panel has no more when it is saved
_LONGEST = 32  # characters of a name above a panel
HEAT = "inferno"
BOX = "#35d0ba"


def plot_latents(
    image: Mammogram,
    maps: LatentMaps,
    *,
    top: int | None = 10,
    latents: ArrayLike | None = None,
    boxes: "Findings | pd.DataFrame | None" = None,
) -> NDArray[np.object_]:
    """Draw the mammogram, and beside it its strongest latents as heatmaps, and return the axes; nothing is written.

    Parameters
    ----------
    image, maps
        The mammogram and its latents.
    top, latents
        How many latents, those of highest mean first (None: all that fire), or which; silent ones are named as such.
    boxes
        Annotated boxes, drawn on every panel.

    Returns
    -------
    array of matplotlib.axes.Axes
        The image's, and one a latent.

    Raises
    ------
    ModelError
        The latents did not come from an image.
    FindingsError
        The boxes are for an image of another size.
    SettingsError
        There is no such latent, or `top` is negative.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> image = ms.read_mammogram("phantoms/phantom-000001.png")
    >>> maps = ms.compute_latents(ms.load_model("demo"), image)
    >>> len(ms.plot_latents(image, maps, top=2, boxes=ms.read_findings("phantoms/findings.csv")))
    3
    """
    import matplotlib.pyplot as plt

    from ..annotations.boxes import Findings

    for value, kind in ((image, "mammogram"), (maps, "latents"), *(() if boxes is None else ((boxes, "boxes"),))):
        expect(value, kind)
    if top is not None and top < 0:
        raise SettingsError(f"top is {top}; give a number of latents, or None for all that fire.")
    table = boxes.boxes(image.full_name, shape=image.shape) if isinstance(boxes, Findings) else boxes
    figure = latents_figure(image, maps, boxes=table, top=top, latents=latents, figure=plt.figure(layout="constrained"))
    return np.array([axis for axis in figure.axes if axis.get_title()], dtype=object)


def latents_figure(
    image: Mammogram,
    maps: LatentMaps,
    *,
    boxes: "pd.DataFrame | None" = None,
    top: int | None = 10,
    latents: ArrayLike | None = None,
    found: Mapping[int, NDArray[np.float64]] | None = None,
    called: Mapping[int, str] | None = None,
    subtitle: str = "",
    source: str = "",
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw the mammogram, and beside it some latents, each a heatmap of its own contrast (the paper's Figure 3).

    Parameters
    ----------
    image, maps
        The mammogram and its latents.
    boxes
        Columns row_min, col_min, row_max, col_max (source edges) and `finding` where there is one; drawn on every
        panel, named on the first.
    top
        Heatmaps at most; None for no limit.
    latents
        Which, in order; silent ones are shown as such. By default those of highest mean that fire on the image.
    found
        Boxes found in a latent's heatmap, (n, 4) source edges by latent; drawn dashed.
    called
        What latents are called, for their titles.
    subtitle
        Second line of the heading.
    source
        What made the numbers, for the line at the foot; see `figure_source`.
    figure
        An empty one to draw into; its size is set.
    """
    from matplotlib.figure import Figure

    if maps.frame is None:
        raise ModelError("These latents do not come from an image; compute them with compute_latents.")
    frame = maps.frame
    if latents is None:
        latents = np.argsort(-maps.pooled_mean, kind="stable")[: len(maps.latents)]
    try:
        order = np.arange(maps.shape[0])[np.asarray(latents, np.int64)][:top].tolist()
    except IndexError:
        raise SettingsError(f"there is no such latent; they go from 0 to {maps.shape[0] - 1}.") from None
    background = _background(image, frame)
    panels = 1 + len(order)
    row0, col0, row1, col1 = frame.crop
    width = PANEL_HEIGHT * (col1 - col0) / (row1 - row0)
    square = math.isqrt(int(panels * (PANEL_HEIGHT + 0.45) / width))  # columns of a figure as high as wide
    columns = min(panels, max(COLUMNS, square))
    rows = -(-panels // columns)
    figure = figure or Figure(layout="constrained")
    figure.set_size_inches(max(width * columns, 4.0), (PANEL_HEIGHT + 0.45) * rows + 0.8)
    figure.suptitle(plain("\n".join(filter(None, [image.image_id, subtitle]))), fontsize=9)
    figure.supxlabel(plain(" · ".join(filter(None, [source or "napari-mammosae", NOTICE]))), fontsize=6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    _draw(axes[0], background, frame, boxes, named=True)
    axes[0].set_title("image", fontsize=8)
    for axis, latent in zip(axes[1:], order, strict=False):
        _draw(axis, background, frame, boxes)
        if maps.row(latent) is not None:
            _draw(axis, _heat(maps[latent], background.shape), frame, None)
        if found is not None and latent in found:
            _outline(axis, found[latent], "white", dashed=True)
        mean, peak = maps.pooled_mean[latent], maps.pooled_max[latent]
        fires = f"mean {mean:.3g}, max {peak:.3g}" if peak > 0 else "silent on this image"
        name = plain(shorten((called or {}).get(latent, ""), _LONGEST))
        axis.set_title(f"latent {latent}\n{name}\n{fires}" if name else f"latent {latent}\n{fires}", fontsize=7)
    return figure


def figure_source(model: ModelIdentity, caution: str = "") -> str:
    """What made a figure, on one line: software, model and SAE by the start of their hashes; a caution above it."""
    from ... import __version__

    sae = f" · SAE {model.sae_sha256[:8]}" if model.sae_sha256 else ""
    line = f"napari-mammosae {__version__} · model {model.name} {model.model_sha256[:8]}{sae}"
    return f"{caution}\n{line}" if caution else line


def save_figure(figure: "Figure", path: Path | str) -> None:
    """Write a figure whole, in the format its suffix names: png, pdf or svg (text stays text).

    A picture has 300 dots an inch, or as many as leave its longer side `LONGEST_SIDE` pixels.

    Raises
    ------
    SettingsError
        If the suffix is another one.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise SettingsError(f"{path.name}: a figure can be saved as {', '.join(FORMATS)}, not as '{path.suffix}'.")
    from matplotlib import rc_context

    with write_atomic(path) as temporary, rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(temporary, format=kind, dpi=min(300, LONGEST_SIDE / max(figure.get_size_inches())))


def _background(image: Mammogram, frame: Frame) -> NDArray[np.uint8]:
    """The part of the image that the model saw, windowed to 8 bit, at a size worth drawing."""
    low, high = image.contrast_limits()
    part = np.asarray(frame.cut(image.displayed()), dtype=np.float32)
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


def _draw(
    axis: "Axes", picture: NDArray[Any], frame: Frame, boxes: "pd.DataFrame | None", *, named: bool = False
) -> None:
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
    edges = boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy(dtype=np.float64)
    _outline(axis, edges, BOX)
    if named and "finding" in boxes:
        dark = {"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "pad": 0.8}
        for box, name in zip(edges, boxes["finding"], strict=True):
            text = plain(str(name).replace("_", " "))
            # beside the nearer edge it would leave the panel
            left = box[1] + box[3] < col0 + col1
            axis.annotate(text, (box[1 if left else 3], box[0]), (0, 2), textcoords="offset points", fontsize=6,
                          color=BOX, ha="left" if left else "right", bbox=dark)  # fmt: skip


def _outline(axis: "Axes", boxes: NDArray[np.float64], color: str, *, dashed: bool = False) -> None:
    from matplotlib.patches import Rectangle

    for top, left, bottom, right in boxes:
        corner, height, width = (left - 0.5, top - 0.5), bottom - top, right - left
        style = (0, (3, 2)) if dashed else "-"
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=0.8, linestyle=style))

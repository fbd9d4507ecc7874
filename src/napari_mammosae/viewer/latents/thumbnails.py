"""Small pictures of a run's images with a latent's heatmap and the annotated boxes. Knows no Qt; made in a worker."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...core.base.caches import register_cache
from ...core.images.geometry import Frame
from ...core.runs.image_files import ImageFiles
from ...core.runs.run import Run
from ..canvas.colors import finding_color, heat_colormap

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings

HEIGHT = 220  # pixels of a thumbnail
COUNT = 12
_KEPT = 600  # grey thumbnails, about 30 kB each


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of the gallery before its picture is there: an image of the run and its activation."""

    row: int
    image_id: str
    name: str
    """What tables are searched for."""
    activation: float
    caption: str


class GreyCache:
    """The last few hundred small mammograms, since neighbouring latents show the same images again.

    They are kept in memory only: pictures of patients are not to stay behind on a disk.
    """

    name = "thumbnails"
    holds = "small pictures of the run's images, in memory only"

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, NDArray[np.uint8]] = OrderedDict()
        register_cache(self)

    def size(self) -> int:
        """Bytes of the pictures."""
        return sum(picture.nbytes for picture in list(self._kept.values()))

    def empty(self) -> None:
        """Forget all pictures."""
        self._kept.clear()

    def get(self, path: Path, frame: Frame, small: Path | None = None) -> NDArray[np.uint8]:
        """Return the picture of a file, read at the first call, or its `small` version where there is one.

        Raises
        ------
        ImageError
            If the file cannot be read.
        """
        picture = self._kept.pop(path, None)  # it can be emptied from another thread between two lines
        if picture is None:
            picture = grey(path, frame) if small is None else _small(small)
        self._kept[path] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture


def _small(path: Path) -> NDArray[np.uint8]:
    from ...core.images.mammogram import read_mammogram

    return np.asarray(read_mammogram(path).displayed(), np.uint8)


def grey(path: Path, frame: Frame) -> NDArray[np.uint8]:
    """Read a mammogram and shrink the part that the model saw, in its display window: uint8, `HEIGHT` rows."""
    from ...core.images.mammogram import read_mammogram

    image = read_mammogram(path)
    row0, col0, row1, col1 = frame.crop
    part = image.displayed()[row0:row1, col0:col1]
    low, high = image.contrast_limits()
    width = max(1, round(HEIGHT * part.shape[1] / part.shape[0]))
    small = cv2.resize(np.asarray(part, np.float32), (width, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip((small - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def strongest(run: Run, latent: int, count: int = COUNT) -> list[Cell]:
    """Images that activate a latent most, strongest first, one a patient; labels and prediction in the caption."""
    from ...core.ranking.neighbours import top_images
    from ...core.runs.listed_names import listed_name
    from .facts import column_of

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
    base: NDArray[np.uint8], frame: Frame, heat: NDArray[np.float32] | None, boxes: Any, colormap: str = "ember"
) -> NDArray[np.uint8]:
    """Lay heatmap and boxes over a small mammogram: uint8 (rows, cols, 3).

    Parameters
    ----------
    heat
        (H', W'), or None; its own maximum is full colour.
    boxes
        Table with `finding` and edges in source pixels, or None.
    """
    rows, cols = base.shape
    picture = np.repeat(base[..., None], 3, axis=2).astype(np.float32)
    if heat is not None and (top := float(heat.max(initial=0.0))) > 0:
        # half-pixel centres, as napari draws the latents
        full = cv2.resize(heat / top, (cols, rows), interpolation=cv2.INTER_LINEAR)
        colours = heat_colormap(colormap).map(full.ravel()).reshape(rows, cols, 4)
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
            color = finding_color(str(name)).lstrip("#")
            cv2.rectangle(out, corner, other, tuple(int(color[i : i + 2], 16) for i in (0, 2, 4)), 1, cv2.LINE_AA)
    return out


def make_pictures(
    run: Run,
    latent: int,
    files: ImageFiles,
    findings: "Findings | None",
    cache: GreyCache,
    arrived: Callable[[int, Any], None],
    report: Callable[..., None],
    colormap: str = "ember",
) -> None:
    """Make the gallery of a latent; `arrived` gets (-1, cells) first, then (place, picture or why there is none)."""
    from ...core.base.errors import MammoSAEError

    report(f"Finding images of latent {latent}")
    cells = strongest(run, latent)
    arrived(-1, cells)
    heats = heatmaps(run, latent, [cell.row for cell in cells]) if run.has_maps and cells else {}
    for place, cell in enumerate(cells):
        report(f"Drawing {cell.image_id}", place, len(cells))
        frame, small = run.frame(cell.row), files.thumbnail(cell.row)
        try:
            path = files.path(cell.row) if small is not None else files.fetch(cell.row)
            if path is None:
                arrived(place, "The image file was not found.")
                continue
            base = cache.get(path, frame, small)
            boxes = findings.boxes(cell.name, shape=frame.source_shape) if findings is not None else None
        except MammoSAEError as error:
            arrived(place, str(error))
            continue
        arrived(place, paint(base, frame, heats.get(cell.row), boxes, colormap))


def _is_binary(values: NDArray[np.float64]) -> bool:
    return bool(np.isin(values[~np.isnan(values)], (0, 1)).all())

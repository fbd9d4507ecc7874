"""The three pixel grids (source, model input, cell) and the exact maps between them.

Order is (row, column) everywhere. Points name pixel *centres*, which lie on integers: the first pixel covers
-0.5 to 0.5. Boxes ``(row_min, col_min, row_max, col_max)`` name *edges*, half open: 0 is the outer edge of the first
pixel, so an edge is drawn at ``edge - 0.5``.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BOX = ("row_min", "col_min", "row_max", "col_max")
"""Columns of a table of boxes: edges in pixels, half open."""


ENLARGED = 2
"""How many times an image may be enlarged on its way to the model's input without a note."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a model input came from: the crop of the source image that was resized to it.

    Parameters
    ----------
    source_shape
        Rows and columns of the file's pixels.
    crop
        ``(row0, col0, row1, col1)`` in source edges, half open; what was cut off before (a border) is part of it. It
        leaves the source where the image was padded.
    input_shape
        Rows and columns of the model input.
    """

    source_shape: tuple[int, int]
    crop: tuple[int, int, int, int]
    input_shape: tuple[int, int]

    def __post_init__(self) -> None:
        rows, cols = self.source_shape
        row0, col0, row1, col1 = self.crop
        if min(self.input_shape) < 1:
            raise ValueError(f"input shape {self.input_shape} has no pixels")
        if not (max(row0, 0) < min(row1, rows) and max(col0, 0) < min(col1, cols)):
            raise ValueError(f"crop {self.crop} holds nothing of the source image of shape {self.source_shape}")

    @classmethod
    def identity(cls, shape: tuple[int, int]) -> Self:
        """Frame of an image that is its own model input."""
        rows, cols = shape
        return cls((rows, cols), (0, 0, rows, cols), (rows, cols))

    def cut(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the part of an array (rows, cols) of source pixels that the model saw; padding is its lowest value."""
        row0, col0, row1, col1 = self.crop
        rows, cols = self.source_shape
        part = pixels[max(row0, 0) : row1, max(col0, 0) : col1]
        around = (max(-row0, 0), max(row1 - rows, 0)), (max(-col0, 0), max(col1 - cols, 0))
        return np.pad(part, around, constant_values=pixels.min()) if np.any(around) else part

    @property
    def scale(self) -> tuple[float, float]:
        """Source pixels per input pixel, for rows and columns."""
        row0, col0, row1, col1 = self.crop
        return (row1 - row0) / self.input_shape[0], (col1 - col0) / self.input_shape[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it: the image is enlarged more than twice."""
        factor = 1 / min(self.scale)
        if factor <= ENLARGED:
            return ()
        return (
            f"the image is enlarged {factor:.1f} times for the model, which was trained on finer images; use the "
            "image in full resolution",
        )

    @property
    def affine(self) -> Floats:
        """(3, 3) float64 that takes ``(row, col, 1)`` of an input pixel centre to the source pixel centre."""
        scale = self._scale
        matrix = np.eye(3)
        matrix[[0, 1], [0, 1]] = scale
        matrix[:2, 2] = scale / 2 - 0.5 + self._offset
        return matrix

    def to_source_points(self, points: ArrayLike) -> Floats:
        """Input pixel centres (n, 2) -> source pixel centres (n, 2)."""
        return (_columns(points, 2) + 0.5) * self._scale - 0.5 + self._offset

    def to_input_points(self, points: ArrayLike) -> Floats:
        """Source pixel centres (n, 2) -> input pixel centres (n, 2)."""
        return (_columns(points, 2) + 0.5 - self._offset) / self._scale - 0.5

    def boxes_to_input(self, boxes: ArrayLike) -> Floats:
        """Boxes (n, 4) in source edges -> input edges; not clipped."""
        return (_columns(boxes, 4) - np.tile(self._offset, 2)) / np.tile(self._scale, 2)

    def boxes_to_source(self, boxes: ArrayLike) -> Floats:
        """Boxes (n, 4) in input edges -> source edges; not clipped."""
        return _columns(boxes, 4) * np.tile(self._scale, 2) + np.tile(self._offset, 2)

    @property
    def _scale(self) -> Floats:
        return np.array(self.scale, dtype=np.float64)

    @property
    def _offset(self) -> Floats:
        return np.array(self.crop[:2], dtype=np.float64)


def cell_scale_translate(
    input_shape: tuple[int, int], grid: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and translation that lay a (H', W') heatmap over the model input, in input pixels.

    Cell (i, j) has its centre at ``((i + 0.5) * H / H' - 0.5, (j + 0.5) * W / W' - 0.5)``, as in bilinear upsampling
    with half-pixel centres.
    """
    rows, cols = input_shape[0] / grid[0], input_shape[1] / grid[1]
    return (rows, cols), ((rows - 1) / 2, (cols - 1) / 2)


def cell_affine(frame: Frame, grid: tuple[int, int]) -> Floats:
    """(3, 3) float64 that takes ``(row, col, 1)`` of a cell to the source pixel centre below the cell's centre."""
    scale, translate = cell_scale_translate(frame.input_shape, grid)
    matrix = np.diag([*scale, 1.0])
    matrix[:2, 2] = translate
    return frame.affine @ matrix


def clip_boxes(boxes: ArrayLike, shapes: ArrayLike) -> tuple[Floats, Flags, Flags]:
    """Clip boxes (n, 4), in edges, to their images.

    Parameters
    ----------
    boxes
        (n, 4), row_min, col_min, row_max, col_max.
    shapes
        Rows and columns: one pair (2,) for all boxes, or (n, 2); infinity where a size is not known.

    Returns
    -------
    clipped
        (n, 4) float64.
    changed
        (n,) bool, boxes that reached beyond their image.
    outside
        (n,) bool, boxes of which nothing is left.
    """
    given = _columns(boxes, 4)
    clipped = np.clip(given, 0.0, np.tile(np.asarray(shapes, dtype=np.float64), 2))
    changed = np.any(clipped != given, axis=1)
    outside = np.any(clipped[:, 2:] <= clipped[:, :2], axis=1)
    return clipped, np.asarray(changed), np.asarray(outside)


def _columns(values: ArrayLike, width: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return np.empty((0, width))
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"expected an array of shape (n, {width}), got {array.shape}")
    return array

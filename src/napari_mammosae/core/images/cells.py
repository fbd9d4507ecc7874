"""Which share of each cell's area lies in boxes or in a mask: exact, with fractional cells and no upsampling."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Shape = tuple[int, int]


def cell_shares(mask: npt.ArrayLike, grid: Shape) -> Doubles:
    """Share of each cell's area that a mask (H, W) of the model input covers, (H', W') float64 from 0 to 1.

    A weighted mask (values other than 0 and 1) gives the mean over the cell. Pixels on a cell's edge count in part.
    """
    values = np.asarray(mask)
    if values.ndim != 2:
        raise ValueError(f"a mask has two dimensions (H, W), not {values.ndim}")
    return _means(values, *(np.linspace(0.0, n, k + 1) for n, k in zip(values.shape, grid, strict=True)))


def box_shares(boxes: npt.ArrayLike, shape: Shape, grid: Shape, within: npt.ArrayLike | None = None) -> Doubles:
    """Share of each cell's area that the union of boxes covers, (H', W') float64; with `within`, union and mask.

    Parameters
    ----------
    boxes : (n, 4) edges (row_min, col_min, row_max, col_max) in input pixels, fractional ones allowed; what reaches
        beyond the input is cut off, and overlaps count once
    shape, grid : (H, W) and (H', W')
    within : (H, W) mask that is to be covered as well, for example the breast
    """
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    # The lines of all boxes and cells cut the input into rectangles that lie in or out as a whole.
    rows, columns = (
        np.unique(np.clip(np.concatenate([np.linspace(0.0, shape[a], grid[a] + 1), *edges[:, a::2]]), 0, shape[a]))
        for a in (0, 1)
    )
    centre_r, centre_c = (rows[1:] + rows[:-1]) / 2, (columns[1:] + columns[:-1]) / 2
    inside = np.zeros((centre_r.size, centre_c.size), bool)
    for row_min, col_min, row_max, col_max in edges:
        inside |= np.outer((row_min < centre_r) & (centre_r < row_max), (col_min < centre_c) & (centre_c < col_max))
    area = np.outer(np.diff(rows), np.diff(columns)) * inside
    if within is not None:
        area *= _means(np.asarray(within), rows, columns)
    cell = shape[0] / grid[0] * shape[1] / grid[1]
    of_row = np.minimum((centre_r * grid[0] / shape[0]).astype(np.intp), grid[0] - 1)
    of_column = np.minimum((centre_c * grid[1] / shape[1]).astype(np.intp), grid[1] - 1)
    out = np.zeros(grid)
    np.add.at(out, (of_row[:, None], of_column[None, :]), area / cell)
    return np.minimum(out, 1.0)


def centres_inside(boxes: npt.ArrayLike, shape: Shape, grid: Shape) -> npt.NDArray[np.bool_]:
    """Cells whose centre lies in one of the boxes (n, 4), (H', W') bool; the upper edge of a box is outside."""
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    row, column = ((np.arange(grid[a]) + 0.5) * shape[a] / grid[a] for a in (0, 1))
    in_rows = (edges[:, :1] <= row) & (row < edges[:, 2:3])
    in_columns = (edges[:, 1:2] <= column) & (column < edges[:, 3:4])
    return np.asarray((in_rows[:, :, None] & in_columns[:, None, :]).any(axis=0))


def _means(values: npt.NDArray[np.generic], rows: Doubles, columns: Doubles) -> Doubles:
    """Mean of a piecewise-constant image over every rectangle between consecutive lines.

    The integral image is bilinear between pixel corners, so reading it there by linear interpolation is exact.
    """
    if values.dtype == bool:  # counts of pixels are exact as integers, in half the memory
        total: npt.NDArray[Any] = cv2.integral(np.ascontiguousarray(values).view(np.uint8), sdepth=cv2.CV_32S)
    else:
        total = cv2.integral(np.ascontiguousarray(values, np.float64), sdepth=cv2.CV_64F)
    for axis, lines in enumerate((rows, columns)):
        low = np.minimum(lines.astype(np.intp), values.shape[axis] - 1)
        weight = lines - low
        weight = weight[:, None] if axis == 0 else weight
        total = np.take(total, low, axis) * (1 - weight) + np.take(total, low + 1, axis) * weight
    sums = np.diff(np.diff(total, axis=0), axis=1)
    # differences of large sums: rounding may take a mean a little beyond the values it is a mean of
    return np.clip(sums / np.outer(np.diff(rows), np.diff(columns)), float(values.min()), float(values.max()))

"""Which share of each cell's area lies in boxes or in a mask: exact, with fractional cells and no upsampling."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Shape = tuple[int, int]
_SEVERAL = 50
"""Boxes whose lines cut the input into so many rectangles that one row of cells after the other is quicker."""


def cell_shares(mask: npt.ArrayLike, grid: Shape) -> Doubles:
    """Share of each cell's area that a mask (H, W) of the model input covers, (H', W') float64 from 0 to 1.

    A weighted mask (values other than 0 and 1) gives the mean over the cell. Pixels on a cell's edge count in part.
    """
    values = np.asarray(mask)
    if values.ndim != 2:
        raise ValueError(f"a mask has two dimensions (H, W), not {values.ndim}")
    return _means(values, *(np.linspace(0.0, n, k + 1) for n, k in zip(values.shape, grid, strict=True)))


def box_shares(
    boxes: npt.ArrayLike, shape: tuple[float, float], grid: Shape, within: npt.ArrayLike | None = None
) -> Doubles:
    """Share of each cell's area that the union of boxes covers, (H', W') float64; with `within`, union and mask.

    Parameters
    ----------
    boxes : (n, 4) edges (row_min, col_min, row_max, col_max) in input pixels, fractional ones allowed; what reaches
        beyond the input is cut off, and overlaps count once
    shape, grid : (H, W) and (H', W')
    within : (H, W) mask that is to be covered as well, for example the breast
    """
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    if len(edges) > _SEVERAL and within is None and grid[0] > 1:
        lines = np.linspace(0.0, shape[0], grid[0] + 1)
        touched = [edges[(edges[:, 0] < end) & (edges[:, 2] > begin)] for begin, end in pairwise(lines)]
        return np.concatenate(
            [
                box_shares(mine - [begin, 0, begin, 0], (end - begin, shape[1]), (1, grid[1]))
                for mine, (begin, end) in zip(touched, pairwise(lines), strict=True)
            ]
        )
    # The lines of all boxes and cells cut the input into rectangles that lie in or out as a whole.
    rows, columns = (
        np.unique(np.clip(np.concatenate([np.linspace(0.0, shape[a], grid[a] + 1), *edges[:, a::2]]), 0, shape[a]))
        for a in (0, 1)
    )
    centre_r, centre_c = (rows[1:] + rows[:-1]) / 2, (columns[1:] + columns[:-1]) / 2
    inside = _in_any(edges, rows, columns)
    area = np.outer(np.diff(rows), np.diff(columns)) * inside
    if within is not None:
        area *= _means(np.asarray(within), rows, columns)
    cell = shape[0] / grid[0] * shape[1] / grid[1]
    of_row = np.minimum((centre_r * grid[0] / shape[0]).astype(np.intp), grid[0] - 1)
    of_column = np.minimum((centre_c * grid[1] / shape[1]).astype(np.intp), grid[1] - 1)
    by_row = np.add.reduceat(area, np.searchsorted(of_row, np.arange(grid[0])), axis=0)
    out = np.add.reduceat(by_row, np.searchsorted(of_column, np.arange(grid[1])), axis=1)
    return np.minimum(out / cell, 1.0)


def centres_inside(boxes: npt.ArrayLike, shape: Shape, grid: Shape) -> npt.NDArray[np.bool_]:
    """Cells whose centre lies in one of the boxes (n, 4), (H', W') bool; the upper edge of a box is outside."""
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    row, column = ((np.arange(grid[a]) + 0.5) * shape[a] / grid[a] for a in (0, 1))
    in_rows = (edges[:, :1] <= row) & (row < edges[:, 2:3])
    in_columns = (edges[:, 1:2] <= column) & (column < edges[:, 3:4])
    return np.asarray((in_rows[:, :, None] & in_columns[:, None, :]).any(axis=0))


def _in_any(edges: Doubles, rows: Doubles, columns: Doubles) -> npt.NDArray[np.bool_]:
    """Which rectangles between consecutive lines lie in one of the boxes, whose edges are among the lines."""
    low_r, low_c, high_r, high_c = (
        np.searchsorted(lines, np.clip(edges[:, at], lines[0], lines[-1]))
        for at, lines in enumerate((rows, columns, rows, columns))
    )
    some = (low_r < high_r) & (low_c < high_c)
    low_r, low_c, high_r, high_c = low_r[some], low_c[some], high_r[some], high_c[some]
    steps = np.zeros((rows.size, columns.size), np.int32)  # where a box begins and ends, each way
    for r, c, by in ((low_r, low_c, 1), (low_r, high_c, -1), (high_r, low_c, -1), (high_r, high_c, 1)):
        np.add.at(steps, (r, c), by)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0)


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

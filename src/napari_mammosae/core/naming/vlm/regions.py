"""The region of an image in which a latent fires, and one of the same size and shape elsewhere in the breast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ...images.cells import cell_shares
from ...images.preprocessing import BACKGROUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...stats.measures import BoolArray, FloatArray

SHARE_OF_PEAK = 0.3
"""Cells of at least this share of the largest value belong to the region."""


def region_of(values: FloatArray) -> BoolArray:
    """Return the cells (H', W') around the peak that hang together with it and fire strongly."""
    strong = values >= SHARE_OF_PEAK * values.max()
    parts, _ = ndimage.label(strong, np.ones((3, 3)))
    return np.asarray(parts == parts[np.unravel_index(values.argmax(), values.shape)])


def breast_cells(pixels: NDArray[np.uint8], grid: tuple[int, int]) -> BoolArray:
    """Return the cells (H', W') of which at least half is brighter than the background."""
    return np.asarray(cell_shares(pixels > BACKGROUND, grid) >= 0.5)


def moved_region(region: BoolArray, fires: BoolArray, breast: BoolArray, rng: np.random.Generator) -> BoolArray | None:
    """Move a region (H', W') at random to where the latent is silent, inside the breast; None where it fits nowhere.

    A cell of the region that lies outside the breast itself may do so elsewhere too.
    """
    rows, columns = np.nonzero(region)
    inside = breast[rows, columns].mean()
    grid = region.shape
    downs = np.arange(-rows.min(), grid[0] - rows.max())
    rights = np.arange(-columns.min(), grid[1] - columns.max())
    at_rows = rows[None, :] + downs[:, None]
    at_columns = columns[None, :] + rights[:, None]
    cells = at_rows[:, None, :] * grid[1] + at_columns[None, :, :]
    free = ~fires.ravel()[cells].any(axis=2) & (breast.ravel()[cells].mean(axis=2) >= inside)
    places = np.argwhere(free)
    if not places.size:
        return None
    down, right = places[rng.integers(len(places))]
    moved = np.zeros(grid, np.bool_)
    moved[rows + downs[down], columns + rights[right]] = True
    return moved

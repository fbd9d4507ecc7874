"""Which parts of a cell a region covers: 8 x 8 of them in one number, so that boxes can be cut with its outline."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..images.cells import box_shares, cell_shares

Doubles = npt.NDArray[np.float64]
Shape = tuple[int, int]

SIDE = 8
BREAST_PARTS = "breast_parts"
"""What the parts of the breast are called beside the shares of regions."""


def parts_of(mask: npt.ArrayLike, grid: Shape) -> npt.NDArray[np.uint64]:
    """Return the parts of each cell of which a mask (H, W) covers at least half, (H', W') uint64, a bit each."""
    covered = cell_shares(mask, (grid[0] * SIDE, grid[1] * SIDE)) >= 0.5
    bits = np.packbits(_by_cell(covered, grid), axis=-1, bitorder="little")
    return bits.view("<u8").reshape(grid).astype(np.uint64)


def shares_in_both(
    boxes: npt.ArrayLike, shape: Shape, grid: Shape, share: npt.ArrayLike, parts: npt.ArrayLike | None
) -> Doubles:
    """Return the share of each cell that lies both in the union of boxes and in a region, (H', W') float64.

    Exact where one of them contains the cell or leaves it out; where both cut it, to a part of it. Without `parts`, the
    smaller share stands for that.

    Parameters
    ----------
    boxes : (n, 4) edges in input pixels
    shape, grid : (H, W) and (H', W')
    share : (H', W'), the region's share of each cell
    parts : (H', W') uint64, its parts, as `parts_of` gives them
    """
    box, region = box_shares(boxes, shape, grid), np.asarray(share, np.float64).reshape(grid)
    both = np.minimum(box, region)
    cut = (box > 0) & (box < 1) & (region > 0) & (region < 1)
    if parts is None or not cut.any():
        return both
    boxed = _by_cell(box_shares(boxes, shape, (grid[0] * SIDE, grid[1] * SIDE)), grid)[cut]
    words = np.ascontiguousarray(np.asarray(parts, "<u8").reshape(grid)[cut])[:, None]
    inside = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    count = inside.sum(axis=1)
    of_region = np.where(count > 0, (boxed * inside).sum(axis=1) / np.maximum(count, 1), box[cut])
    both[cut] = np.clip(of_region * region[cut], np.maximum(box[cut] + region[cut] - 1, 0), both[cut])
    return both


def _by_cell(fine: npt.NDArray[Any], grid: Shape) -> npt.NDArray[Any]:
    """Values of all parts (8 H', 8 W') as those of each cell, (H', W', 64)."""
    return fine.reshape(grid[0], SIDE, grid[1], SIDE).swapaxes(1, 2).reshape(*grid, SIDE * SIDE)

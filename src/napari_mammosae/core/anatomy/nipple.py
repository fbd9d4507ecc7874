"""Where the nipple is, judged by the outline of the breast: the point of the skin that lies farthest out."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_TIP = 0.01
"""The nipple is the middle of all skin that lies as far out, but for this share of the breast's depth."""
_CUT = 0.25
"""Share of the breast's height along the border of the image from which on the border cuts it off."""


def estimate_nipple(breast: Mask, *, laterality: Literal["L", "R"] | None = None) -> tuple[float, float] | None:
    """Estimate where the nipple is: the skin farthest from the chest wall, of CC and MLO views alike.

    An estimate from the outline alone: a nipple that is retracted, turned aside or hidden by a fold is missed.

    Parameters
    ----------
    breast
        (H, W) mask of a model input, as `region_masks` makes it.
    laterality
        Side of the body; the chest wall of a left breast is at the left. Read off the mask where it is not known.

    Returns
    -------
    tuple
        Row and column (centres of pixels are whole numbers); None where there is no breast, or where the border of the
        image cuts it off, so that its outermost point is not the skin's.

    Examples
    --------
    >>> import numpy as np
    >>> breast = np.zeros((9, 9), bool)
    >>> for row in range(1, 8):
    ...     breast[row, : 7 - abs(row - 4)] = True
    >>> estimate_nipple(breast, laterality="L")
    (4.0, 6.0)
    """
    if not breast.any():
        return None
    turned = laterality == "R" if laterality else _lies_right(breast)
    if turned:
        breast = breast[:, ::-1]
    height, width = breast.shape
    rows = np.flatnonzero(breast.any(axis=1))
    reach = width - 1 - np.argmax(breast[rows, ::-1], axis=1)  # outermost pixel of each row
    tip = reach >= reach.max() * (1 - _TIP)
    cut = reach.max() >= width - 1 and tip.sum() > _CUT * rows.size  # a crop to the breast touches it, in a point
    if cut or rows[tip].min() <= 0 or rows[tip].max() >= height - 1:
        return None
    row, column = float(np.mean(rows[tip])), float(reach.max())
    return row, width - 1 - column if turned else column


def _lies_right(breast: Mask) -> bool:
    columns = np.flatnonzero(breast.any(axis=0))
    return bool(columns[0] > breast.shape[1] - 1 - columns[-1])

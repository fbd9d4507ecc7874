"""Where the views of an exam lie, so that the chest walls meet in the middle and no pixel is resampled."""

import numpy as np
from numpy.typing import NDArray


def place_view(
    shape: tuple[int, int], area: tuple[int, int], laterality: str | None, *, mirrored: bool = False, gap: int = 0
) -> NDArray[np.float64]:
    """(3, 3) float64 that takes (row, column, 1) of a pixel's centre to where it is drawn, a unit a pixel.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    area
        Rows and columns that all images of the exam share: those of the largest. The image is centred from top to
        bottom; a right breast touches the right border, a left one the left border, any other is centred.
    laterality
        Side of the body: "R", "L" or None.
    mirrored
        Whether left and right are exchanged; rows stay as they are.
    gap
        Columns by which a right breast is moved on to the right and a left one to the left: half of what the cell of
        the grid is wider than the area.

    Examples
    --------
    >>> place_view((4, 3), (4, 5), "R") @ (0, 2, 1)
    array([0., 4., 1.])
    >>> place_view((4, 3), (4, 5), "R", mirrored=True) @ (0, 2, 1)
    array([0., 2., 1.])
    """
    spare = area[1] - shape[1]
    column = {"R": spare + gap, "L": -gap}.get(laterality or "", spare // 2)
    matrix = np.eye(3)
    matrix[:2, 2] = (area[0] - shape[0]) // 2, column
    if mirrored:
        matrix[1, 1], matrix[1, 2] = -1.0, column + shape[1] - 1
    return matrix

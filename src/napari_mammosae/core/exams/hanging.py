"""How the views of an exam hang beside each other."""

from collections import defaultdict
from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Hanging: TypeAlias = "tuple[tuple[int | None, ...], ...]"
"""Rows of places in a list of images, all equally long; None leaves a place empty."""

SIDES, VIEWS = ("R", "L"), ("MLO", "CC")
"""From left to right, and from top to bottom."""
_ABOVE_AIR = 0.02
"""Share of the range of values above which a pixel is taken for breast."""


def hang_views(lateralities: Sequence[str | None], views: Sequence[str | None]) -> Hanging:
    """Hang right views at the left and left ones at the right, MLO above CC; the images between keep their order.

    A view that was taken twice gets a row more. Images whose side or view is not known follow in the order of the list;
    where none is known, all hang in that order, as close to a square as they can.

    Examples
    --------
    >>> hang_views(["L", "L", "R", "R"], ["CC", "MLO", "CC", "MLO"])
    ((3, 1), (2, 0))
    >>> hang_views([None, "L", None], [None, None, "CC"])
    ((0, 1), (2, None))
    """
    known: dict[tuple[str, str], list[int]] = defaultdict(list)
    others = []
    for place, (side, view) in enumerate(zip(lateralities, views, strict=True)):
        if side in SIDES and view in VIEWS:
            known[str(side), str(view)].append(place)
        else:
            others.append(place)
    sides = [side for side in SIDES if any(at == side for at, _ in known)]
    rows = [
        [known[side, view][turn] if turn < len(known[side, view]) else None for side in sides]
        for view in VIEWS
        for turn in range(max((len(known[side, view]) for side in sides), default=0))
    ]
    columns = len(sides) or max(1, ceil(sqrt(len(others))))
    rows += [list(others[start : start + columns]) for start in range(0, len(others), columns)]
    return _even(rows)


def hang_beside(first: Hanging, second: Hanging, offset: int) -> Hanging:
    """Hang a second exam at the right of a first one; its places count from `offset`.

    >>> hang_beside(((0, 1),), ((1, 0), (2, 3)), 2)
    ((0, 1, 3, 2), (None, None, 4, 5))
    """
    height, width = max(len(first), len(second)), max(map(len, first), default=0)
    moved = [[None if place is None else place + offset for place in row] for row in second]
    rows = [
        [*(first[at] if at < len(first) else [None] * width), *(moved[at] if at < len(moved) else [])]
        for at in range(height)
    ]
    return _even(rows)


def needs_mirroring(pixels: NDArray[Any], laterality: str | None) -> bool:
    """Whether a view has to be mirrored so that its chest wall lies towards the middle of the exam.

    The chest wall is taken to be at the side of the image where more is breast. Right breasts hang at the left, so
    their chest wall is to be at the right, and the other way round; where the side of the body is not known the image
    stays as it is.

    Parameters
    ----------
    pixels
        (rows, cols), dense tissue bright.
    laterality
        Side of the body: "L", "R" or None.

    Examples
    --------
    >>> at_left = np.array([[9, 8, 0, 0], [9, 7, 5, 0]])
    >>> needs_mirroring(at_left, "R"), needs_mirroring(at_left, "L"), needs_mirroring(at_left, None)
    (True, False, False)
    """
    if laterality not in SIDES:
        return False
    step = max(1, min(pixels.shape) // 256)  # a sample is enough to tell a side
    sample = np.asarray(pixels[::step, ::step], np.float64)
    low, high = np.percentile(sample, (1, 99))
    breast = sample > low + _ABOVE_AIR * (high - low)
    half = breast.shape[1] // 2
    left, right = int(breast[:, :half].sum()), int(breast[:, breast.shape[1] - half :].sum())
    return left > right if laterality == "R" else right > left


def _even(rows: Sequence[Sequence[int | None]]) -> Hanging:
    width = max(map(len, rows), default=0)
    return tuple((*row, *[None] * (width - len(row))) for row in rows)

"""What a server is shown of an image: the whole view, the part where a latent fires, an outline. Pixels, nothing else.

The pixels are those that the model sees, cropped to the breast, and encoded anew: no tag of a file comes along.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...stats.measures import BoolArray

    Grey = NDArray[np.uint8]

SIDE = 896
"""Pixels of a side, at most: what MedGemma sees."""
CLOSER = 2
"""How many times the part around the peak is enlarged."""
_PART = 448 / 1520  # of the longer side of the model's input
_OUTLINE = (0, 255, 255)  # yellow, which no mammogram has


@dataclass(frozen=True)
class Picture:
    """A square PNG without metadata."""

    png: bytes

    @cached_property
    def sha256(self) -> str:
        """Hash of the file, by which it is known in the records; the picture itself is not kept."""
        return hashlib.sha256(self.png).hexdigest()


def whole_view(pixels: Grey) -> Picture:
    """Return the model's input (H, W) padded to a square, which keeps its proportions."""
    return _encoded(_fitted(_padded(pixels)))


def enlarged_part(pixels: Grey, cell: tuple[int, int], grid: tuple[int, int]) -> Picture:
    """Return the part of the model's input (H, W) around a cell of the grid, twice as large."""
    height, width = pixels.shape
    side = min(max(round(max(pixels.shape) * _PART), 1), height, width)
    centre = [(at + 0.5) * size / cells for at, size, cells in zip(cell, pixels.shape, grid, strict=True)]
    row, column = (
        int(np.clip(round(at - side / 2), 0, size - side)) for at, size in zip(centre, pixels.shape, strict=True)
    )
    part = pixels[row : row + side, column : column + side]
    return _encoded(cv2.resize(part, None, fx=CLOSER, fy=CLOSER, interpolation=cv2.INTER_CUBIC))


def outlined_view(pixels: Grey, region: BoolArray) -> Picture:
    """Return the whole view with a line around a region of cells (H', W')."""
    mask = cv2.resize(region.astype(np.uint8), pixels.shape[::-1], interpolation=cv2.INTER_NEAREST)
    view = cv2.cvtColor(_fitted(_padded(pixels)), cv2.COLOR_GRAY2BGR)
    shape = cv2.resize(_padded(mask), view.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(view, lines, -1, _OUTLINE, max(1, round(3 * view.shape[0] / SIDE)))
    return _encoded(view)


def _padded(pixels: NDArray[Any]) -> Grey:
    height, width = pixels.shape
    side = max(height, width)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def _fitted(square: Grey) -> Any:
    if square.shape[0] <= SIDE:
        return square
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _encoded(pixels: Any) -> Picture:
    return Picture(cv2.imencode(".png", pixels)[1].tobytes())

"""Anatomy and artefacts of a mammogram from its grey values: breast, skin line, pectoral muscle, border, markers.

Made for sorting latents by where they look, not for measuring anatomy: quick, without parameters to tune, and empty
rather than wrong where the evidence is weak.
"""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images.cells import cell_shares
from .cell_parts import parts_of
from .pectoral import pectoral_outline

REGIONS = ("breast", "skin", "pectoral", "border", "marker")
"""Regions, in the order in which `region_shares` stacks them."""

SKIN_MM = 2.0
BORDER = 0.02  # of the input's height: about one cell of the published model
TYPICAL_SPACING = (0.120, 0.094)  # mm per input pixel (row, column), for images that do not say

_REDUCED = 4  # masks are found on an image reduced so many times
_FAINTEST_MARKER = 90
_NOISE = 1e-6  # of a cell's area, less than a thousandth of a pixel: rounding, which ratios would blow up
_SMALLEST_MARKER = 6  # reduced pixels
_REACH = 40  # reduced pixels of skin at most, so that a file with a wrong spacing takes no longer

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]


def region_masks(
    pixels: Grey,
    *,
    laterality: Literal["L", "R"] | None = None,
    view: Literal["CC", "MLO"] | None = None,
    spacing: tuple[float, float] | None = None,
) -> dict[str, Mask]:
    """Masks (H, W) of the regions of a model input, by name.

    `breast` is the largest thing that is not air, pectoral muscle included, with whatever touches it; `skin` its outer
    2 mm towards air; `pectoral` the muscle in the upper corner at the chest wall of an MLO view; `border` a frame of
    2 % of the height around the image; `marker` what is bright outside the breast: letters, tags, beads.

    Parameters
    ----------
    pixels
        (H, W) uint8 model input, bright = dense.
    laterality
        Side of the body; the chest wall of a left breast is at the left. Read off the image where it is not known.
    view
        Only an MLO view has a pectoral muscle here; the strip that some CC views show is left out. Read off the outline
        where it is not known.
    spacing
        Millimetres per input pixel (row, column); a typical one where it is not known.
    """
    masks = _reduced_masks(pixels, laterality, view, spacing)
    full = {name: _enlarged(mask, pixels.shape) for name, mask in masks.items()}
    full["border"] = _border(*pixels.shape)
    return {name: full[name] for name in REGIONS}


def region_shares(
    pixels: Grey,
    grid: tuple[int, int],
    *,
    laterality: Literal["L", "R"] | None = None,
    view: Literal["CC", "MLO"] | None = None,
    spacing: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Share of each cell's area that lies in each region, (5, H', W') float32 in the order of `REGIONS`."""
    return region_cells(pixels, grid, laterality=laterality, view=view, spacing=spacing)[0]


def region_cells(
    pixels: Grey,
    grid: tuple[int, int],
    *,
    laterality: Literal["L", "R"] | None = None,
    view: Literal["CC", "MLO"] | None = None,
    spacing: tuple[float, float] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Return `region_shares`, and which parts of each cell the breast covers, (H', W') uint64; see `parts_of`.

    Both are of the reduced image that regions are found on, not of masks that are enlarged again.
    """
    masks = _reduced_masks(pixels, laterality, view, spacing)
    shares = np.zeros((len(REGIONS), *grid))
    shares[REGIONS.index("border")] = _border_shares(*pixels.shape, grid)
    for name, mask in masks.items():
        if mask.any():
            shares[REGIONS.index(name)] = cell_shares(mask, grid)
    shares[shares < _NOISE] = 0.0
    return shares.astype(np.float32), parts_of(masks["breast"], grid)


def whole_image(shape: tuple[int, int], grid: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """As `region_cells`, of an image (H, W) of something else: all of it stands where the breast would."""
    shares = np.zeros((len(REGIONS), *grid), np.float32)
    shares[REGIONS.index("breast")] = 1
    shares[REGIONS.index("border")] = _border_shares(*shape, grid)
    return shares, parts_of(np.ones(shape, np.bool_), grid)


def _reduced_masks(
    pixels: Grey,
    laterality: Literal["L", "R"] | None,
    view: Literal["CC", "MLO"] | None,
    spacing: tuple[float, float] | None,
) -> dict[str, Mask]:
    """Masks of all regions but the border, of the reduced image."""
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(f"a model input has two dimensions and 8 bit, not {pixels.ndim} and {pixels.dtype}")
    height, width = pixels.shape
    reduced = (max(width // _REDUCED, 1), max(height // _REDUCED, 1))
    small: Grey = np.asarray(cv2.resize(pixels, reduced, interpolation=cv2.INTER_AREA), np.uint8)
    turned = laterality == "R" if laterality else _chest_wall_is_right(small)
    if turned:
        small = small[:, ::-1]
    breast = _breast(small, _air_level(small))
    view = view or _view(breast)
    step = np.array(spacing or TYPICAL_SPACING) * (height / reduced[1], width / reduced[0])
    masks = {
        "breast": breast,
        # The edge lies half a pixel before the first pixel of the breast.
        "skin": breast & _near_air(breast, step, SKIN_MM + float(step.mean()) / 2),
        "pectoral": breast & pectoral_outline(small, breast) if view == "MLO" else np.zeros_like(breast),
        "marker": _markers(small, breast),
    }
    return {name: mask[:, ::-1] for name, mask in masks.items()} if turned else masks


def _near_air(breast: Mask, step: NDArray[np.float64], reach: float) -> Mask:
    """Pixels less than `reach` mm from one of the air; `step` is (row, column) mm per pixel."""
    rows, columns = np.minimum(reach / step, _REACH).astype(int)
    down, across = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    disc = (down * step[0]) ** 2 + (across * step[1]) ** 2 < reach**2
    return np.asarray(cv2.dilate((~breast).view(np.uint8), disc.view(np.uint8))) > 0


def _border(height: int, width: int) -> Mask:
    frame = np.ones((height, width), bool)
    edge = max(1, round(BORDER * height))
    frame[edge : height - edge, edge : width - edge] = False
    return frame


@lru_cache(maxsize=4)
def _border_shares(height: int, width: int, grid: tuple[int, int]) -> NDArray[np.float64]:
    """Shares of the border's cells, the same for all images of a size."""
    return cell_shares(_border(height, width), grid)


def _chest_wall_is_right(small: Grey) -> bool:
    """The chest wall is where the image is bright down to its edge."""
    edge = max(1, small.shape[1] // 12)
    left, right = (float((side > 0).mean() * side.mean()) for side in (small[:, :edge], small[:, -edge:]))
    return right > left


def _view(breast: Mask) -> Literal["CC", "MLO"]:
    """An oblique view is cut off by the upper border, where the breast is broad, and tapers to the lower."""
    edge = max(1, breast.shape[0] // 33)
    upper, lower = breast[edge // 3 : edge].mean(), breast[-edge : -(edge // 3) or None].mean()
    return "MLO" if upper > 0.4 and upper > lower + 0.15 else "CC"


def _air_level(small: Grey) -> float:
    """Grey level below which a pixel is air: the valley between the peak of air and the breast."""
    counts = np.bincount(small.ravel(), minlength=256).astype(np.float64)
    peak = int(np.argmax(counts[:32]))
    smooth = np.convolve(counts, np.ones(3) / 3, "same")[peak + 2 : peak + 24]
    rising = np.flatnonzero(np.diff(smooth) >= 0)
    return float(peak + 2 + (rising[0] if rising.size else 0))


def _breast(small: Grey, air: float) -> Mask:
    solid = cv2.morphologyEx((small > air).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    if count < 2:
        return np.ones(small.shape, bool)
    breast = np.asarray(labels) == 1 + int(np.argmax(np.asarray(stats)[1:, cv2.CC_STAT_AREA]))
    # Dark fat at the chest wall is a hole as well: nothing but breast lies behind that edge.
    closed = np.pad(breast.astype(np.uint8), ((1, 1), (2, 1)))
    closed[1:-1, 1] = 1
    cv2.floodFill(closed, None, (0, 0), 2)
    return np.asarray(closed != 2)[1:-1, 2:-1]


def _markers(small: Grey, breast: Mask) -> Mask:
    # Letters are a few pixels apart; bright pixels next to the skin belong to it.
    rim = cv2.dilate(breast.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    bright = ((small > _FAINTEST_MARKER) & ~rim).astype(np.uint8)
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    large = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= _SMALLEST_MARKER
    large[0] = False
    return large[np.asarray(labels)] & ~breast


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    soft = cv2.resize(np.ascontiguousarray(mask, np.uint8) * 255, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft) > 127

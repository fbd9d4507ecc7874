"""The edge of the pectoral muscle in a mediolateral oblique view: the best arc across the upper corner."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Doubles = NDArray[np.float64]
Probes = list[tuple[int, NDArray[np.intp]]]

_TOP = np.linspace(0.16, 0.85, 20)  # where the edge meets the upper border, of the width
_SIDE = np.linspace(0.25, 1.0, 20)  # where it meets the chest wall, of the height
_BULGE = np.linspace(0.0, 0.40, 5)  # how far the arc bends away from the corner
_LARGEST = 0.33  # share of the image that the muscle may take
_POINTS = 32
_DISTANCE = (2.5, 6.5)  # reduced pixels on both sides of the edge that are compared
_PLAIN = 0.35  # least mean step of brightness, in deviations


def pectoral_outline(small: NDArray[np.uint8], breast: Mask) -> Mask:
    """Mask of the muscle in a reduced image with its chest wall at the left; empty where no edge is plain enough.

    Every arc from the upper border to the chest wall is tried. The muscle is brighter than the fat beside it all along
    its edge, so an arc is scored by its mean step of brightness, each point's step limited and in units of the
    breast's own variation.
    """
    arcs, probes, within = _arcs(small.shape)
    soft = cv2.GaussianBlur(small, (0, 0), 2.0).astype(np.float32).ravel()
    spread = float(small[breast].std()) or 1.0
    step = np.zeros(arcs.shape[:2], np.float32)
    inside = within.copy()
    for sign, at in probes:
        step -= sign * soft[at]
        inside &= breast.ravel()[at]
    step = np.clip(step / (len(_DISTANCE) * spread), -1.0, 1.5)
    count = inside.sum(axis=1)
    score = np.where(inside, step, 0.0).sum(axis=1) / np.maximum(count, 1)
    score[count < _POINTS // 2] = -np.inf
    best = int(np.argmax(score))
    if score[best] < _PLAIN:
        return np.zeros(small.shape, bool)
    corner = np.concatenate([arcs[best], [[-1.0, -1.0]]])[:, ::-1]
    mask = np.zeros(small.shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(corner).astype(np.int32)], 1)
    return np.asarray(mask) > 0


@lru_cache(maxsize=4)
def _arcs(shape: tuple[int, int]) -> tuple[Doubles, Probes, Mask]:
    """Points (n, points, 2) of all arcs in an image, and what is compared beside them.

    That is flat indices (n, points) of pixels on both sides, -1 towards the corner and 1 away from it, and whether all
    of them lie in the image.
    """
    height, width = shape
    top, side, bulge = (a.ravel() for a in np.meshgrid(_TOP * width, _SIDE * height, _BULGE, indexing="ij"))
    t = np.linspace(0.0, 1.0, _POINTS)
    # A quadratic Bezier curve from (0, top) to (side, 0), its control point pushed out from the chord's middle.
    middle = (0.5 + bulge)[:, None]
    weights = (1 - t) ** 2, 2 * t * (1 - t), t**2
    row = side[:, None] * (weights[1] * middle + weights[2])
    column = top[:, None] * (weights[0] + weights[1] * middle)
    points = np.stack([row, column], axis=2)
    # Enclosed with the corner: the chord's triangle and two thirds of the control point's triangle over it.
    area = top * side * (0.5 + 2 * bulge / 3)
    points = points[area <= _LARGEST * height * width]
    along = np.gradient(points, axis=1)
    normals = np.stack([-along[..., 1], along[..., 0]], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    probes, within, last = [], np.ones(points.shape[:2], bool), np.array(shape) - 1
    for distance in _DISTANCE:
        for sign in (-1, 1):
            at = np.rint(points + sign * distance * normals).astype(np.intp)
            within &= (at >= 0).all(axis=2) & (at <= last).all(axis=2)
            at = np.clip(at, 0, last)
            probes.append((sign, at[..., 0] * width + at[..., 1]))
    return points, probes, within

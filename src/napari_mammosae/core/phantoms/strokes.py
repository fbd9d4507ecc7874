"""Thin lines of the breast drawn as strokes: fibres, ligaments, vessels, ducts and the spicules of masses."""

from itertools import pairwise

import cv2
import numpy as np

from napari_mammosae.core.phantoms.noise import Field

SUBPIXEL_BITS = 4


def draw_line(
    canvas: np.ndarray, points: np.ndarray, brightness: np.ndarray, width: float, spacing: tuple[float, float]
) -> None:
    """Draw a polyline in mm (n, 2: row, column) on a uint8 canvas, brighter of old and new being kept at its middle.

    `brightness` (n - 1, 0 to 255) is one value a segment, so that strokes taper.
    """
    scale = np.array([1 / spacing[1], 1 / spacing[0]]) * (1 << SUBPIXEL_BITS)
    xy = (points[:, ::-1] * scale - (1 << (SUBPIXEL_BITS - 1))).round().astype(int).tolist()
    thick = max(1, round(width / (0.5 * (spacing[0] + spacing[1]))))
    for (a, b), value in zip(pairwise(xy), brightness.tolist(), strict=True):
        cv2.line(canvas, tuple(a), tuple(b), float(value), thick, cv2.LINE_AA, SUBPIXEL_BITS)


def curve(
    rng: np.random.Generator, start: np.ndarray, heading: float, length: float, bend: float, count: int = 12
) -> np.ndarray:
    """Points (count, 2) in mm of a gently winding line; `bend` is the deviation of its curvature in 1/mm."""
    turning = bend * (
        rng.standard_normal() + 0.8 * np.sin(np.linspace(0, rng.uniform(3, 14), count) + rng.uniform(0, 6.3))
    )
    angles = heading + np.cumsum(turning) * length / count
    steps = np.stack([np.sin(angles), np.cos(angles)], 1) * (length / count)
    return np.asarray(start + np.cumsum(steps, 0))


def strands(
    rng: np.random.Generator,
    spacing: tuple[float, float],
    shape: tuple[int, int],
    towards: tuple[float, float],
    count: int,
    lengths: tuple[float, float, float],
    widths: tuple[float, float],
    scatter: float,
) -> Field:
    """A canvas (0 to 1) of `count` strokes that run roughly towards a point, some of them forking.

    `lengths` (least, median, most) and `widths` (least, most) in mm; `scatter` in radians.
    """
    canvas = np.zeros(shape, np.uint8)
    size = np.array(shape) * np.array(spacing)
    starts = rng.uniform(-0.05, 1.0, (count, 2)) * size
    length = np.clip(lengths[1] * np.exp(rng.normal(0, 0.5, count)), lengths[0], lengths[2])
    width = rng.uniform(*widths, count)
    strength = np.sort(rng.beta(1.3, 2.6, count)) * 235 + 20
    for i in range(count):
        heading = np.arctan2(towards[0] - starts[i, 0], towards[1] - starts[i, 1])
        heading += scatter * rng.standard_normal() + (np.pi / 2 if rng.random() < 0.15 else 0.0)
        points = curve(rng, starts[i], heading, length[i], 0.03)
        taper = np.sin(np.linspace(0.25, np.pi - 0.25, len(points) - 1)) ** 0.7
        draw_line(canvas, points, strength[i] * taper, width[i], spacing)
        if rng.random() < 0.3:
            fork = points[rng.integers(3, 8)]
            side = rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)
            branch = curve(rng, fork, heading + side, 0.5 * length[i], 0.03)
            draw_line(canvas, branch, 0.8 * strength[i] * taper, 0.7 * width[i], spacing)
    soft = cv2.GaussianBlur(canvas, (0, 0), 0.8).astype(np.float32)
    soft += 0.3 * cv2.GaussianBlur(canvas, (0, 0), 3.0)
    soft /= 255
    return soft

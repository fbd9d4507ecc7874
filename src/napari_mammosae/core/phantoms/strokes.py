"""Thin lines of the breast drawn as strokes: fibres, ligaments, vessels, ducts and the spicules of masses."""

from collections.abc import Sequence

import cv2
import numpy as np

from .noise import Field, Window, bands

SUBPIXEL_BITS = 4
_POINTS = 12  # of a strand
_MARGIN = 80  # pixels: more than a strand's points lie apart, with half its width and the blur's reach
_TAPER = np.sin(np.linspace(0.25, np.pi - 0.25, _POINTS - 1)) ** 0.7


def draw_line(
    canvas: np.ndarray, points: np.ndarray, brightness: np.ndarray, width: float, spacing: tuple[float, float]
) -> None:
    """Draw a polyline in mm (n, 2: row, column) on a uint8 canvas, brighter of old and new being kept at its middle.

    `brightness` (n - 1, 0 to 255) is one value a segment, so that strokes taper.
    """
    _draw(canvas, _subpixels(points, spacing).tolist(), brightness.tolist(), width, spacing)


def _subpixels(points: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Points (..., 2: row, column) in mm as OpenCV takes them: column and row in fractions of a pixel."""
    scale = np.array([1 / spacing[1], 1 / spacing[0]]) * (1 << SUBPIXEL_BITS)
    return np.asarray((points[..., ::-1] * scale - (1 << (SUBPIXEL_BITS - 1))).round().astype(int))


def _draw(
    canvas: np.ndarray, xy: list[list[int]], brightness: list[float], width: float, spacing: tuple[float, float]
) -> None:
    thick = max(1, round(width / (0.5 * (spacing[0] + spacing[1]))))
    for a, b, value in zip(xy, xy[1:], brightness, strict=False):
        cv2.line(canvas, a, b, value, thick, cv2.LINE_AA, SUBPIXEL_BITS)


def curve(
    rng: np.random.Generator, start: np.ndarray, heading: float, length: float, bend: float, count: int = 12
) -> np.ndarray:
    """Points (count, 2) in mm of a gently winding line; `bend` is the deviation of its curvature in 1/mm."""
    points = _wound(start[None], np.array([heading]), np.array([length]), bend, _winding(rng)[None], count)
    return np.asarray(points[0])


def _winding(rng: np.random.Generator) -> np.ndarray:
    """Draw what makes one line wind: its bend, and the last and the first phase of its waves."""
    return np.array([rng.standard_normal(), rng.uniform(3, 14), rng.uniform(0, 6.3)])


def _wound(
    starts: np.ndarray, headings: np.ndarray, lengths: np.ndarray, bend: float, windings: np.ndarray, count: int
) -> np.ndarray:
    """Points (n, count, 2) of n lines at once."""
    normal, last, first = windings.T[:, :, None]
    turning = bend * (normal + 0.8 * np.sin(np.linspace(0, last[:, 0], count, axis=1) + first))
    angles = headings[:, None] + np.cumsum(turning, 1) * lengths[:, None] / count
    steps = np.stack([np.sin(angles), np.cos(angles)], 2) * (lengths / count)[:, None, None]
    return np.asarray(starts[:, None] + np.cumsum(steps, 1))


def strands(
    rng: np.random.Generator,
    spacing: tuple[float, float],
    shape: tuple[int, int],
    towards: tuple[float, float],
    count: int,
    lengths: tuple[float, float, float],
    widths: tuple[float, float],
    scatter: float,
    windows: Sequence[Window] | None = None,
) -> Field:
    """A canvas (0 to 1) of `count` strokes that run roughly towards a point, some of them forking.

    `lengths` (least, median, most) and `widths` (least, most) in mm; `scatter` in radians. With `windows`, each of
    which begins at the first column, it is left at 0 outside of them.
    """
    windows = windows or [(band, slice(0, shape[1])) for band in bands(shape[0])]
    canvas = np.zeros(shape, np.uint8)
    size = np.array(shape) * np.array(spacing)
    starts = rng.uniform(-0.05, 1.0, (count, 2)) * size
    length = np.clip(lengths[1] * np.exp(rng.normal(0, 0.5, count)), lengths[0], lengths[2])
    width = rng.uniform(*widths, count)
    strength = np.sort(rng.beta(1.3, 2.6, count)) * 235 + 20
    # The numbers are drawn stroke by stroke, so that each has its own; what follows from them is computed at once.
    turns, windings, forks = np.empty((count, 2)), np.empty((count, 3)), []
    for i in range(count):
        turns[i] = rng.standard_normal(), np.pi / 2 if rng.random() < 0.15 else 0.0
        windings[i] = _winding(rng)
        if rng.random() < 0.3:
            at, side = rng.integers(3, 8), (-1, 1)[rng.integers(2)] * rng.uniform(0.3, 0.8)
            forks.append((i, at, side, *_winding(rng)))
    headings = np.arctan2(towards[0] - starts[:, 0], towards[1] - starts[:, 1])
    headings += scatter * turns[:, 0] + turns[:, 1]
    points = _wound(starts, headings, length, 0.03, windings, _POINTS)
    brightness = strength[:, None] * _TAPER
    near = _near(windows, shape, spacing, points)
    lines = zip(_subpixels(points, spacing).tolist(), brightness.tolist(), width.tolist(), near, strict=True)
    branching = np.array(forks).reshape(-1, 6)
    of, at = branching[:, :2].astype(int).T
    points = _wound(points[of, at], headings[of] + branching[:, 2], 0.5 * length[of], 0.03, branching[:, 3:], _POINTS)
    brightness, thin = (0.8 * strength[of])[:, None] * _TAPER, 0.7 * width[of]
    near = _near(windows, shape, spacing, points)
    branches = zip(_subpixels(points, spacing).tolist(), brightness.tolist(), thin.tolist(), near, strict=True)
    forked = set(of.tolist())
    for i, line in enumerate(lines):
        for xy, values, thick, seen in (line, next(branches)) if i in forked else (line,):
            if seen:
                _draw(canvas, xy, values, thick, spacing)
    sharp, wide = (cv2.GaussianBlur(canvas, (0, 0), deviation) for deviation in (0.8, 3.0))
    soft = np.zeros(shape, np.float32)
    for window in windows:
        soft[window] = sharp[window] + 0.3 * wide[window]
        soft[window] /= 255
    return soft


def _near(
    windows: Sequence[Window], shape: tuple[int, int], spacing: tuple[float, float], points: np.ndarray
) -> list[bool]:
    """Whether lines (n, points, 2) in mm come near enough to one of the windows to be seen there."""
    reach = np.zeros((shape[0], 1), np.uint16)
    for rows, columns in windows:
        reach[rows] = columns.stop + _MARGIN
    reach = np.asarray(cv2.dilate(reach, np.ones((2 * _MARGIN + 1, 1), np.uint8)), np.uint16)
    row, column = (points[..., axis] / spacing[axis] for axis in (0, 1))
    at = np.clip(row, 0, shape[0] - 1).astype(np.intp)
    inside = (row > -_MARGIN) & (row < shape[0] + _MARGIN) & (column > -_MARGIN)
    seen: list[bool] = (inside & (column < reach[at, 0])).any(1).tolist()
    return seen

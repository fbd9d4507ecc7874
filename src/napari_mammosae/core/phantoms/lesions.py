"""The two findings: masses, smooth, lobulated or spiculated, and clusters of fine calcifications."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .anatomy import INPUT_SHAPE, Geometry
from .noise import Field, Window
from .strokes import curve, draw_line

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One finding that was drawn.

    `mask` is boolean, as large as the image; `box` (row_min, col_min, row_max, col_max) and the boxes of its `specks`
    are in pixel edges; `contrast` is in local deviations (64 px) above the surroundings.
    """

    mask: Mask
    box: tuple[int, int, int, int]
    specks: tuple[tuple[int, int, int, int], ...] = ()
    contrast: float = 0.0


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Box (row_min, col_min, row_max, col_max) in pixel edges around the set pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def local_deviation(image: Field, width: int = 64) -> Field:
    """Standard deviation of grey levels in the square of `width` pixels around each pixel."""
    mean = cv2.blur(image, (width, width))
    deviation: Field = np.sqrt(np.maximum(cv2.blur(image * image, (width, width)) - mean * mean, 0))
    return deviation


def add_mass(rng: np.random.Generator, image: Field, geometry: Geometry) -> Lesion:
    """Draw a mass into `image` (float grey levels, changed in place)."""
    spacing = np.array(geometry.spacing)
    size = float(np.clip(20.0 * np.exp(rng.normal(0, 0.38)), 9.0, 43.0))  # longer side of its box in mm
    spiculated = rng.random() < 0.45
    extent = 1.25 if spiculated else 1.0
    radius = 0.5 * size / extent
    centre, deviation = _place(rng, image, geometry, radius)
    row, column = geometry.row - centre[0], geometry.column - centre[1]
    window = window_of(centre, 0.5 * size * 1.5 + 4, spacing)
    row, column = row[window[0]], column[:, window[1]]

    phi = np.arctan2(row, column)
    tilt, flat = rng.uniform(0, np.pi), rng.uniform(0.68, 0.98)
    wave = np.zeros_like(phi)
    for k, amplitude in ((2, 0.05), (3, 0.07), (4, 0.05), (5, 0.04), (7, 0.025)):
        wave += rng.normal(0, amplitude) * np.cos(k * phi + np.float32(rng.uniform(0, 6.3)))
    oval = flat / np.sqrt((flat * np.cos(phi - tilt)) ** 2 + np.sin(phi - tilt) ** 2)
    edge = radius * oval * (1 + wave)
    inside = edge - np.hypot(row, column)
    # Well defined on one side, obscured on another.
    blur = (0.4 + rng.uniform(0.1, 0.9) * (1 + np.cos(phi - np.float32(rng.uniform(0, 6.3))))) * np.float32(radius / 10)
    core = expit(inside / np.clip(blur, 0.25, None) * 1.7)
    dome = core * (0.72 + 0.28 * np.clip(inside / (0.7 * radius), 0, 1))
    mask_here = core > 0.5
    if spiculated:
        spicules = _spicules(rng, row.shape[0], column.shape[1], (row[0, 0], column[0, 0]), radius, extent, spacing)
        dome = np.maximum(dome, 1.3 * spicules)
        mask_here |= spicules > 0.30

    patch = image[window]
    depth = geometry.depth[window]
    solid = core > 0.5
    ring = cv2.dilate(mask_here.astype(np.uint8), np.ones((45, 45), np.uint8)) > 0
    ring &= ~mask_here & (depth > 2)
    present = float(patch[solid].mean() - patch[ring].mean()) if ring.any() else 0.0
    wanted = float(rng.triangular(0.9, 1.8, 2.0))
    shape_mean = float(dome[solid].mean() - (dome[ring].mean() if ring.any() else 0.0))
    amount = np.clip(wanted * deviation - present, 0.9 * deviation, 2.8 * deviation) / shape_mean
    # Dense tissue hides part of the texture around it.
    smooth = cv2.GaussianBlur(patch, (0, 0), 3.0)
    patch += 0.6 * core * (smooth - patch)
    patch += dome * np.float32(amount) * np.clip(depth / 3.0, 0, 1)
    mask = np.zeros(image.shape, bool)
    mask[window] = mask_here & (depth > 0)
    contrast = float(patch[solid].mean() - patch[ring].mean()) / deviation if ring.any() else wanted
    return Lesion(mask, box_of(mask), contrast=contrast)


def add_calcifications(rng: np.random.Generator, image: Field, geometry: Geometry) -> Lesion:
    """Draw a cluster of fine calcifications into `image` (float grey levels, changed in place)."""
    spacing = np.array(geometry.spacing)
    extent = float(np.clip(16.0 * np.exp(rng.normal(0, 0.62)), 4.0, 66.0))  # longer side of its box in mm
    centre, _ = _place(rng, image, geometry, 0.5 * extent, margin=4.0)
    count = int(np.clip(rng.poisson(8 + 1.1 * extent), 7, 90))
    linear = rng.random() < 0.3
    towards = np.arctan2(geometry.nipple[0] - centre[0], geometry.nipple[1] - centre[1])
    if linear:  # along a duct and its branches
        spine = curve(rng, np.array(centre), towards + rng.normal(0, 0.3), extent, 0.02, 60)
        spine = spine - spine.mean(0) + centre
        points = spine[rng.integers(0, 60, count)] + rng.normal(0, 0.03 * extent + 0.3, (count, 2))
    else:
        radius = 0.5 * extent * np.sqrt(rng.random(count)) ** rng.uniform(1.0, 1.8)
        phi = rng.uniform(0, 2 * np.pi, count)
        across = rng.uniform(0.5, 1.0)
        local = np.stack([across * np.sin(phi), np.cos(phi)], 1) * radius[:, None]
        turn = np.array([[np.cos(towards), np.sin(towards)], [-np.sin(towards), np.cos(towards)]])
        points = local @ turn + centre
    inside = geometry.depth[_pixels(points, spacing)] > 2.0
    if inside.sum() < 5:  # a cluster needs at least five specks
        points = np.array(centre) + rng.normal(0, 0.12 * extent + 0.5, (12, 2))
        inside = geometry.depth[_pixels(points, spacing)] > 1.0
    points = points[inside]
    pleomorphic = rng.random() < 0.5
    strength = rng.uniform(70, 125)
    layer = np.zeros(image.shape, np.float32)
    specks = []
    for point in points:
        diameter = rng.uniform(0.20, 0.30)
        long = diameter * (rng.uniform(1.0, 2.2) if pleomorphic else 1.0)
        specks.append(_speck(layer, point, diameter, long, rng.uniform(0, np.pi), spacing, rng.uniform(0.6, 1.15)))
    seen = layer > 0.25
    np.add(image, np.float32(strength) * layer, out=image)
    if not seen.any():
        seen = layer > 0
    return Lesion(seen, box_of(seen), tuple(specks))


def _place(
    rng: np.random.Generator, image: Field, geometry: Geometry, radius: float, margin: float = 2.0
) -> tuple[tuple[float, float], float]:
    """Choose a centre (mm) in tissue away from skin and muscle, and the local deviation of grey levels there."""
    small = (INPUT_SHAPE[0] // 8, INPUT_SHAPE[1] // 8)
    depth = cv2.resize(geometry.depth, small[::-1], interpolation=cv2.INTER_AREA)
    muscle = cv2.resize(geometry.muscle, small[::-1], interpolation=cv2.INTER_AREA)
    height, width = INPUT_SHAPE[0] * geometry.spacing[0], INPUT_SHAPE[1] * geometry.spacing[1]
    rows = ((np.arange(small[0]) + 0.5) * height / small[0])[:, None]
    columns = ((np.arange(small[1]) + 0.5) * width / small[1])[None, :]
    # The whole lesion on the image and mostly under the skin; large ones get what room there is.
    for share in (1.0, 0.8, 0.6, 0.4, 0.2):
        room = share * radius + margin
        allowed = (depth > room) & (muscle < -share * radius)
        allowed &= (rows > room) & (rows < height - room) & (columns > room) & (columns < width - room)
        if allowed.any():
            break
    else:
        allowed = depth >= depth.max() - 1
    # Lesions favour fibroglandular tissue; the brightest places would hide them altogether.
    grey = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
    likely = np.where(allowed, np.clip(grey, 30, 120) ** 1.0, 0).ravel().astype(np.float64)
    pick = int(rng.choice(likely.size, p=likely / likely.sum()))
    row, column = divmod(pick, small[1])
    coarse = np.asarray(cv2.resize(image, small[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    deviation = local_deviation(coarse, 8)
    here = float(deviation[row, column])
    body = float(np.median(deviation[depth > 8])) if (depth > 8).any() else here
    return (float(rows[row, 0]), float(columns[0, column])), float(np.clip(here, 0.8 * body, 1.25 * body))


def _spicules(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    origin: tuple[float, float],
    radius: float,
    extent: float,
    spacing: np.ndarray,
) -> Field:
    canvas = np.zeros((rows, columns), np.uint8)
    for phi in np.linspace(0, 2 * np.pi, int(rng.integers(16, 34)), endpoint=False):
        heading = phi + rng.normal(0, 0.15)
        start = 0.6 * radius * np.array([np.sin(heading), np.cos(heading)]) - origin + 0.5 * spacing
        length = radius * (extent - 0.6) * rng.uniform(0.9, 1.9)
        points = curve(rng, start, heading, length, 0.012)
        taper = np.linspace(1.0, 0.15, len(points) - 1) * rng.uniform(170, 255)
        draw_line(canvas, points, taper, rng.uniform(0.4, 0.8), (float(spacing[0]), float(spacing[1])))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.2), np.float32) / np.float32(255)


def _speck(
    layer: Field,
    point: np.ndarray,
    width: float,
    length: float,
    angle: float,
    spacing: np.ndarray,
    strength: float,
) -> tuple[int, int, int, int]:
    """Add one speck, `width` by `length` mm between its half-maxima, to `layer`; its box in pixel edges."""
    window_rows, window_columns = window_of((point[0], point[1]), length * 1.5, spacing)
    row = (np.arange(window_rows.start, window_rows.stop) + 0.5)[:, None] * spacing[0] - point[0]
    column = (np.arange(window_columns.start, window_columns.stop) + 0.5)[None] * spacing[1] - point[1]
    along = row * np.sin(angle) + column * np.cos(angle)
    across = row * np.cos(angle) - column * np.sin(angle)
    profile = np.exp(-np.log(2) * ((2 * along / length) ** 2 + (2 * across / width) ** 2) ** 1.5)
    patch = layer[window_rows, window_columns]
    np.maximum(patch, (strength * profile).astype(np.float32), out=patch)
    half = profile >= 0.5
    if not half.any():
        half = profile >= profile.max()
    top, left, bottom, right = box_of(half)
    r0, c0 = window_rows.start, window_columns.start
    return r0 + top, c0 + left, r0 + bottom, c0 + right


def _pixels(points: np.ndarray, spacing: np.ndarray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    index = np.floor(points / spacing).astype(np.intp)
    return np.clip(index[:, 0], 0, INPUT_SHAPE[0] - 1), np.clip(index[:, 1], 0, INPUT_SHAPE[1] - 1)


def window_of(centre: tuple[float, float], reach: float, spacing: Sequence[float] | np.ndarray) -> Window:
    """Pixels within `reach` mm of a centre, as slices cut at the image's border."""
    bounds = []
    for axis in (0, 1):
        low = int(np.floor((centre[axis] - reach) / spacing[axis]))
        high = int(np.ceil((centre[axis] + reach) / spacing[axis])) + 1
        bounds.append(slice(max(0, low), min(INPUT_SHAPE[axis], high)))
    return bounds[0], bounds[1]

"""The breast itself: outline, skin, nipple, pectoral muscle and tissue, drawn in mm with the chest wall at column 0."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import splev, splprep
from scipy.spatial import cKDTree
from scipy.special import expit

from .noise import Field, Window, bands, power_law, smoothstep, steered, upsampled
from .strokes import strands

INPUT_SHAPE = (1520, 912)
EDGE = -0.5
"""Depth in mm from which on there is nothing but air."""


@dataclass(frozen=True, slots=True)
class Build:
    """What the images of one patient have in common.

    `spacing` is (row, column) mm per pixel; `density` runs from 0 (fatty) to 1 (dense); `exponent` is the texture's
    b in 1/f^b; a `roundness` of 0 makes a pointed, of 1 a full outline.
    """

    spacing: tuple[float, float]
    density: float
    exponent: float
    roundness: float

    @classmethod
    def of_patient(cls, rng: np.random.Generator) -> "Build":
        """Draw a build."""
        size = rng.normal(0, 0.12)  # large breasts are large both ways
        across = float(np.clip(0.094 * np.exp(size + rng.normal(0, 0.08)), 0.060, 0.137))
        down = float(np.clip(0.120 * np.exp(0.8 * size + rng.normal(0, 0.07)), 0.101, 0.200))
        return cls((down, across), float(rng.beta(2, 2)), float(rng.uniform(2.8, 3.2)), float(rng.uniform(0, 1)))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where things lie, per pixel, in mm and radians.

    `row` (H, 1) and `column` (1, W) are plain coordinates; `depth` is below the skin (negative in air), `bare_depth`
    the same without a nipple; `muscle` is the depth inside the pectoral muscle and `nipple_depth` inside the nipple
    (both negative outside). `nipple` is (row, column); `muscle_direction` the way the muscle's fibres run. `windows`
    are bands of rows that together hold all of the breast; beyond them is air.
    """

    spacing: tuple[float, float]
    row: Field
    column: Field
    depth: Field
    bare_depth: Field
    muscle: Field
    nipple_depth: Field
    nipple: tuple[float, float]
    muscle_direction: float
    windows: tuple[Window, ...]

    @property
    def radius(self) -> Field:
        """Distance per pixel from the point that ducts run to, behind the nipple's tip."""
        row, column = self._from_nipple
        return np.asarray(np.sqrt(row**2 + column**2))

    @property
    def angle(self) -> Field:
        """Direction per pixel as seen from there, 0 towards the chest wall."""
        row, column = self._from_nipple
        return np.asarray(np.arctan2(row, -column))

    @property
    def _from_nipple(self) -> tuple[Field, Field]:
        return self.row - self.nipple[0], self.column - (self.nipple[1] + 2.0)

    def parts(self) -> Iterator[tuple[Window, "Geometry"]]:
        """Yield each window and the geometry in it."""
        for rows, columns in self.windows:
            names = ("depth", "bare_depth", "muscle", "nipple_depth")
            fields = {name: getattr(self, name)[rows, columns] for name in names}
            yield (rows, columns), replace(self, row=self.row[rows], column=self.column[:, columns], **fields)


def outline(rng: np.random.Generator, view: str, build: Build, size: tuple[float, float], reach: float) -> Field:
    """Closed contour of the breast without its nipple, (n, 2) row and column in mm; `reach` is its largest column."""
    height, _ = size
    if view == "CC":
        nipple_row = height * rng.normal(0.5, 0.035)
        theta = np.linspace(-np.pi / 2, np.pi / 2, 161)
        power = 1.85 + 0.45 * build.roundness + rng.normal(0, 0.05, 2)
        p = np.where(theta < 0, power[0], power[1])
        half = np.where(theta < 0, nipple_row, height - nipple_row)
        row = nipple_row + half * np.sign(theta) * np.abs(np.sin(theta)) ** (2 / p)
        column = reach * np.abs(np.cos(theta)) ** (2 / p)
        wobble = 0.008 * reach * np.sin(theta * 3 + rng.uniform(0, 6.3)) * np.cos(theta)
        points = np.stack([row, column + wobble - max(0.0, wobble.max()) * np.cos(theta) ** 2], 1)
    else:
        top = rng.uniform(0.50, 0.74)
        waist = top + rng.uniform(0.00, 0.06)
        nipple_at = rng.uniform(0.56, 0.66)
        fullness = 0.02 * build.roundness
        knots = np.array(
            [
                [-0.10, top - rng.uniform(0.0, 0.08)],
                [0.04, top],
                [0.22, waist + 0.04],
                [0.42, 0.5 * (waist + 1.0) + 0.07 + fullness],
                [nipple_at, 1.0],
                [nipple_at + 0.44 * (1 - nipple_at), 0.86 + fullness],
                [nipple_at + 0.78 * (1 - nipple_at), 0.52 + 2 * fullness],
                [0.975, 0.16],
                [1.0, -0.12],
            ]
        )
        spline, _ = splprep(knots.T, s=0, k=3)
        row, column = splev(np.linspace(0, 1, 200), spline)
        points = np.stack([np.asarray(row) * height, np.asarray(column) / max(column) * reach], 1)
    return points.astype(np.float32)


def signed_depth(contour: Field, size: tuple[float, float]) -> Field:
    """Distance to the contour in mm, positive inside, on a grid of about 1 mm that covers `size`."""
    grid = (round(size[0]), round(size[1]))
    rows = (np.arange(grid[0]) + 0.5) * size[0] / grid[0]
    columns = (np.arange(grid[1]) + 0.5) * size[1] / grid[1]
    nodes = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    line = _dense(contour)
    tangent = np.gradient(line, axis=0)
    tree = cKDTree(line, leafsize=64, compact_nodes=False, balanced_tree=False)  # the fastest for a line
    distance, nearest = tree.query(nodes)
    offset = nodes - line[nearest]
    side = tangent[nearest, 0] * offset[:, 1] - tangent[nearest, 1] * offset[:, 0]
    return np.asarray(np.where(side < 0, distance, -distance), np.float32).reshape(grid)


def _dense(contour: Field) -> Field:
    """Points 0.2 mm apart along a contour, as `linspace` sets them between each two of its own."""
    start, way = contour[:-1], np.diff(contour, axis=0)
    count = np.maximum(2, (np.hypot(*way.T) / 0.2).astype(int))
    first = np.repeat(np.cumsum(count) - count, count)
    turn = (np.arange(len(first)) - first).astype(np.float32)[:, None]
    step = way / count[:, None].astype(np.float32)
    return np.asarray(turn * np.repeat(step, count, axis=0) + np.repeat(start, count, axis=0))


def lay_out(rng: np.random.Generator, view: str, build: Build) -> Geometry:
    """Draw the geometry of one image."""
    spacing = build.spacing
    size = (INPUT_SHAPE[0] * spacing[0], INPUT_SHAPE[1] * spacing[1])
    row = ((np.arange(INPUT_SHAPE[0], dtype=np.float32) + 0.5) * np.float32(spacing[0]))[:, None]
    column = ((np.arange(INPUT_SHAPE[1], dtype=np.float32) + 0.5) * np.float32(spacing[1]))[None, :]
    protrusion = rng.uniform(1.0, 3.5)
    contour = outline(rng, view, build, size, size[1] - protrusion - 0.3)
    coarse = signed_depth(contour, size)
    bare = upsampled(coarse, INPUT_SHAPE)
    depth = bare.copy()
    tip = contour[np.argmax(contour[:, 1])]
    half_width = rng.uniform(4.0, 6.5)
    # The nipple is a rounded stump in profile, blended into the outline with a small fillet.
    dr, dc = (row - tip[0]) / half_width, (column - (tip[1] - 1.0)) / (protrusion + 1.0)
    tall, wide = np.flatnonzero(np.abs(dr) < 3.5), np.flatnonzero(np.abs(dc) < 4.0)
    near = np.ix_(tall, wide)
    stump = np.full(INPUT_SHAPE, -50.0, np.float32)
    radius = np.sqrt(np.abs(dr[tall]) ** 2.6 + np.abs(dc[:, wide]) ** 2.6)
    stump[near] = (1 - radius) * np.float32(min(half_width, protrusion))
    fillet = 2.4
    skin, nipple = depth[near], stump[near]
    blend = np.clip(0.5 + 0.5 * (nipple - skin) / fillet, 0, 1)
    depth[near] = skin + (nipple - skin) * blend + fillet * blend * (1 - blend)

    muscle = np.full(INPUT_SHAPE, -50.0, np.float32)
    direction = 0.0
    if view == "MLO":
        across = size[1] * rng.uniform(0.30, 0.52)
        down = size[0] * rng.uniform(0.38, 0.62)
        bulge = rng.uniform(0.05, 0.30)
        a, b = column / across, row / down
        slope = np.hypot(1 / across, 1 / down)
        muscle = ((1 - a - b + bulge * np.sqrt(np.clip(a * b, 0, 1)) * 2) / slope).astype(np.float32)
        direction = float(np.arctan2(down, -across))
    elif rng.random() < 0.15:
        thick, centre, half = rng.uniform(4, 8), size[0] * rng.uniform(0.35, 0.65), rng.uniform(30, 50)
        muscle = (thick * (1 - ((row - centre) / half) ** 2) - column).astype(np.float32)
        direction = np.pi / 2
    return Geometry(
        spacing,
        row,
        column,
        depth,
        bare,
        muscle,
        stump,
        (float(tip[0]), float(tip[1])),
        direction,
        tuple(_windows(depth)),
    )


def _windows(depth: Field) -> Iterator[Window]:
    """Bands of rows, from the chest wall to the last column that is not all air."""
    for rows in bands(len(depth)):
        columns = np.flatnonzero((depth[rows] > EDGE).any(0))
        if len(columns):
            yield rows, slice(0, int(columns[-1]) + 1)


def tissue(rng: np.random.Generator, build: Build, geometry: Geometry) -> Field:
    """Tissue brightness before tone mapping (about 0 for fat, 1 for gland) per pixel, 0 in air."""
    shape, spacing = INPUT_SHAPE, geometry.spacing
    low_shape, low_spacing = (shape[0] // 4, shape[1] // 4), (spacing[0] * 4, spacing[1] * 4)
    reach = shape[1] * spacing[1]
    axis, cone_end = rng.normal(0, 0.12), rng.uniform(0.85, 1.1) * reach
    ragged = upsampled(power_law(rng, low_shape, low_spacing, 3.2, 38.0, 0.8), shape)
    # Fibres run towards the nipple; inside the muscle, along it.
    direction = -geometry.angle
    direction[geometry.muscle > 0] = geometry.muscle_direction
    texture = steered(rng, shape, spacing, build.exponent, 14.0, direction, 0.6)
    draw = partial(strands, rng, spacing, shape, geometry.nipple, windows=geometry.windows)
    strands_fine = draw(520, (3.0, 8.0, 24.0), (0.2, 0.45), 0.55)
    strands_long = draw(70, (12.0, 28.0, 60.0), (0.3, 0.75), 0.40)

    clouds = upsampled(power_law(rng, low_shape, low_spacing, 3.0, 24.0, 0.6), shape)
    haze = upsampled(power_law(rng, low_shape, low_spacing, 3.0, 70.0), shape)
    roll = rng.uniform(12.0, 24.0)

    body = np.zeros(shape, np.float32)
    for window, g in geometry.parts():
        # Glandular tissue: a cone that opens from the nipple towards the chest wall, with a ragged edge and fatty
        # lobules.
        radius, angle = g.radius, g.angle - axis
        forward = radius * np.cos(angle)
        sideways = np.abs(radius * np.sin(angle))
        cone = np.exp(-((sideways / (10 + 0.55 * np.clip(forward, 0, None))) ** 2) / 1.2)
        cone *= 1 - 0.75 * smoothstep(forward, 0.55 * reach, cone_end)
        cone *= smoothstep(g.depth, 3.0, 17.0)
        gland = expit(3.6 * (2.1 * cone - 1.35 + 1.0 * build.density + 0.55 * ragged[window]))
        gland *= smoothstep(g.depth, 2.0, 9.0)
        cloud, fibres, strand = clouds[window], texture[window], strands_fine[window]
        out = 0.16 + 0.52 * gland + fibres * (0.070 + 0.065 * gland) + 0.09 * cloud * (0.5 + gland)
        out += (1 - 0.5 * gland) * (0.30 * strand + 0.38 * strands_long[window])
        out += 0.05 * haze[window]
        if g.muscle.max() > -0.6:
            striated = 0.56 + 0.07 * cloud + 0.07 * fibres + 0.16 * strand + 0.34 * smoothstep(g.muscle, 0.0, 45.0)
            out += smoothstep(g.muscle, -0.6, 1.2) * (striated - 0.90 * out)
        thickness = np.sqrt(1 - (1 - np.clip(g.depth / roll, 0, 1)) ** 2)
        out = np.logaddexp(0, out * 7) / 7  # tissue absorbs: never below nothing
        body[window] = out * (0.45 + 0.55 * thickness)
    return body


def tone(rng: np.random.Generator, body: Field, geometry: Geometry) -> Field:
    """Grey levels: 5, 50 and 95 % of the breast at about 40, 90 and 155 of 255, as in published crops."""
    low, middle, high = np.quantile(body.ravel()[np.flatnonzero(geometry.depth > 2.0)[::7]], [0.05, 0.5, 0.95])
    to_low, to_middle, to_high = rng.normal(40, 2), rng.normal(90, 4), rng.normal(155, 4)
    # The parabola through the three points, as long as it still rises at both ends.
    at = float((middle - low) / (high - low))
    wanted = (to_middle - to_low) / (to_high - to_low)
    curve = float(np.clip((wanted - at) / (at * (at - 1)), -0.35, 0.35))
    floor, ceiling = 14.0, 200.0
    levels = np.zeros_like(body)
    for window in geometry.windows:
        x = (body[window] - low) / (high - low)
        grey = to_low + (to_high - to_low) * (x + curve * x * (x - 1))
        grey = floor + 8 * softplus((grey - floor) / 8)
        bright = grey > ceiling
        grey[bright] = ceiling + 40 * np.tanh((grey[bright] - ceiling) / 40)
        levels[window] = grey
    return levels


def softplus(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 + e^x) by array instructions, which `logaddexp` does not use."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def cover(rng: np.random.Generator, geometry: Geometry, grey: Field, nipple: bool = True) -> Field:
    """Add skin and nipple to the tissue and fade into air, which is 0; without a nipple, all beyond 30 mm stays."""
    skin, spacing = rng.uniform(1.2, 1.9), (geometry.spacing[0] * 16, geometry.spacing[1] * 16)
    wide = upsampled(power_law(rng, (95, 57), spacing, 3.0, 40.0), INPUT_SHAPE)
    skin_level, nipple_level, fade = rng.uniform(38, 60), rng.uniform(30, 50), rng.uniform(2.2, 3.6)
    image = np.zeros_like(grey)
    for window, g in geometry.parts():
        depth = g.depth if nipple else g.bare_depth
        out = grey[window].copy()
        # The columns before are all deeper than skin and fading reach.
        near = slice(int(np.argmax((depth < max(2.6 * skin, fade) + 0.1).any(0))), None)
        thin, level = depth[:, near], skin_level + 14 * wide[window][:, near]
        band = smoothstep(thin, -0.4, 1.0) * (1 - smoothstep(thin, skin * 0.8, skin * 2.6))
        out[:, near] += band * np.clip(level, 10, 90)
        # Behind the nipple the areola is thick and the ducts converge.
        areola = 22 * np.exp(-((g.radius / 9.0) ** 2))
        if nipple:
            out += nipple_level * smoothstep(g.nipple_depth, -1.0, 3.0)
            out += areola
        else:
            out += np.where(g.radius > 30.0, areola, 0.0)
        out[:, near] *= smoothstep(thin, EDGE, fade)
        image[window] = out
    return image


def grain(rng: np.random.Generator, image: Field) -> Field:
    """Quantum noise, a little blurred by the detector and by resizing."""
    noise: Field = rng.standard_normal(image.shape, dtype=np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), np.float32)
    noise *= np.float32(rng.uniform(5.0, 8.5))
    for rows in bands(len(image)):
        noise[rows] *= np.clip(image[rows] / 60, 0, 1)
        noise[rows] += image[rows]
    return noise

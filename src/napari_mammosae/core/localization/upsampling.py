"""Bilinear upsampling with half-pixel centres, and how the pixels of an axis depend on its cells.

Along each axis pixel p has the cell coordinate x = (p + 0.5) * cells / pixels - 0.5 and lies between two cell centres,
in one of cells + 1 *bands*: band 0 before the first centre, band b between centres b - 1 and b, the last after the last
centre. Two bands make a *quad* of pixels, whose values lie between the least and the greatest of its four corner cells.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_GATHER_LIMIT = 1 << 15  # pixels: above this a sparse product beats gathering two rows for every output row


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Pixels of one axis to evaluate, in order; each stands for the pixels `start` to `stop` and counts `weight` times.

    Where pixels are left out, one `gap` entry keeps the neighbours apart; its value is to be ignored.
    """

    pixel: Indices
    start: Indices
    stop: Indices
    weight: Doubles
    gap: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """How the pixels of one axis depend on its cells.

    Parameters
    ----------
    cells, pixels : their numbers
    low, high : (pixels,) cells before and after each pixel, clamped at the ends
    weight : (pixels,) float32, share of `high`
    band : (pixels,) band of each pixel, 0 to cells
    band_size : (cells + 1,) number of pixels in each band
    band_pixel : (cells + 1, longest band) pixels of each band, the last one repeated to fill up
    band_fill : (cells + 1, longest band) bool, where `band_pixel` is such a repetition
    nearest : least share that the pixel closest to a cell's centre takes from that cell
    every, corners : all pixels; the first and last pixel of each stretch that depends on the same cells
    """

    cells: int
    pixels: int
    low: Indices
    high: Indices
    weight: Floats
    band: Indices
    band_size: Indices
    band_pixel: Indices
    band_fill: Bools
    nearest: float
    every: Samples
    corners: Samples

    def samples(self, active: Bools, *, corners: bool = False) -> Samples:
        """Return the pixels of the active bands: all of them, or only the corners."""
        kept = self.corners if corners else self.every
        if active.all():
            return kept
        chosen = np.flatnonzero(active[self.band[kept.pixel]])
        broken = np.flatnonzero(kept.start[chosen[1:]] != kept.stop[chosen[:-1]]) + 1
        chosen = np.insert(chosen, broken, chosen[broken])
        gap = np.zeros(chosen.size, bool)
        gap[broken + np.arange(broken.size)] = True
        weight = np.where(gap, 0.0, kept.weight[chosen])
        return Samples(kept.pixel[chosen], kept.start[chosen], kept.stop[chosen], weight, gap)

    def bands(self, kept: Indices) -> Samples:
        """Return whole bands, each as long as the longest; repeated pixels weigh nothing."""
        pixel = self.band_pixel[kept].ravel()
        fill = self.band_fill[kept].ravel()
        return Samples(pixel, pixel, pixel + 1, np.where(fill, 0.0, 1.0), np.zeros(pixel.size, bool))


@lru_cache(maxsize=32)
def axis(cells: int, pixels: int) -> Axis:
    """Return the dependence of `pixels` pixels on `cells` cells; cached, not to be written to."""
    x = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    below = np.floor(x).astype(np.intp)
    low, high = np.clip(below, 0, cells - 1), np.clip(below + 1, 0, cells - 1)
    weight = np.where(high > low, x - below, 0.0).astype(np.float32)
    band = below + 1
    size = np.bincount(band, minlength=cells + 1)
    step = np.arange(size.max())
    last = np.maximum(size[:, None] - 1, 0)
    share = np.zeros(cells)
    np.maximum.at(share, low, np.where(high > low, 1.0 - weight, 1.0))
    np.maximum.at(share, high, np.where(high > low, weight, 1.0))
    every = np.arange(pixels)
    return Axis(
        cells, pixels, low, high, weight, band, size,
        np.minimum((np.cumsum(size) - size)[:, None] + np.minimum(step, last), pixels - 1), step >= size[:, None],
        float(share.min()),
        Samples(every, every, every + 1, np.ones(pixels), np.zeros(pixels, bool)), _corners(band, weight),
    )  # fmt: skip


def _corners(band: Indices, weight: Floats) -> Samples:
    """First and last pixel of each stretch that depends on the same cells; between them values are linear.

    Which pixels are zero is the same all along a stretch, its maximum lies at an end, and its mean is the mean of the
    ends. A pixel exactly on a cell's centre depends on that cell alone and is a stretch of its own.
    """
    kind = 2 * band + (weight == 0)
    first = np.flatnonzero(np.diff(kind, prepend=-1))
    last = np.append(first[1:], band.size) - 1
    pair = last > first
    # Each end stands for half of the stretch: both halves are always in or out of a mask together.
    middle, half = (first + last + 1) // 2, (last - first + 1) / 2
    pixel = np.concatenate([first, last[pair]])
    start = np.concatenate([first, middle[pair]])
    stop = np.concatenate([np.where(pair, middle, last + 1), last[pair] + 1])
    weights = np.concatenate([np.where(pair, half, 1.0), half[pair]])
    order = np.argsort(pixel, kind="stable")
    return Samples(pixel[order], start[order], stop[order], weights[order], np.zeros(pixel.size, bool))


def upsample(cells: npt.ArrayLike, shape: tuple[int, int]) -> Floats:
    """Heatmap of `shape` (H, W) from a map of cells (H', W'): bilinear, half-pixel centres, clamped edges, float32.

    The same as torch's `interpolate(mode="bilinear", align_corners=False)` and OpenCV's `INTER_LINEAR` up to float32
    rounding; a constant stays exactly constant.
    """
    values = np.asarray(cells, np.float32)
    if values.ndim != 2:
        raise ValueError(f"a heatmap has two dimensions (H', W'), not {values.ndim}")
    rows, columns = axis(values.shape[0], shape[0]), axis(values.shape[1], shape[1])
    return evaluate(values, rows, columns, rows.every, columns.every)


def evaluate(cells: Floats, rows: Axis, columns: Axis, at_rows: Samples, at_columns: Samples) -> Floats:
    """Values at the chosen rows and columns, float32; minus infinity at gaps."""
    pixel = at_columns.pixel
    across = cells[:, columns.low[pixel]]
    across += (cells[:, columns.high[pixel]] - across) * columns.weight[pixel]
    pixel = at_rows.pixel
    low, weight = rows.low[pixel], rows.weight[pixel]
    step = np.diff(across, axis=0, append=across[-1:])
    if pixel.size * at_columns.pixel.size <= _GATHER_LIMIT:
        out = step[low]
        out *= weight[:, None]
        out += across[low]
    else:
        # One pass over memory instead of four, and the same sum: 1 * across[low] + weight * step[low].
        data = np.stack([np.ones_like(weight), weight], axis=1).ravel()
        source = np.stack([low, low + rows.cells], axis=1).ravel()
        spread = csr_array((data, source, np.arange(0, data.size + 1, 2)), shape=(pixel.size, 2 * rows.cells))
        out = spread @ np.concatenate([across, step])
    if at_rows.gap.any():
        out[at_rows.gap] = -np.inf
    if at_columns.gap.any():
        out[:, at_columns.gap] = -np.inf
    return np.asarray(out)


def evaluate_quads(cells: Floats, rows: Axis, columns: Axis, quads: tuple[Indices, Indices]) -> Floats:
    """Values of whole quads (n, longest row band, longest column band), the same numbers as `evaluate` gives."""
    band, across = quads
    top, bottom = np.maximum(band - 1, 0), np.minimum(band, rows.cells - 1)
    left, right = np.maximum(across - 1, 0), np.minimum(across, columns.cells - 1)
    weight = columns.weight[columns.band_pixel[across]]
    upper, lower = (
        first[:, None] + (second - first)[:, None] * weight
        for first, second in ((cells[row, left], cells[row, right]) for row in (top, bottom))
    )
    lower -= upper
    values = lower[:, None, :] * rows.weight[rows.band_pixel[band]][:, :, None]
    values += upper[:, None, :]
    return np.asarray(values)


def quad_extremes(cells: Floats, *, largest: bool) -> Floats:
    """Greatest (or least) of the four corner cells of every quad, (H' + 1, W' + 1)."""
    pick = np.maximum if largest else np.minimum
    tall = np.concatenate([cells[:1], pick(cells[:-1], cells[1:]), cells[-1:]], axis=0)
    return np.concatenate([tall[:, :1], pick(tall[:, :-1], tall[:, 1:]), tall[:, -1:]], axis=1)

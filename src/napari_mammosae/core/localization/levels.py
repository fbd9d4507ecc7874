"""The activation a threshold comes to on one heatmap, and the part of the heatmap that can lie above it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .thresholds import Threshold
from .upsampling import Axis, Bools, Floats, Samples, axis, evaluate, evaluate_quads, quad_extremes

_NOWHERE = Samples(*(np.zeros(0, np.intp),) * 3, np.zeros(0), np.zeros(0, bool))
_SAMPLED = 1 << 17  # values: above this, a sample narrows the search for a quantile
_FEW_QUADS = 0.4  # share of a part's quads: below this, evaluating quad by quad beats evaluating whole bands


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The part of an upsampled heatmap that can lie above a level.

    `values` (r, c) are float32 at the sampled `rows` and `columns`, `mask` (r, c) uint8 is 1 where they lie strictly
    above the level. Everything that is left out lies at or below it, and what touches in the whole heatmap touches
    here.
    """

    values: Floats
    mask: npt.NDArray[np.uint8]
    rows: Samples
    columns: Samples
    level: float
    zero_quantile: bool = False
    silent: bool = False


def _empty(level: float, *, zero_quantile: bool = False, silent: bool = False) -> Cut:
    nothing = np.zeros((0, 0), np.float32)
    return Cut(nothing, nothing.astype(np.uint8), _NOWHERE, _NOWHERE, level, zero_quantile, silent)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Values in the bands that cross an active quad, or (`quads`) in the active quads alone, as blocks."""

    values: Floats
    rows: Samples
    columns: Samples
    quads: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None = None
    fill: tuple[Bools, Bools] | None = None

    def pixels(self, lowest: float, highest: float) -> Floats:
        """Return the values (n,) from a lowest to a highest one, each pixel once."""
        chosen = self.values >= np.float32(lowest)
        if highest < math.inf:
            chosen &= self.values <= np.float32(highest)
        if self.fill is not None:
            chosen &= ~self.fill[0][:, :, None] & ~self.fill[1][:, None, :]
        return self.values[chosen]

    def cut(self, level: float, *, zero_quantile: bool = False) -> Cut:
        """Lay out what lies above a level."""
        mask = (self.values > _float32_below(level)).view(np.uint8)
        if self.quads is None:
            return Cut(self.values, mask, self.rows, self.columns, level, zero_quantile)
        height, width = self.values.shape[1:]
        shape = (self.rows.pixel.size // height, height, self.columns.pixel.size // width, width)
        canvases = []
        for blocks in (self.values, mask):
            canvas = np.zeros(shape, blocks.dtype)
            canvas[self.quads[0], :, self.quads[1], :] = blocks
            canvases.append(canvas.reshape(shape[0] * height, shape[2] * width))
        return Cut(canvases[0], canvases[1], self.rows, self.columns, level, zero_quantile)


@dataclass(frozen=True, slots=True, eq=False)
class _Heatmap:
    """A map of cells with what is asked of it more than once."""

    cells: Floats
    rows: Axis
    columns: Axis
    largest: Floats  # of the four corner cells, per quad
    signed: bool

    def part(self, active: Bools, *, corners: bool = False) -> _Part:
        """Evaluate what crosses the active quads, of which there is at least one."""
        row_active, column_active = np.asarray(active.any(axis=1)), np.asarray(active.any(axis=0))
        spread = int(row_active.sum()) * int(column_active.sum())
        if not corners and active.sum() < _FEW_QUADS * spread and self._magnified:
            return self._quads(active, row_active, column_active)
        rows = self.rows.samples(row_active, corners=corners)
        columns = self.columns.samples(column_active, corners=corners)
        return _Part(evaluate(self.cells, self.rows, self.columns, rows, columns), rows, columns)

    @property
    def _magnified(self) -> bool:
        return bool(self.rows.band_size.min() and self.columns.band_size.min())

    def _quads(self, active: Bools, row_active: Bools, column_active: Bools) -> _Part:
        # One blank band in every gap keeps apart what does not touch.
        kept_rows, kept_columns = (
            np.flatnonzero(some | np.concatenate([[False], some[:-1]])) for some in (row_active, column_active)
        )
        quads = np.divmod(np.flatnonzero(active), active.shape[1])
        values = evaluate_quads(self.cells, self.rows, self.columns, quads)
        place = np.searchsorted(kept_rows, quads[0]), np.searchsorted(kept_columns, quads[1])
        fill = self.rows.band_fill[quads[0]], self.columns.band_fill[quads[1]]
        return _Part(values, self.rows.bands(kept_rows), self.columns.bands(kept_columns), place, fill)


def cut_heatmap(cells: npt.ArrayLike, shape: tuple[int, int], threshold: Threshold) -> Cut:
    """Level of `threshold` on the heatmap of cells (H', W') upsampled to `shape`, and what can lie above it.

    The quantile is numpy's linear one over all H x W pixels of the upsampled heatmap, and the maximum its maximum
    (which is below the largest cell's value, because few pixels fall on a cell's centre).
    """
    values = np.ascontiguousarray(cells, np.float32)
    if values.ndim != 2:
        raise ValueError(f"a heatmap has two dimensions (H', W'), not {values.ndim}")
    least, most = float(values.min()), float(values.max())
    if not (math.isfinite(least) and math.isfinite(most)):
        raise ValueError("the heatmap holds NaN or infinity")
    if least == most == 0.0:
        return _empty(math.nan, silent=True)
    heatmap = _Heatmap(
        values, axis(values.shape[0], shape[0]), axis(values.shape[1], shape[1]),
        quad_extremes(values, largest=True), least < 0.0,
    )  # fmt: skip
    if threshold.kind == "quantile":
        return _quantile_cut(heatmap, threshold.value)
    if threshold.kind == "relative":
        return _cut_at(heatmap, threshold.value * _maximum(heatmap, most))
    return _cut_at(heatmap, threshold.value)


def _maximum(heatmap: _Heatmap, most: float) -> float:
    """Maximum over the upsampled pixels, from the quads that can hold it."""
    # Where no cell is negative, the pixel nearest to the largest cell's centre keeps at least this share of it.
    reach = -math.inf if heatmap.signed else most * heatmap.rows.nearest * heatmap.columns.nearest * (1.0 - 1e-6)
    return float(heatmap.part(heatmap.largest >= reach).values.max())


def _cut_at(heatmap: _Heatmap, level: float, *, zero_quantile: bool = False) -> Cut:
    active = heatmap.largest > _float32_below(level)
    if not active.any():
        return _empty(level, zero_quantile=zero_quantile)
    # Above zero the mask of a map without negative cells is made of rectangles: their corners say everything.
    part = heatmap.part(active, corners=level == 0.0 and not heatmap.signed)
    return part.cut(level, zero_quantile=zero_quantile)


def _quantile_cut(heatmap: _Heatmap, q: float) -> Cut:
    pixels = heatmap.rows.pixels * heatmap.columns.pixels
    place = q * (pixels - 1)
    rank = math.floor(place)
    fraction = place - rank
    if not heatmap.signed:
        zeros = pixels - _pixels_above_zero(heatmap)
        if zeros > rank + (fraction > 0.0):
            return _cut_at(heatmap, 0.0, zero_quantile=True)
    # Quads whose four corners all reach `floor` hold enough pixels to put the quantile at or above it.
    needed = pixels - rank
    area = np.outer(heatmap.rows.band_size, heatmap.columns.band_size).ravel()
    least = quad_extremes(heatmap.cells, largest=False).ravel()
    order = np.argsort(-least)
    floor = float(least[order[np.searchsorted(np.cumsum(area[order]), needed)]])
    from_zero = not heatmap.signed and floor <= 0.0  # then pixels of value 0 are left out, and known to be there
    part = heatmap.part(heatmap.largest > 0.0 if from_zero else heatmap.largest >= floor)
    smallest = float(np.nextafter(np.float32(0), np.float32(1))) if from_zero else floor
    low, high = _order_statistics(part, needed, smallest)
    low, high = (max(value, 0.0) if from_zero else value for value in (low, high))
    return part.cut(low + fraction * (high - low))


def _order_statistics(part: _Part, from_top: int, lowest: float) -> tuple[float, float]:
    """Return the value at a place counted from the largest pixel (1) and the next larger one.

    Minus infinity where fewer than so many pixels reach `lowest`; the last place but one is its own next.
    """
    highest, above = np.inf, 0
    if part.fill is None and part.values.size > _SAMPLED:
        lowest, highest, above = _bracket(part.values, from_top, lowest)
    candidates = part.pixels(lowest, highest)
    candidates.sort()  # not partition: that takes ten times as long where many values are equal
    places = candidates.size - (from_top - above), candidates.size - max(from_top - 1 - above, 1)
    low, high = (float(candidates[place]) if place >= 0 else -math.inf for place in places)
    return low, high


def _bracket(values: Floats, from_top: int, lowest: float) -> tuple[float, float, int]:
    """Narrow the values among which a place lies, from a sample; with the number of values above them."""
    sample = np.sort(values[::7, ::5], axis=None)[::-1]
    guess, margin = from_top * sample.size // values.size, sample.size // 40
    least = max(float(sample[min(guess + margin, sample.size - 1)]), lowest)
    if guess + margin >= sample.size or np.count_nonzero(values >= np.float32(least)) < from_top:
        least = lowest
    if guess > margin:
        most = float(sample[guess - margin])
        above = int(np.count_nonzero(values > np.float32(most)))
        if above < from_top - 1:
            return least, most, above
    return least, math.inf, 0


def _pixels_above_zero(heatmap: _Heatmap) -> int:
    part = heatmap.part(heatmap.largest > 0.0, corners=True)
    return round(float(part.rows.weight @ (part.values > 0.0) @ part.columns.weight))


def _float32_below(level: float) -> np.float32:
    """Largest float32 not above `level`: comparing float32 values with it is comparing them with `level` itself."""
    rounded = np.float32(level)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > level else rounded

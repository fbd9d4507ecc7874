"""Several latents together, as one heatmap or as one set of boxes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..base.errors import SettingsError
from ..base.progress import Report
from .boxes import DEFAULT_MIN_AREA, Regions, regions_of_cut
from .levels import Cut, cut_heatmap
from .thresholds import Threshold
from .upsampling import Samples, axis, upsample

Combination = Literal["union", "maximum", "logit"]
Floats = npt.NDArray[np.float32]


def combine_maps(
    maps: npt.ArrayLike, how: Literal["maximum", "logit"] = "maximum", attribution: npt.ArrayLike | None = None
) -> Floats:
    """One map (H', W') float32 from those of several latents (k, H', W').

    `maximum` takes the greatest activation of each cell. `logit` adds them up weighted by their `attribution` (k,): the
    class activation map restricted to these latents. It may be negative where latents speak against the class.
    """
    stack = np.asarray(maps, np.float32)
    if stack.ndim != 3 or not len(stack):
        raise SettingsError(f"maps of shape {stack.shape}: expected at least one latent's map, (k, H', W')")
    if how == "maximum":
        return np.asarray(stack.max(axis=0))
    if how != "logit":
        raise SettingsError(f"combination {how!r}: expected union, maximum or logit")
    if attribution is None or np.shape(attribution) != stack.shape[:1]:
        raise SettingsError("a logit-weighted sum needs one attribution for each latent")
    return np.tensordot(np.asarray(attribution, np.float64), stack, axes=1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class CombinedMap:
    """Heatmaps of several latents together, to be cut again and again; made by `CombinedMap.of`.

    Parameters
    ----------
    how : `union` cuts every latent's own heatmap and joins the masks, so that a weak latent counts as much as a strong
        one; `maximum` and `logit` cut `cells`
    cells : (H', W') float32, the combined map; for the union the greatest activation of each cell
    shape : (H, W) of the model's input
    maps : (k, H', W') float32, of each latent
    greatest : (H, W) float32, of a union: the greatest of the upsampled heatmaps; None otherwise
    """

    how: Combination
    cells: Floats
    shape: tuple[int, int]
    maps: Floats
    greatest: Floats | None = None

    @classmethod
    def of(
        cls,
        maps: npt.ArrayLike,
        shape: tuple[int, int],
        how: Combination,
        attribution: npt.ArrayLike | None = None,
        progress: Report | None = None,
    ) -> "CombinedMap":
        """Combine maps (k, H', W'); `logit` needs one `attribution` for each.

        A union upsamples every heatmap: `progress` is called with how many were, and their number.

        Raises
        ------
        SettingsError
            If there is no map, the combination is unknown, or attributions are missing.
        """
        stack = np.asarray(maps, np.float32)
        cells = combine_maps(stack, "maximum" if how == "union" else how, attribution)
        if how != "union":
            return cls(how, cells, shape, stack)
        greatest = np.full(shape, -np.inf, np.float32)
        for k, one in enumerate(stack):
            if progress is not None:
                progress("Combining heatmaps", k, len(stack))
            np.maximum(greatest, upsample(one, shape), out=greatest)
        return cls(how, cells, shape, stack, greatest)

    def regions(
        self,
        threshold: Threshold | str = "quantile:0.95",
        *,
        min_area: float = DEFAULT_MIN_AREA,
        progress: Report | None = None,
    ) -> Regions:
        """Cut at a threshold.

        What a logit-weighted sum holds below zero speaks against the class and is never in the mask: a level below 0 is
        taken as 0. Confidences of a union are those of the greatest heatmap, and its `level` is the least of its
        latents' levels. `progress` as in `of`.
        """
        rule = Threshold.parse(threshold)
        if self.greatest is None:
            cut = cut_heatmap(self.cells, self.shape, rule)
            if not cut.level < 0:
                return regions_of_cut(cut, min_area)
            positive = cut_heatmap(self.cells, self.shape, Threshold("absolute", 0.0))
            return regions_of_cut(_marked(positive, rule.kind == "quantile"), min_area)
        mask = np.zeros(self.shape, np.uint8)
        levels, zero = [], False
        for k, cells in enumerate(self.maps):
            if progress is not None:
                progress("Combining heatmaps", k, len(self.maps))
            cut = cut_heatmap(cells, self.shape, rule)
            if not cut.silent:
                _paint(mask, cut)
                levels.append(cut.level)
                zero |= cut.zero_quantile
        rows, columns = (axis(1, n).every for n in self.shape)
        level = min(levels, default=np.nan)
        return regions_of_cut(Cut(self.greatest, mask, rows, columns, level, zero, not levels), min_area)


def _marked(cut: Cut, zero_quantile: bool) -> Cut:
    return Cut(cut.values, cut.mask, cut.rows, cut.columns, cut.level, zero_quantile, cut.silent)


def _paint(mask: npt.NDArray[np.uint8], cut: Cut) -> None:
    """Add what a cut's mask stands for to a mask of the whole heatmap."""
    (kept_rows, rows), (kept_columns, columns) = _blocks(cut.rows), _blocks(cut.columns)
    inside = cut.mask[kept_rows][:, kept_columns] if not (kept_rows.all() and kept_columns.all()) else cut.mask
    for axis_, at in enumerate((cut.rows, cut.columns)):
        size = (at.stop - at.start)[(kept_rows, kept_columns)[axis_]]
        if (size > 1).any():
            inside = np.repeat(inside, size, axis=axis_)
    for row, from_row, height in rows:
        for column, from_column, width in columns:
            block = inside[from_row : from_row + height, from_column : from_column + width]
            mask[row : row + height, column : column + width] |= block


def _blocks(at: Samples) -> tuple[npt.NDArray[np.bool_], list[tuple[int, int, int]]]:
    """Which samples stand for pixels, and the unbroken blocks of these: first pixel, place among them, length."""
    kept = at.weight > 0
    start, stop = at.start[kept], at.stop[kept]
    first = np.flatnonzero(np.concatenate([[True], start[1:] != stop[:-1]])) if start.size else np.zeros(0, np.intp)
    size = np.add.reduceat(stop - start, first) if start.size else first
    place = np.cumsum(size) - size
    return kept, list(zip(start[first].tolist(), place.tolist(), size.tolist(), strict=True))

"""Several latents together, as one heatmap or as one set of boxes."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_mammosae.core.errors import SettingsError
from napari_mammosae.core.localization.boxes import DEFAULT_MIN_AREA, Regions, find_regions, regions_of_cut
from napari_mammosae.core.localization.levels import Cut, cut_heatmap
from napari_mammosae.core.localization.thresholds import Threshold
from napari_mammosae.core.localization.upsampling import axis, upsample

Combination = Literal["union", "maximum", "logit"]


def combine_maps(
    maps: npt.ArrayLike, how: Literal["maximum", "logit"] = "maximum", attribution: npt.ArrayLike | None = None
) -> npt.NDArray[np.float32]:
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


def find_combined_regions(
    maps: npt.ArrayLike,
    shape: tuple[int, int],
    how: Combination,
    threshold: Threshold | str = "quantile:0.95",
    *,
    attribution: npt.ArrayLike | None = None,
    min_area: float = DEFAULT_MIN_AREA,
) -> Regions:
    """Regions of several latents' maps (k, H', W') together, on `shape` (H, W).

    `union` cuts every latent's own heatmap and joins the masks, so that a weak latent counts as much as a strong one;
    confidences are those of the greatest heatmap. `maximum` and `logit` cut the combined heatmap.
    """
    if how != "union":
        return find_regions(combine_maps(maps, how, attribution), shape, threshold, min_area=min_area)
    combine_maps(maps)  # for its checks
    rule = Threshold.parse(threshold)
    greatest, mask = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.uint8)
    levels, zero = [], False
    for cells in np.asarray(maps, np.float32):
        cut = cut_heatmap(cells, shape, rule)
        if cut.silent:
            continue
        heatmap = upsample(cells, shape)
        np.maximum(greatest, heatmap, out=greatest)
        mask |= (heatmap > np.float64(cut.level)).view(np.uint8)
        levels.append(cut.level)
        zero |= cut.zero_quantile
    rows, columns = (axis(1, n).every for n in shape)
    level = min(levels, default=np.nan)
    return regions_of_cut(Cut(greatest, mask, rows, columns, level, zero, not levels), min_area)

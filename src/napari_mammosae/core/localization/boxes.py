"""From a heatmap to boxes: level, mask, 8-connected outermost regions, confidences."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from .levels import Cut, cut_heatmap
from .thresholds import Threshold

Confidence = Literal["maximum", "mean", "energy"]
DEFAULT_MIN_AREA = 10.0

Ints = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Boxes of what lies above a level in one heatmap, from top to bottom, with their confidences.

    Parameters
    ----------
    boxes : (n, 4) int32, edges (row_min, col_min, row_max, col_max) in input pixels, half open
    maximum, mean, energy : (n,) float64, of the upsampled heatmap inside the region (not inside its box); `energy` is
        the sum over the region's pixels
    area : (n,) float64, the region's pixels
    level : the activation the threshold came to; NaN for a heatmap that is zero everywhere
    zero_quantile : the quantile was 0, so that the mask is every pixel above zero
    silent : the heatmap is zero everywhere, so that there is no box whatever the threshold
    dropped : number of regions left out because their box was too small
    """

    boxes: Ints
    maximum: Doubles
    mean: Doubles
    energy: Doubles
    area: Doubles
    level: float
    zero_quantile: bool
    silent: bool
    dropped: int

    def __len__(self) -> int:
        return len(self.boxes)

    def confidence(self, kind: Confidence = "maximum") -> Doubles:
        """Return the chosen confidence of every box, (n,) float64."""
        return {"maximum": self.maximum, "mean": self.mean, "energy": self.energy}[kind]

    @property
    def note(self) -> str:
        """What a person should know about this result; empty where there is nothing."""
        if self.silent:
            return "the latent is silent on this image: no boxes"
        if self.zero_quantile:
            return "the quantile is 0: the mask is every pixel above zero"
        if not len(self):
            return f"every region is smaller than the least area ({self.dropped} dropped)" if self.dropped else (
                "nothing is above the threshold"
            )  # fmt: skip
        return ""


def find_regions(
    cells: npt.ArrayLike,
    shape: tuple[int, int],
    threshold: Threshold | str = "quantile:0.95",
    *,
    min_area: float = DEFAULT_MIN_AREA,
) -> Regions:
    """Regions of a heatmap of cells (H', W') upsampled to `shape` (H, W), that lie strictly above a threshold.

    8-connected; an island inside a hole of another region is not reported. Boxes with height x width under `min_area`
    input pixels are dropped. Only the part of the heatmap that can reach the threshold is upsampled; the result is
    that of upsampling all of it. A heatmap that is zero everywhere has no regions.

    Raises
    ------
    ValueError
        If the map is not two-dimensional or holds NaN or infinity.
    SettingsError
        If the threshold has no meaning.
    """
    return regions_of_cut(cut_heatmap(cells, shape, Threshold.parse(threshold)), min_area)


def regions_of_cut(cut: Cut, min_area: float, *, maximum_only: bool = False) -> Regions:
    """Outermost regions of a mask, with statistics of the values inside each; NaN for those not asked for."""
    mask = cut.mask
    if not mask.any():
        none = np.zeros(0)
        return Regions(np.zeros((0, 4), np.int32), none, none, none, none, cut.level, cut.zero_quantile, cut.silent, 0)
    contours, tree = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    parent = np.asarray(tree)[0, :, 3].astype(np.intp)
    outermost = np.flatnonzero(parent < 0)
    # (row, column, rows, columns) in samples, then edges in pixels
    windows = np.array([cv2.boundingRect(contours[i]) for i in outermost.tolist()], np.intp)[:, [1, 0, 3, 2]]
    last = windows[:, :2] + windows[:, 2:] - 1
    boxes = np.column_stack(
        [cut.rows.start[windows[:, 0]], cut.columns.start[windows[:, 1]],
         cut.rows.stop[last[:, 0]], cut.columns.stop[last[:, 1]]]
    ).astype(np.int32)  # fmt: skip
    large = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) >= min_area
    grandparent = np.where(parent >= 0, parent[parent], -1)  # of an island: the region whose hole it lies in
    shared = _shares_window(windows) | np.isin(outermost, grandparent)
    order = np.lexsort((boxes[:, 1], boxes[:, 0]))
    order = order[large[order]]
    whole = bool((cut.rows.weight == 1).all() and (cut.columns.weight == 1).all())
    statistics = np.zeros((4, order.size))
    for column, i in enumerate(order.tolist()):
        row, col, height, width = windows[i].tolist()
        rows, columns = slice(row, row + height), slice(col, col + width)
        inside = mask[rows, columns]
        if shared[i]:
            alone = np.zeros_like(inside)
            cv2.drawContours(alone, contours, int(outermost[i]), 1, cv2.FILLED, offset=(-col, -row))
            for island in np.flatnonzero(grandparent == outermost[i]).tolist():
                cv2.drawContours(alone, contours, island, 0, cv2.FILLED, offset=(-col, -row))
            inside = inside & alone
        values = cut.values[rows, columns]
        largest = cv2.minMaxLoc(values, inside)[1]
        if maximum_only:
            mean, area = np.nan, np.nan
        elif whole:
            mean, area = cv2.mean(values, inside)[0], float(cv2.countNonZero(inside))
        else:
            row_weight, column_weight = cut.rows.weight[rows], cut.columns.weight[columns]
            area = float(row_weight @ inside @ column_weight)
            mean = float(row_weight @ (values * inside) @ column_weight) / area
        statistics[:, column] = largest, mean, mean * area, area
    maximum, mean_inside, energy, areas = statistics
    return Regions(
        boxes[order], maximum, mean_inside, energy, areas, cut.level, cut.zero_quantile, cut.silent,
        int(large.size - order.size),
    )  # fmt: skip


def _shares_window(windows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether a region's window (row, column, rows, columns) meets that of another."""
    first, stop = windows[:, None, :2], (windows[:, :2] + windows[:, 2:])[:, None]
    meets = ((first < stop.swapaxes(0, 1)) & (first.swapaxes(0, 1) < stop)).all(axis=2)
    return np.asarray(meets.sum(axis=1) > 1)

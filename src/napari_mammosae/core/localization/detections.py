"""Boxes of many heatmaps at once: every live latent of every image of a run, from its kept cells."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..base.progress import Report
from .boxes import DEFAULT_MIN_AREA, Confidence, regions_of_cut
from .levels import cut_heatmap
from .thresholds import Threshold

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SparseMaps:
    """Non-zero cells of many heatmaps, one heatmap after another: by latent, then image, then cell.

    Parameters
    ----------
    latent, image : (m,) int64 of each heatmap
    start : (m + 1,) int64, heatmap k has the entries `start[k]` to `start[k + 1]` of the next two
    cell : (n,) int64, row * W' + column
    value : (n,) float32, above 0
    grid : (H', W')
    """

    latent: Ints
    image: Ints
    start: Ints
    cell: Ints
    value: npt.NDArray[np.float32]
    grid: tuple[int, int]

    def __len__(self) -> int:
        return self.latent.size

    def dense(self, k: int) -> npt.NDArray[np.float32]:
        """Heatmap k as (H', W') float32."""
        out = np.zeros(self.grid[0] * self.grid[1], np.float32)
        part = slice(self.start[k], self.start[k + 1])
        out[self.cell[part]] = self.value[part]
        return out.reshape(self.grid)

    def __iter__(self) -> Iterator[tuple[int, int, npt.NDArray[np.float32]]]:
        """Yield (latent, image, heatmap)."""
        for k, (latent, image) in enumerate(zip(self.latent.tolist(), self.image.tolist(), strict=True)):
            yield latent, image, self.dense(k)

    @property
    def owner(self) -> Ints:
        """(n,) the heatmap each entry belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))


def sparse_maps(
    latent: npt.ArrayLike,
    image: npt.ArrayLike,
    cell: npt.ArrayLike,
    value: npt.ArrayLike,
    grid: tuple[int, int],
) -> SparseMaps:
    """Group the rows (n,) of a run's kept maps by heatmap; in any order, quickest where already in order.

    Rows whose value is 0 are left out.

    Raises
    ------
    ValueError
        If a cell lies outside the grid, is given twice for one heatmap, or a value is negative or not finite.
    """
    latents, images, cells = (np.asarray(a, np.int64) for a in (latent, image, cell))
    values = np.asarray(value, np.float32)
    n_cells = grid[0] * grid[1]
    if cells.size and (cells.min() < 0 or cells.max() >= n_cells):
        raise ValueError(f"cells from {cells.min()} to {cells.max()} do not fit a grid of {grid[0]} x {grid[1]}")
    if values.size and not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("kept maps hold negative or non-finite values")
    if values.size and values.min() == 0:
        live = values > 0
        latents, images, cells = (a[live] for a in (latents, images, cells))
        values = values[live]
    n_images = int(images.max(initial=-1)) + 1
    key = (latents * n_images + images) * n_cells + cells
    step = np.diff(key)
    if (step <= 0).any():
        order = np.argsort(key, kind="stable")
        latents, images, cells, key = (a[order] for a in (latents, images, cells, key))
        values = values[order]
        if (np.diff(key) == 0).any():
            raise ValueError("a cell of one heatmap is given twice")
    map_key = key // n_cells
    first = np.flatnonzero(np.diff(map_key, prepend=-1))
    return SparseMaps(latents[first], images[first], np.append(first, key.size), cells, values, grid)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes found in many heatmaps.

    Parameters
    ----------
    latent, image : (n,) int64
    score : (n,) float64, the confidence
    boxes : (n, 4) float64, edges (row_min, col_min, row_max, col_max) in input pixels
    zero_quantile : (m,) bool, per heatmap: the quantile was 0
    level : (m,) float64, per heatmap: the activation the threshold came to
    """

    latent: Ints
    image: Ints
    score: Doubles
    boxes: Doubles
    zero_quantile: npt.NDArray[np.bool_]
    level: Doubles

    def __len__(self) -> int:
        return self.latent.size


def detect(
    maps: SparseMaps,
    shape: tuple[int, int],
    threshold: Threshold | str = "quantile:0.95",
    *,
    confidence: Confidence = "maximum",
    min_area: float = DEFAULT_MIN_AREA,
    progress: Report | None = None,
) -> Detections:
    """Find the boxes of every heatmap: the same as `find_regions` on each.

    `progress` is called now and then with the number of heatmaps done and their total; it may raise to cancel.
    """
    rule = Threshold.parse(threshold)
    counts = np.zeros(len(maps), np.int64)
    zero, level = np.zeros(len(maps), bool), np.zeros(len(maps))
    boxes: list[npt.NDArray[np.int32]] = []
    scores: list[Doubles] = []
    for k in range(len(maps)):
        cut = cut_heatmap(maps.dense(k), shape, rule)
        regions = regions_of_cut(cut, min_area, maximum_only=confidence == "maximum")
        counts[k], zero[k], level[k] = len(regions), regions.zero_quantile, regions.level
        boxes.append(regions.boxes)
        scores.append(regions.confidence(confidence))
        if progress is not None and k % 256 == 0:
            progress("Finding boxes", k, len(maps))
    if progress is not None:
        progress("Finding boxes", len(maps), len(maps))
    return Detections(
        np.repeat(maps.latent, counts),
        np.repeat(maps.image, counts),
        np.concatenate([np.zeros(0), *scores]),
        np.concatenate([np.zeros((0, 4)), *boxes]),
        zero,
        level,
    )

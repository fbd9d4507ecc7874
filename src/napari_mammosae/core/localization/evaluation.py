"""How well every live latent of a run localises a finding: one table, with intervals by patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..base.errors import SettingsError
from ..base.progress import Report
from ..stats.bootstrap import FEWEST, patient_weights
from ..stats.measures import ratios
from .boxes import DEFAULT_MIN_AREA, Confidence
from .detections import Detections, SparseMaps, detect, sparse_maps
from .focus import Focus, focus, places
from .intervals import average_precision_bounds, ratio_bounds
from .matching import average_precision, match
from .thresholds import DEFAULT_THRESHOLD, Threshold

Include = Literal["finding", "all"]
Doubles = npt.NDArray[np.float64]
BOX_COLUMNS = ["row_min", "col_min", "row_max", "col_max"]


@dataclass(frozen=True, slots=True)
class LocalizationSettings:
    """Choices a localisation figure depends on.

    Parameters
    ----------
    threshold : where heatmaps are cut
    iou : least overlap of a true positive
    confidence : what found boxes are ranked by
    min_area : least height x width of a found box, input pixels
    include : images with the finding only, as in the published table, or all images
    resamples, seed : of the bootstrap by patient; 0 resamples gives no intervals
    split : only images of this split
    """

    threshold: Threshold = DEFAULT_THRESHOLD
    iou: float = 0.25
    confidence: Confidence = "maximum"
    min_area: float = DEFAULT_MIN_AREA
    include: Include = "finding"
    resamples: int = 1000
    seed: int = 0
    split: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.iou <= 1.0:
            raise SettingsError(f"IoU {self.iou}: expected a number above 0 and at most 1")
        if self.confidence not in ("maximum", "mean", "energy"):
            raise SettingsError(f"confidence {self.confidence!r}: expected maximum, mean or energy")
        if self.include not in ("finding", "all"):
            raise SettingsError(f"images {self.include!r}: expected finding or all")


def localize_run(
    latent: npt.ArrayLike,
    image: npt.ArrayLike,
    cell: npt.ArrayLike,
    value: npt.ArrayLike,
    boxes: pd.DataFrame,
    *,
    images: npt.ArrayLike,
    grid: tuple[int, int],
    input_shape: tuple[int, int],
    patients: npt.ArrayLike | None = None,
    regions: Mapping[str, npt.ArrayLike] | None = None,
    latents: npt.ArrayLike | None = None,
    findings: Sequence[str] | Mapping[str, npt.ArrayLike] | None = None,
    settings: LocalizationSettings | None = None,
    progress: Report | None = None,
) -> pd.DataFrame:
    """Measure how well latents localise findings.

    Parameters
    ----------
    latent, image, cell, value : (n,) the kept maps of a run: non-zero cells, best sorted by latent, image and cell
    boxes : annotated boxes: `image`, `finding`, and edges `row_min, col_min, row_max, col_max` in input pixels, clipped
    images : (k,) the images to measure on; rows of other images are ignored
    grid, input_shape : (H', W') and (H, W)
    patients : (k,) patient of each image; without it every image is its own
    regions : area shares (k, H' x W') by region name, as runs keep them; `breast` makes the lift and `outside` known
    latents : which; by default every latent that fires on one of the images
    findings : which, and of each, if need be, the images that count for it; by default every one that has a box
    progress : called with heatmaps done and in total; may raise to cancel

    Returns
    -------
    DataFrame
        One row per finding and latent. From boxes: `ap` (at the chosen IoU), `precision`, `recall`,
        `precision_x_recall`, `mean_best_iou` (over annotated boxes, 0 for a box nothing overlaps),
        `false_positives_per_image` (images without the finding; NaN unless all images are included), `detections`, and
        `zero_quantiles`: heatmaps whose quantile was 0. A latent without boxes has `ap`, `precision` and `recall` 0.
        From the maps, means over images with the finding: `pointing` (silent images are misses, `chance` is the
        boxes' share of the area), `energy`, `lift`, `lift_image`, `lift_above_median`, and shares of regions: means
        over the images on which the latent fires (`images_active` of `images`) and the measure is defined.
        Intervals `<measure>_lo`, `<measure>_hi`. NaN never stands without a reason in `note`.
    """
    settings = settings or LocalizationSettings()
    kept = np.asarray(images, np.int64)
    order = np.argsort(kept)
    ids = kept[order]
    people = np.arange(ids.size) if patients is None else np.asarray(patients)[order]
    areas = {name: np.asarray(share)[order] for name, share in (regions or {}).items()}
    truth = boxes[boxes["image"].isin(ids)]
    names = sorted(truth["finding"].unique()) if findings is None else list(findings)
    columns = [np.asarray(a) for a in (latent, image, cell, value)]
    wanted = np.isin(columns[1], ids)
    live = np.unique(columns[0][wanted]) if latents is None else np.unique(np.asarray(latents, np.int64))
    if settings.include == "finding":
        wanted &= np.isin(columns[1], truth.loc[truth["finding"].isin(names), "image"])
    if latents is not None:
        wanted &= np.isin(columns[0], live)
    if not wanted.all():
        columns = [a[wanted] for a in columns]
    maps = sparse_maps(columns[0], columns[1], columns[2], columns[3], grid)
    found = detect(
        maps, input_shape, settings.threshold, confidence=settings.confidence, min_area=settings.min_area,
        progress=progress,
    )  # fmt: skip
    parts = []
    for name in names:
        here = np.isin(ids, findings[name]) if isinstance(findings, Mapping) else np.ones(ids.size, bool)
        mine = truth[(truth["finding"] == name) & truth["image"].isin(ids[here])]
        where = places(ids, mine["image"], mine[BOX_COLUMNS], input_shape, grid, areas)
        owner, drawn = mine["image"].to_numpy(np.int64), mine[BOX_COLUMNS].to_numpy(np.float64)
        ground = _Ground(name, ids[here], people[here], owner, drawn)
        table = pd.DataFrame({"finding": name, "latent": live})
        notes: list[list[str]] = [[] for _ in live]
        _add_found(table, notes, found, maps, ground, settings)
        _add_focus(table, notes, focus(maps, where), where.box.mean(axis=1)[here], ground, settings)
        table["note"] = ["; ".join(lines) for lines in notes]
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"finding": [], "latent": []})


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """Annotated boxes of one finding, and the images and patients they are measured on."""

    finding: str
    images: npt.NDArray[np.int64]
    patients: npt.NDArray[np.generic]
    box_image: npt.NDArray[np.int64]
    boxes: Doubles

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        return np.isin(self.images, self.box_image)

    def rows(self, settings: LocalizationSettings) -> npt.NDArray[np.intp]:
        """Rows of the images that count."""
        return np.flatnonzero(self.positive) if settings.include == "finding" else np.arange(self.images.size)

    def weights(self, settings: LocalizationSettings) -> tuple[npt.NDArray[np.int32] | None, str]:
        """How often each image that counts is drawn (resamples, n), or why there are no intervals."""
        if not settings.resamples:
            return None, ""
        people = np.unique(self.patients[self.positive]).size
        if people < FEWEST:
            return None, f"no intervals: too few patients with the finding ({people}, at least {FEWEST} needed)"
        return patient_weights(self.patients[self.rows(settings)], settings.resamples, settings.seed), ""


def _add_found(
    table: pd.DataFrame,
    notes: list[list[str]],
    found: Detections,
    maps: SparseMaps,
    ground: _Ground,
    settings: LocalizationSettings,
) -> None:
    """Everything that needs found boxes."""
    live = table["latent"].to_numpy()
    measures = ("ap", "precision", "recall", "mean_best_iou")
    n_boxes, rows = len(ground.boxes), ground.rows(settings)
    table[["ap", "precision", "recall", "precision_x_recall", "mean_best_iou", "false_positives_per_image"]] = np.nan
    table["detections"], table["boxes"], table["zero_quantiles"] = 0, n_boxes, 0
    for measure in measures:
        table[[f"{measure}_lo", f"{measure}_hi"]] = np.nan
    if not n_boxes:
        for lines in notes:
            lines.append(f"no box of {ground.finding} on these images")
        return
    counted = np.isin(found.image, ground.images[rows])
    of_latent = np.searchsorted(live, found.latent[counted])
    at_image = np.searchsorted(ground.images[rows], found.image[counted])
    score = found.score[counted]
    matches = match(of_latent, found.image[counted], score, found.boxes[counted], ground.box_image, ground.boxes,
                    settings.iou)  # fmt: skip
    shape = (rows.size, live.size)
    detections, hits, overlap = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(detections, (at_image, of_latent), 1.0)
    np.add.at(hits, (at_image, of_latent), matches.hit)
    box_row = np.searchsorted(ground.images[rows], ground.box_image)
    np.add.at(overlap, (box_row[matches.best_box], matches.best_group), matches.best_iou)
    boxes = np.bincount(box_row, minlength=rows.size).astype(np.float64)[:, None]
    n_found = detections.sum(axis=0)
    table["precision"] = ratios(hits.sum(axis=0), n_found, undefined=0.0)
    table["recall"] = hits.sum(axis=0) / n_boxes
    table["precision_x_recall"] = table["precision"] * table["recall"]
    table["mean_best_iou"] = overlap.sum(axis=0) / n_boxes
    table["detections"] = n_found.astype(int)
    order = np.argsort(of_latent, kind="stable")
    bounds = np.searchsorted(of_latent[order], np.arange(live.size + 1))
    slices = [order[bounds[i] : bounds[i + 1]] for i in range(live.size)]
    table["ap"] = [average_precision(score[mine], matches.hit[mine], n_boxes) for mine in slices]
    negative = ~ground.positive[rows]
    if negative.any():
        table["false_positives_per_image"] = detections[negative].sum(axis=0) / negative.sum()
    zero = maps.latent[found.zero_quantile & np.isin(maps.image, ground.images[rows])]
    table["zero_quantiles"] = np.bincount(np.searchsorted(live, zero), minlength=live.size)
    for lines, count in zip(notes, table["zero_quantiles"], strict=True):
        if count:
            lines.append(f"the quantile is 0 on {count} heatmaps: their mask is every pixel above zero")
    weights, reason = ground.weights(settings)
    if weights is None:
        for lines in notes if reason else ():
            lines.append(reason)
        return
    for measure, part, whole in (
        ("precision", hits, detections), ("recall", hits, boxes), ("mean_best_iou", overlap, boxes),
    ):  # fmt: skip
        empty = 0.0 if measure == "precision" else np.nan
        table[f"{measure}_lo"], table[f"{measure}_hi"] = ratio_bounds(part, whole, weights, empty=empty)
    table["ap_lo"], table["ap_hi"] = average_precision_bounds(
        [(score[mine], matches.hit[mine], at_image[mine]) for mine in slices], boxes[:, 0], weights
    )


def _add_focus(
    table: pd.DataFrame,
    notes: list[list[str]],
    measured: Focus,
    chance: Doubles,
    ground: _Ground,
    settings: LocalizationSettings,
) -> None:
    """Everything that comes from the maps alone; over images with the finding."""
    live = table["latent"].to_numpy()
    rows = np.flatnonzero(ground.positive)
    mine = np.isin(measured.image, ground.images[rows])
    column = np.searchsorted(live, measured.latent[mine])
    at = np.searchsorted(ground.images[rows], measured.image[mine])
    active = np.bincount(column, minlength=live.size)
    table["images"], table["images_active"] = rows.size, active
    table["chance"] = chance[rows].mean() if rows.size else np.nan
    weights = ground.weights(settings)[0]
    if weights is not None:
        weights = weights[:, np.flatnonzero(np.isin(ground.rows(settings), rows))]
    every = np.ones((rows.size, 1))
    values: dict[str, Doubles] = {
        "pointing": measured.pointing, "energy": measured.energy, "lift": measured.lift,
        "lift_image": measured.lift_image, "lift_above_median": measured.lift_above_median, **measured.shares,
    }  # fmt: skip
    for name, per_map in values.items():
        grid = np.full((rows.size, live.size), 0.0 if name == "pointing" else np.nan)
        grid[at, column] = per_map[mine]
        defined = every if name == "pointing" else np.isfinite(grid).astype(np.float64)
        grid = np.nan_to_num(grid, nan=0.0)
        table[name] = ratios(grid.sum(axis=0), defined.sum(axis=0))
        if name in ("pointing", "energy", "lift", "lift_image"):
            table[f"{name}_lo"], table[f"{name}_hi"] = np.nan, np.nan
            if weights is not None and rows.size:
                table[f"{name}_lo"], table[f"{name}_hi"] = ratio_bounds(grid, defined, weights)
    lift, above = table["lift"].isna().to_numpy(), table["lift_above_median"].isna().to_numpy()
    for i, lines in enumerate(notes):
        if rows.size and not active[i]:
            lines.append("silent on every image with the finding: no energy and no lift")
        elif rows.size and lift[i]:
            lines.append("no lift: the breast is not known, holds no activation, or meets no box")
        elif rows.size and above[i]:
            lines.append("no lift above the median: nothing exceeds it")

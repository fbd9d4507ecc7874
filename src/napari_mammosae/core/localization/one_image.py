"""One heatmap on one image: its boxes, what became of each, and where it looks; in words where there is no number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..base.progress import Report
from .boxes import DEFAULT_MIN_AREA, Confidence, Regions, find_regions
from .detections import sparse_maps
from .focus import focus, places
from .matching import match, paired_iou
from .thresholds import DEFAULT_THRESHOLD, Threshold, ThresholdKind
from .upsampling import upsample

Doubles = npt.NDArray[np.float64]
Fate = Literal["hit", "false", "unjudged", "missed"]
"""What became of a box: found and right, found and wrong, found where nobody annotated, annotated and not found."""

SAMPLED = 4  # a heatmap is sampled every so many pixels for its histogram: it changes little in between


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure, or why there is none.

    Parameters
    ----------
    key : `precision`, `recall`, `mean_best_iou`, `energy`, `lift`, `lift_image`, `pointing` ...
    value : NaN where it is undefined
    reason : why it is undefined; empty otherwise
    """

    key: str
    value: float
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ImageBoxes:
    """Found boxes on one image, against the annotated ones.

    Parameters
    ----------
    regions : the found boxes, from top to bottom
    score : (n,) float64, their confidences
    truth : (b, 4) float64, annotated boxes in input edges
    fate : what became of each found box
    iou : (n,) float64, overlap with the annotated box of highest overlap; NaN where there is none
    best_iou : (b,) float64, highest overlap of each annotated box with a found one
    met_by : (b,) int64, which found box that is; -1 where none overlaps
    found : (b,) bool, annotated boxes that a true positive met
    """

    regions: Regions
    score: Doubles
    truth: Doubles
    fate: tuple[Fate, ...]
    iou: Doubles
    best_iou: Doubles
    met_by: npt.NDArray[np.int64]
    found: npt.NDArray[np.bool_]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Figures of this image: precision, recall and the mean best IoU, with the counts behind them."""
        hits, n, b = self.fate.count("hit"), len(self.fate), len(self.truth)
        judged = "unjudged" not in self.fate
        no_box = "no annotated box on this image"
        return (
            Measure("recall", hits / b if b else np.nan, "" if b else no_box),
            Measure(
                "precision",
                hits / n if n and judged else np.nan,
                "" if n and judged else ("this image is not annotated" if n else "nothing was found"),
            ),
            Measure("mean_best_iou", float(self.best_iou.mean()) if b else np.nan, "" if b else no_box),
        )


def judge_regions(
    regions: Regions,
    truth: npt.ArrayLike,
    *,
    annotated: bool = True,
    iou: float = 0.25,
    confidence: Confidence = "maximum",
) -> ImageBoxes:
    """Match regions of one image, of one latent or of several together, to the annotated ones, as `localize_run` does.

    Parameters
    ----------
    regions : what was found
    truth : (b, 4) annotated boxes of the finding in input edges, clipped to the input
    annotated : whether anybody looked: False makes found boxes `unjudged` rather than wrong
    iou, confidence : least overlap of a true positive, and what found boxes are ranked by
    """
    boxes, score = regions.boxes.astype(np.float64), regions.confidence(confidence)
    edges = np.asarray(truth, np.float64).reshape(-1, 4)
    none = np.zeros(len(boxes), np.int64)
    matches = match(none, none, score, boxes, np.zeros(len(edges), np.int64), edges, iou)
    best, met_by, found = np.zeros(len(edges)), np.full(len(edges), -1, np.int64), np.zeros(len(edges), bool)
    best[matches.best_box] = matches.best_iou
    for box in matches.best_box.tolist():
        met_by[box] = int(paired_iou(boxes, np.broadcast_to(edges[box], boxes.shape)).argmax())
    found[matches.box[matches.hit]] = True
    wrong: Fate = "false" if annotated or len(edges) else "unjudged"
    fate: tuple[Fate, ...] = tuple("hit" if hit else wrong for hit in matches.hit.tolist())
    overlap = np.where(matches.box >= 0, matches.iou, np.nan)
    return ImageBoxes(regions, score, edges, fate, overlap, best, met_by, found)


def focus_on_image(
    cells: npt.ArrayLike,
    shape: tuple[int, int],
    truth: npt.ArrayLike,
    regions: Mapping[str, npt.ArrayLike] | None = None,
    *,
    silent: str = "the latent is silent on this image",
) -> tuple[Measure, ...]:
    """Where the activation lies: pointing, energy, lift, lift over the whole image, and shares of regions.

    They do not depend on a threshold. `cells` are not negative; `regions` are area shares (H', W') by name, of which
    `breast` makes the lift known; `silent` is what to say where all cells are 0.
    """
    values = np.asarray(cells, np.float32)
    edges = np.asarray(truth, np.float64).reshape(-1, 4)
    known = {name: np.asarray(share).reshape(1, -1) for name, share in (regions or {}).items()}
    at = np.flatnonzero(values)
    zero = np.zeros(at.size, np.int64)
    where = places([0], np.zeros(len(edges)), edges, shape, (values.shape[0], values.shape[1]), known)
    measured = focus(sparse_maps(zero, zero, at, values.ravel()[at], (values.shape[0], values.shape[1])), where)
    no_box = "no annotated box on this image"
    breast = "" if "breast" in known else "the position of the breast is not known"
    if not at.size:
        missing = {key: no_box if not len(edges) else silent for key in ("energy", "lift", "lift_image")}
        pointing = Measure("pointing", np.nan, no_box) if not len(edges) else Measure("pointing", 0.0)
        return (pointing, *(Measure(key, np.nan, reason) for key, reason in missing.items()))
    found = [
        Measure("pointing", float(measured.pointing[0])) if len(edges) else Measure("pointing", np.nan, no_box),
        Measure("energy", float(measured.energy[0])) if len(edges) else Measure("energy", np.nan, no_box),
    ]
    for key, value, needs in (("lift", measured.lift[0], breast), ("lift_image", measured.lift_image[0], "")):
        reason = no_box if not len(edges) else needs or "no activation or no box within the breast"
        found.append(Measure(key, float(value), "" if np.isfinite(value) else reason))
    return (*found, *(Measure(f"share_{name}", float(share[0])) for name, share in measured.shares.items()))


@dataclass(frozen=True, slots=True, eq=False)
class HeatmapValues:
    """The values of a heatmap's pixels, sampled evenly: for a histogram, and to go from a level to a threshold.

    Parameters
    ----------
    values : (n,) float32, rising
    maximum : of the sampled heatmap
    """

    values: npt.NDArray[np.float32]
    maximum: float

    @property
    def zeros(self) -> float:
        """Share of pixels that are zero."""
        return float(np.searchsorted(self.values, 0.0, "right") / self.values.size)

    def histogram(self, bins: int = 60) -> tuple[Doubles, npt.NDArray[np.int64]]:
        """Edges (bins + 1,) and counts (bins,) of the pixels above zero."""
        above = self.values[np.searchsorted(self.values, 0.0, "right") :]
        counts, edges = np.histogram(above, bins, range=(0.0, self.maximum or 1.0))
        return edges, counts

    def threshold_at(self, level: float, kind: ThresholdKind) -> Threshold:
        """The threshold of a kind that comes (as nearly as the sample tells) to a level."""
        level = max(level, 0.0)
        if kind == "absolute":
            return Threshold(kind, level)
        if kind == "relative":
            return Threshold(kind, min(level / self.maximum, 1.0) if self.maximum else 0.0)
        return Threshold(kind, float(np.searchsorted(self.values, level, "right") / self.values.size))


def heatmap_values(cells: npt.ArrayLike, shape: tuple[int, int]) -> HeatmapValues:
    """Sample the upsampled heatmap of cells (H', W')."""
    coarse = (max(shape[0] // SAMPLED, 1), max(shape[1] // SAMPLED, 1))
    values = np.sort(upsample(cells, coarse), axis=None)
    return HeatmapValues(values, float(values[-1]))


def best_overlaps(
    maps: npt.NDArray[Any],
    shape: tuple[int, int],
    box: npt.ArrayLike,
    threshold: Threshold | str = DEFAULT_THRESHOLD,
    *,
    min_area: float = DEFAULT_MIN_AREA,
    progress: Report | None = None,
) -> Doubles:
    """Highest IoU that a found box of each latent has with one box, (L,) float64; 0 where none overlaps.

    Parameters
    ----------
    maps : (L, H', W') heatmaps
    box : (4,) in input edges
    progress : called with the number done and their total; may raise to cancel
    """
    edges = np.asarray(box, np.float64).reshape(1, 4)
    best = np.zeros(len(maps))
    for k, cells in enumerate(maps):
        found = find_regions(np.asarray(cells, np.float32), shape, threshold, min_area=min_area).boxes
        if len(found):
            best[k] = paired_iou(found, np.broadcast_to(edges, found.shape)).max()
        if progress is not None and k % 16 == 0:
            progress("Finding boxes", k, len(maps))
    return best

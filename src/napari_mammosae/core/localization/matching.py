"""Found boxes against annotated ones: overlap, one-to-one matching, average precision, FROC."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..stats.measures import ratios

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def box_area(boxes: npt.ArrayLike) -> Doubles:
    """Areas (n,) of boxes (n, 4); 0 for inverted ones."""
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.asarray(np.prod(np.maximum(edges[:, 2:] - edges[:, :2], 0.0), axis=1))


def paired_iou(first: npt.ArrayLike, second: npt.ArrayLike) -> Doubles:
    """Intersection over union of boxes pair by pair, (n,); 0 where both are empty."""
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=1)
    union = box_area(a) + box_area(b) - shared
    return ratios(shared, union, undefined=0.0)


def iou(first: npt.ArrayLike, second: npt.ArrayLike) -> Doubles:
    """Intersection over union of every box of the first list with every box of the second, (n, m)."""
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    pairs = np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))
    return paired_iou(*pairs).reshape(len(a), len(b))


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of each found box, and how well each annotated one was met.

    Parameters
    ----------
    box : (n,) int64, the annotated box of highest IoU on the same image (the first of equal ones); -1 where
        the image has none
    iou : (n,) float64, that IoU
    hit : (n,) bool, true positives: IoU at least the limit, and no more confident found box met the same box
    best_group, best_box, best_iou : (p,) highest IoU any found box of a group (latent) has with an
        annotated box, where it is above 0
    """

    box: Ints
    iou: Doubles
    hit: Bools
    best_group: Ints
    best_box: Ints
    best_iou: Doubles


def match(
    group: npt.ArrayLike,
    image: npt.ArrayLike,
    score: npt.ArrayLike,
    boxes: npt.ArrayLike,
    truth_image: npt.ArrayLike,
    truth_boxes: npt.ArrayLike,
    limit: float = 0.25,
) -> Matches:
    """Match found boxes to annotated ones, greedily and one to one, for many groups (latents) in one go.

    In each group found boxes are taken by falling confidence; equal ones by image, then falling IoU, then position
    (row_min, col_min, row_max, col_max). Each goes to the annotated box of its image with the highest IoU. It is a true
    positive if that IoU is at least `limit` and the box is not taken yet, else a false positive: as in PASCAL VOC it
    does not go on to the next best box.
    """
    groups, images = np.asarray(group, np.int64), np.asarray(image, np.int64)
    scores, found = np.asarray(score, np.float64), np.asarray(boxes, np.float64).reshape(-1, 4)
    truth, truth_at = np.asarray(truth_boxes, np.float64).reshape(-1, 4), np.asarray(truth_image, np.int64)
    by_image = np.argsort(truth_at, kind="stable")
    begin = np.searchsorted(truth_at[by_image], images, "left")
    count = np.searchsorted(truth_at[by_image], images, "right") - begin
    first = np.cumsum(count) - count  # of each found box among the pairs
    who = np.repeat(np.arange(images.size), count)
    pair_box = by_image[np.arange(who.size) - first[who] + begin[who]]
    pair_iou = paired_iou(found[who], truth[pair_box])

    best, best_iou = np.full(images.size, -1, np.int64), np.zeros(images.size)
    order = np.lexsort((pair_box, -pair_iou, who))
    some = np.flatnonzero(count)
    best[some] = pair_box[order[first[some]]]
    best_iou[some] = pair_iou[order[first[some]]]

    hit = np.zeros(images.size, bool)
    able = np.flatnonzero((best >= 0) & (best_iou >= limit) & (best_iou > 0))
    turn = np.lexsort((*found[able].T[::-1], -best_iou[able], images[able], -scores[able]))
    able = able[turn]
    hit[able[np.unique(groups[able] * max(len(truth), 1) + best[able], return_index=True)[1]]] = True

    overlapping = np.flatnonzero(pair_iou > 0)
    key = groups[who[overlapping]] * max(len(truth), 1) + pair_box[overlapping]
    order = np.lexsort((-pair_iou[overlapping], key))
    key, at = np.unique(key[order], return_index=True)
    return Matches(
        best, best_iou, hit, key // max(len(truth), 1), key % max(len(truth), 1), pair_iou[overlapping][order][at]
    )


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """Precision and recall at every distinct confidence, falling; found boxes of equal confidence count together."""

    score: Doubles
    recall: Doubles
    precision: Doubles

    @property
    def average_precision(self) -> float:
        """All-point interpolated area: at each recall the best precision at this or a higher recall."""
        if not self.recall.size:
            return 0.0
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float(np.diff(self.recall, prepend=0.0) @ envelope)


def precision_recall(score: npt.ArrayLike, hit: npt.ArrayLike, n_boxes: int) -> PrecisionRecall:
    """Curve of pooled found boxes (n,) against the number of annotated boxes, which must be above 0.

    Raises
    ------
    ValueError
        If there are no annotated boxes: recall is then undefined.
    """
    if n_boxes < 1:
        raise ValueError("precision and recall need at least one annotated box")
    scores, hits = np.asarray(score, np.float64), np.asarray(hit, bool)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    true = np.cumsum(hits[order])[last]
    return PrecisionRecall(scores[order][last], true / n_boxes, true / (last + 1.0))


def average_precision(score: npt.ArrayLike, hit: npt.ArrayLike, n_boxes: int) -> float:
    """Average precision of pooled found boxes, with equal confidences taken as one threshold.

    0 where nothing was found; with a constant confidence it is precision x recall.
    """
    return precision_recall(score, hit, n_boxes).average_precision


def weighted_average_precision(
    score: npt.ArrayLike, hit: npt.ArrayLike, image: npt.ArrayLike, weights: npt.ArrayLike, boxes: npt.ArrayLike
) -> Doubles:
    """Average precision of every resample, (b,) float64; NaN for one without annotated boxes.

    Parameters
    ----------
    score, hit, image
        (n,) confidence of each found box, whether it is a true positive, and its image as a column of `weights`.
    weights
        (b, images), how often each image was drawn.
    boxes
        (images,) annotated boxes of each image.
    """
    scores, hits, at = np.asarray(score, np.float64), np.asarray(hit, bool), np.asarray(image, np.int64)
    drawn = np.asarray(weights, np.float64)
    n_boxes = drawn @ np.asarray(boxes, np.float64)
    # Precision only falls between one confidence with a hit and the next: these confidences are enough.
    levels = np.unique(scores[hits])[::-1]
    if not levels.size:
        return np.where(n_boxes > 0, 0.0, np.nan)
    used, at = np.unique(at, return_inverse=True)  # most latents find boxes on few images
    drawn = drawn[:, used]
    level = np.searchsorted(-levels, -scores, "left")  # the first at which a found box counts
    counts = np.zeros((2, drawn.shape[1], levels.size + 1))
    np.add.at(counts[0], (at, level), 1.0)
    np.add.at(counts[1], (at[hits], level[hits]), 1.0)
    found, true = (drawn @ count for count in np.cumsum(counts, axis=2)[:, :, :-1])
    envelope = np.maximum.accumulate(ratios(true, found, undefined=0.0)[:, ::-1], axis=1)[:, ::-1]
    return ratios((np.diff(true, axis=1, prepend=0.0) * envelope).sum(axis=1), n_boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Froc:
    """Sensitivity against false positives per image without the finding, at every distinct confidence, falling."""

    score: Doubles
    sensitivity: Doubles
    false_positives: Doubles


def froc(
    score: npt.ArrayLike, hit: npt.ArrayLike, negative: npt.ArrayLike, n_boxes: int, n_negative_images: int
) -> Froc:
    """Free-response curve: hits among all annotated boxes, and boxes found on images without the finding.

    `negative` (n,) marks found boxes on images without the finding; false positives are counted on these alone,
    because what is found beside a lesion may be unannotated disease.

    Raises
    ------
    ValueError
        If there are no annotated boxes or no images without the finding.
    """
    if n_boxes < 1 or n_negative_images < 1:
        raise ValueError("a FROC curve needs an annotated box and an image without the finding")
    scores = np.asarray(score, np.float64)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    true, false = (np.cumsum(np.asarray(flag, bool)[order])[last] for flag in (hit, negative))
    return Froc(scores[order][last], true / n_boxes, false / n_negative_images)

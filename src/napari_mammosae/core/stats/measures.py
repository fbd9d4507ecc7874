"""How well scores tell two classes apart, and decisions match labels: exact with ties, in float64.

Everything else that measures uses these: bootstrap intervals are in `resampling`, reconstruction in
`reconstruction`, the same areas for every column of a sparse matrix in `sparse_metrics`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import SettingsError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class BinaryMeasures(NamedTuple):
    """Area under the ROC curve, average precision, and the four figures of the decision `logit >= 0`."""

    auroc: float
    auprc: float
    accuracy: float
    precision: float
    recall: float
    f1: float


class RankMeasures(NamedTuple):
    """The two areas alone, for scores that decide nothing."""

    auroc: float
    auprc: float


class MulticlassMeasures(NamedTuple):
    """Share of right decisions, and F1 averaged over the classes that occur."""

    accuracy: float
    macro_f1: float


def binary_labels(labels: ArrayLike) -> BoolArray:
    """Labels as booleans, True for the positive class.

    Raises
    ------
    SettingsError
        If a value is neither 0 nor 1; unknown labels (NaN) must have been left out before.
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise SettingsError(f"labels have shape {values.shape}; expected one value per image.")
    if values.dtype == np.bool_:
        return values
    numbers = values.astype(np.float64)
    if not np.isin(numbers, (0.0, 1.0)).all():
        other = numbers[~np.isin(numbers, (0.0, 1.0))][0]
        raise SettingsError(f"a binary label is 0 or 1, but {other:g} was found; leave out unknown labels.")
    return np.asarray(numbers == 1.0)


def finite_scores(scores: ArrayLike, count: int) -> FloatArray:
    """Scores as float64, one for each label; SettingsError on another length or a non-finite value."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (count,):
        raise SettingsError(f"{count} labels but scores of shape {values.shape}; they must go together.")
    if not np.isfinite(values).all():
        raise SettingsError("a score is not a finite number, so the images cannot be ranked.")
    return values


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    NaN where one of the two classes is missing.
    """
    positive = binary_labels(labels)
    values = finite_scores(scores, positive.size)
    return areas(np.sort(values[positive]), np.sort(values[~positive]))[0]


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision, equal scores taken as one threshold, so that the order of rows does not matter.

    NaN where there is no positive.
    """
    positive = binary_labels(labels)
    values = finite_scores(scores, positive.size)
    return areas(np.sort(values[positive]), np.sort(values[~positive]))[1]


def areas(positives: FloatArray, negatives: FloatArray) -> tuple[float, float]:
    """AUROC and average precision from the *sorted* scores of both classes.

    Both need only where each positive falls: among the negatives for the first, and the number of scores
    that are not lower for the second, which is the mean over positives of the precision at their own score.
    """
    if not positives.size:
        return float("nan"), float("nan")
    below = negatives.searchsorted(positives, "left")
    not_lower = positives.size - positives.searchsorted(positives, "left")
    precision = float((not_lower / (not_lower + negatives.size - below)).mean())
    if not negatives.size:
        return float("nan"), precision
    not_above = negatives.searchsorted(positives, "right")
    pairs = 2.0 * positives.size * negatives.size
    return float(int(below.sum()) + int(not_above.sum())) / pairs, precision


def ratios(part: ArrayLike, whole: ArrayLike, undefined: float = np.nan) -> FloatArray:
    """`part / whole` element by element, and `undefined` where the whole is not above 0."""
    above, below = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    out = np.full(above.shape, undefined)
    np.divide(above, below, out=out, where=below > 0)
    return out


def decision_measures(
    true_positive: float, false_positive: float, positives: float, negatives: float
) -> tuple[float, float, float, float]:
    """Accuracy, precision, recall and F1 from counts; 0/0 is 0."""
    right = true_positive + negatives - false_positive
    return (
        _ratio(right, positives + negatives),
        _ratio(true_positive, true_positive + false_positive),
        _ratio(true_positive, positives),
        _ratio(2.0 * true_positive, true_positive + false_positive + positives),
    )


def binary_measures(labels: ArrayLike, logits: ArrayLike) -> BinaryMeasures:
    """All measures of a two-class prediction given as logits; decided at p >= 0.5, that is logit >= 0."""
    positive = binary_labels(labels)
    values = finite_scores(logits, positive.size)
    return sorted_measures(np.sort(values[positive]), np.sort(values[~positive]))


def sorted_measures(positives: FloatArray, negatives: FloatArray, decision: float = 0.0) -> BinaryMeasures:
    """All two-class measures from the *sorted* scores of both classes, positive at `score >= decision`."""
    true_positive = positives.size - int(positives.searchsorted(decision, "left"))
    false_positive = negatives.size - int(negatives.searchsorted(decision, "left"))
    return BinaryMeasures(
        *areas(positives, negatives),
        *decision_measures(true_positive, false_positive, positives.size, negatives.size),
    )


def multiclass_measures(labels: ArrayLike, predicted: ArrayLike) -> MulticlassMeasures:
    """Accuracy and macro-F1 of class numbers; F1 is averaged over classes seen in labels or predictions."""
    truth, guess = np.asarray(labels).astype(np.int64), np.asarray(predicted).astype(np.int64)
    if truth.shape != guess.shape or truth.ndim != 1 or not truth.size:
        raise SettingsError(f"labels of shape {truth.shape} and predictions of {guess.shape} do not go together.")
    if min(truth.min(), guess.min()) < 0:
        raise SettingsError("class numbers must not be negative.")
    size = int(max(truth.max(), guess.max())) + 1
    return confusion_measures(np.bincount(truth * size + guess, minlength=size * size).reshape(size, size))


def confusion_measures(confusion: NDArray[np.int64] | FloatArray) -> MulticlassMeasures:
    """Accuracy and macro-F1 from counts `[label, prediction]`."""
    right = np.diagonal(confusion).astype(np.float64)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    seen = either > 0
    return MulticlassMeasures(
        _ratio(float(right.sum()), float(confusion.sum())), float((2.0 * right[seen] / either[seen]).mean())
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

"""From logits to decisions and measures, for one logit (two classes) or one a class (several)."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ..base.errors import SettingsError
from ..stats.bootstrap import too_few, too_few_of_class, weighted_measures
from ..stats.measures import (
    BinaryMeasures,
    FloatArray,
    MulticlassMeasures,
    RankMeasures,
    binary_labels,
    binary_measures,
    confusion_measures,
    multiclass_measures,
)
from ..stats.predictions import decisions

Measures: TypeAlias = BinaryMeasures | RankMeasures | MulticlassMeasures


def fields_of(n_logits: int, decides: bool = True) -> tuple[str, ...]:
    """Names of the measures of so many logits: without those of decisions where they decide nothing."""
    return (MulticlassMeasures if n_logits > 1 else BinaryMeasures if decides else RankMeasures)._fields


def measures_of(labels: ArrayLike, logits: FloatArray, decides: bool = True) -> Measures:
    """Measure logits (n, C) against labels (n,): 0/1 for one logit, class numbers for several."""
    if logits.shape[1] == 1:
        found = binary_measures(labels, logits[:, 0])
        return found if decides else RankMeasures(found.auroc, found.auprc)
    return multiclass_measures(labels, decisions(logits))


def measures_of_resamples(
    labels: ArrayLike, logits: FloatArray, weights: NDArray[np.int32], decides: bool = True
) -> dict[str, FloatArray]:
    """Measure every resample, weights (B, n), by name: (B,) each."""
    if logits.shape[1] == 1:
        found = weighted_measures(labels, logits[:, 0], weights)
        return {name: getattr(found, name) for name in fields_of(1, decides)}
    size = logits.shape[1]
    cell = np.asarray(labels).astype(np.int64) * size + decisions(logits)
    counts = weights @ (cell[:, None] == np.arange(size * size)).astype(np.int32)
    rows = [confusion_measures(one) for one in counts.reshape(-1, size, size).astype(np.int64)]
    return {name: np.array([getattr(row, name) for row in rows]) for name in MulticlassMeasures._fields}


def compat_scores(logits: FloatArray) -> tuple[NDArray[np.float32], int]:
    """Return float32 sigmoids as the published curves rank them, and how many distinct logits are lost in them.

    Above about 16.6 a float32 sigmoid is exactly 1, so that images of different logits tie.
    """
    scores = expit(logits.astype(np.float32))
    return scores, int(np.unique(logits).size - np.unique(scores).size)


def check_labels(labels: ArrayLike | None, n_logits: int) -> FloatArray:
    """Return labels that can be scored: known, whole, and of at least two classes.

    Raises
    ------
    SettingsError
        If there are none, only one class occurs, or a class number has no logit.
    """
    if labels is None:
        raise SettingsError("measures need labels, and these images have none.")
    values = np.asarray(labels, dtype=np.float64)
    if n_logits == 1:
        binary_labels(values)
    elif not np.isin(values, np.arange(n_logits)).all():
        raise SettingsError(f"a label is not a class number from 0 to {n_logits - 1}; are these labels of this model?")
    found = np.unique(values)
    if found.size < 2:
        what = f"all {values.size} images have class {found[0]:g}" if found.size else "there is no image"
        raise SettingsError(f"{what}; measures need images of two classes at least.")
    return values


def why_no_intervals(labels: FloatArray, patients: ArrayLike, n_logits: int) -> str:
    """Say why the measures of these images get no intervals, or return an empty string."""
    return too_few(labels, patients) if n_logits == 1 else too_few_of_class(labels, patients)

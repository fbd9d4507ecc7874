"""Intervals by patient: a bootstrap that draws patients, since a second view is no new evidence."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import SettingsError
from .measures import BinaryMeasures, BoolArray, FloatArray, binary_labels, finite_scores

RESAMPLES = 1_000
COVERAGE = 0.95
FEWEST = 5  # patients a class must have: with fewer, a percentile interval mostly shows how few there are


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % percentile interval, or two NaN and the reason why there is none."""

    lo: float
    hi: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class BinaryMeasuresArray:
    """The two-class measures of many resamples, each (resamples,) float64."""

    auroc: FloatArray
    auprc: FloatArray
    accuracy: FloatArray
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray

    def intervals(self, note: str = "") -> dict[str, Interval]:
        """One interval a measure, by its name; all blank with the reason where `note` gives one."""
        return {name: percentile_interval(getattr(self, name), note) for name in BinaryMeasures._fields}


def patient_weights(patients: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int32]:
    """How often each image is drawn in each resample, (resamples, n) int32.

    As many patients as there are are drawn with replacement; all images of a patient come along. Patients are
    taken in sorted order, so the result does not depend on the order of rows.
    """
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    draws = np.random.default_rng(seed).integers(0, names.size, (resamples, names.size))
    flat = (draws + np.arange(resamples)[:, None] * names.size).ravel()
    counts = np.bincount(flat, minlength=resamples * names.size).reshape(resamples, names.size)
    return counts.astype(np.int32)[:, patient]


def too_few(labels: ArrayLike, patients: ArrayLike) -> str:
    """Why no interval can be given for a two-class measure, or an empty string where one can."""
    positive = binary_labels(labels)
    return _too_few(patients, {"a positive image": positive, "a negative image": ~positive})


def too_few_of_class(labels: ArrayLike, patients: ArrayLike) -> str:
    """Why no interval can be given for a measure over several classes, as each one that occurs needs patients."""
    values = np.asarray(labels)
    return _too_few(patients, {f"an image of class {number:g}": values == number for number in np.unique(values)})


def _too_few(patients: ArrayLike, groups: Mapping[str, BoolArray]) -> str:
    names = np.asarray(patients)
    for what, rows in groups.items():
        if names.shape != rows.shape:
            raise SettingsError(f"{rows.size} labels but {names.size} patients; they must go together.")
        found = np.unique(names[rows]).size
        if found < FEWEST:
            return f"too few patients with {what} ({found}; at least {FEWEST} needed)"
    return ""


def percentile_interval(samples: ArrayLike, note: str = "") -> Interval:
    """Return the central 95 % of bootstrap values, without undefined ones (a resample without positives)."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[np.isfinite(values)]
    if note or not values.size:
        return Interval(float("nan"), float("nan"), note or "undefined in every resample")
    lo, hi = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(float(lo), float(hi))


def weighted_measures(labels: ArrayLike, logits: ArrayLike, weights: NDArray[np.int32]) -> BinaryMeasuresArray:
    """Measure every resample at once: an image drawn w times counts w times.

    Equal to measuring each resample on its own, ties included, but sorted only once.
    """
    positive = binary_labels(labels)
    values = finite_scores(logits, positive.size)
    rows_p, rows_n = (rows[np.argsort(values[rows])] for rows in (np.flatnonzero(positive), np.flatnonzero(~positive)))
    pos, neg = values[rows_p], values[rows_n]
    below, not_above = neg.searchsorted(pos, "left"), neg.searchsorted(pos, "right")
    lower = pos.searchsorted(pos, "left")
    wp = weights[:, rows_p].astype(np.float64)
    to_n, to_p = _running(weights[:, rows_n]), _running(weights[:, rows_p])
    total_p, total_n = to_p[:, -1], to_n[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        wins = (wp * (to_n[:, below] + to_n[:, not_above])).sum(axis=1)
        auroc = wins / (2.0 * total_p * total_n)
        not_lower = total_p[:, None] - to_p[:, lower]
        precision_at = not_lower / (not_lower + total_n[:, None] - to_n[:, below])
        auprc = np.where(wp > 0, wp * precision_at, 0.0).sum(axis=1) / total_p
    tp = total_p - to_p[:, pos.searchsorted(0.0, "left")]
    fp = total_n - to_n[:, neg.searchsorted(0.0, "left")]
    return BinaryMeasuresArray(
        auroc,
        auprc,
        _share(tp + total_n - fp, total_p + total_n),
        _share(tp, tp + fp),
        _share(tp, total_p),
        _share(2.0 * tp, tp + fp + total_p),
    )


def bootstrap_mean(values: ArrayLike, patients: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """95 % interval by patient of a mean over images."""
    numbers = np.asarray(values, dtype=np.float64)
    found = np.unique(np.asarray(patients)).size
    note = f"too few patients ({found}; at least {FEWEST} needed)" if found < FEWEST else ""
    weights = patient_weights(patients, resamples, seed)
    return percentile_interval(weights @ numbers / weights.sum(axis=1), note)


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Return the false discovery rate at which each test would be called; NaN are no tests and stay NaN."""
    p = np.asarray(p_values, dtype=np.float64)
    tests = np.flatnonzero(np.isfinite(p))
    falling = tests[np.argsort(-p[tests], kind="stable")]
    ranks = np.arange(falling.size, 0, -1)
    q = np.full(p.shape, np.nan)
    q[falling] = np.minimum(np.minimum.accumulate(p[falling] * falling.size / ranks), 1.0)
    return q


def _running(weights: NDArray[np.int32]) -> FloatArray:
    """Cumulative weight before each position, and in the last column the whole."""
    running = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=running[:, 1:])
    return running


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

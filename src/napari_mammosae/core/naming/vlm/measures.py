"""How well a name holds, in figures: each with its interval by patient, and a p-value against chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, mannwhitneyu

from ...stats.bootstrap import bootstrap_mean, patient_weights, percentile_interval, too_few, weighted_measures
from ...stats.measures import auroc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...stats.measures import BoolArray, FloatArray, IntArray

NULLS = ("shuffled", "majority", "text_only")
CHOICES = 5
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of a name.

    Attributes
    ----------
    value, lo, hi
        The figure and its 95 % interval; NaN where there is none.
    p
        Of doing no better than chance, or than another latent's name on the same images, whichever is larger.
    nulls
        What the same images give with the name of another latent (`shuffled`), with the commonest category as a name
        (`majority`), and without images (`text_only`).
    answered, asked
        Answers that count, and questions.
    others
        Further figures, by name.
    """

    value: float = NAN
    lo: float = NAN
    hi: float = NAN
    p: float = NAN
    nulls: Mapping[str, float] = field(default_factory=dict)
    answered: int = 0
    asked: int = 0
    others: Mapping[str, float] = field(default_factory=dict)


def score_detection(
    present: BoolArray, own: FloatArray, nulls: Mapping[str, FloatArray], patients: IntArray, seed: int = 0
) -> Score:
    """AUROC of the probabilities (n,) that images show a name, of those on which its latent fires against the others.

    NaN is no answer: such images are left out.
    """
    known = np.isfinite(own)
    labels, values, persons = present[known], own[known], patients[known]
    others = {name: _auroc(present, given) for name, given in nulls.items()}
    if not 0 < labels.sum() < labels.size:
        return Score(nulls=others, answered=int(known.sum()), asked=own.size)
    resampled = weighted_measures(labels, values, patient_weights(persons, seed=seed)).auroc
    interval = percentile_interval(resampled, too_few(labels, persons))
    p = 1.0
    if np.ptp(values) > 0:
        p = float(mannwhitneyu(values[labels], values[~labels], alternative="greater").pvalue)
    if "shuffled" in nulls:
        both = known & np.isfinite(nulls["shuffled"])
        p = max(p, _beaten_detection(present[both], own[both], nulls["shuffled"][both], patients[both], seed))
    return Score(auroc(labels, values), interval.lo, interval.hi, p, others, int(known.sum()), own.size)


def score_regions(own: FloatArray, nulls: Mapping[str, FloatArray], patients: IntArray, seed: int = 0) -> Score:
    """Balanced accuracy of telling a latent's own region from another one of the same image.

    Parameters
    ----------
    own, nulls
        (n, 2) probabilities that the region, and that the other one shows the name; half or more counts as yes.
    patients
        (n,).
    """
    right = _right(own)
    known = np.isfinite(right)
    others = {name: _mean(_right(given)) for name, given in nulls.items()}
    if not known.any():
        return Score(nulls=others, asked=own.size)
    interval = bootstrap_mean(right[known], patients[known], seed=seed)
    better, worse = int((right[known] == 1).sum()), int((right[known] == 0).sum())  # 0.5: both answered alike
    p = float(binomtest(better, better + worse, 0.5, "greater").pvalue) if better + worse else 1.0
    if "shuffled" in nulls:
        p = max(p, _beaten(right, _right(nulls["shuffled"]), patients, seed))
    return Score(_mean(right), interval.lo, interval.hi, p, others, 2 * int(known.sum()), own.size)


def score_ranks(own: FloatArray, nulls: Mapping[str, FloatArray], patients: IntArray, seed: int = 0) -> Score:
    """Share of images for which a name comes first among five, 0.2 by chance; `others` has `top2` (0.4) and `mrr`.

    Parameters
    ----------
    own, nulls
        (n,) places from 1 to 5, NaN for an answer that is not an order.
    patients
        (n,).
    """
    known = np.isfinite(own)
    others = {name: _mean(_first(given)) for name, given in nulls.items()}
    if not known.any():
        return Score(nulls=others, asked=own.size)
    first = _first(own)
    interval = bootstrap_mean(first[known], patients[known], seed=seed)
    p = float(binomtest(int(first[known].sum()), int(known.sum()), 1 / CHOICES, "greater").pvalue)
    for name in ("shuffled", "text_only"):
        if name in nulls:
            p = max(p, _beaten(first, _first(nulls[name]), patients, seed))
    more = {"top2": float((own[known] <= 2).mean()), "mrr": float((1 / own[known]).mean())}
    return Score(_mean(first), interval.lo, interval.hi, p, others, int(known.sum()), own.size, more)


def _auroc(present: BoolArray, values: FloatArray) -> float:
    known = np.isfinite(values)
    return auroc(present[known], values[known])


def _right(answers: FloatArray) -> FloatArray:
    """Per image the share of its two regions that were judged rightly; NaN where an answer is missing."""
    yes = np.where(np.isfinite(answers), answers >= 0.5, np.nan)
    return np.asarray((yes[:, 0] + 1 - yes[:, 1]) / 2)


def _first(places: FloatArray) -> FloatArray:
    return np.where(np.isfinite(places), places == 1, np.nan)


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else NAN


def _beaten(own: FloatArray, other: FloatArray, patients: IntArray, seed: int) -> float:
    """Share of the resamples of patients in which another name does as well on the images that both answered."""
    both = np.isfinite(own) & np.isfinite(other)
    if not both.any():
        return NAN
    weights = patient_weights(patients[both], seed=seed)
    gained = weights @ (own[both] - other[both])
    return float((1 + (gained <= 0).sum()) / (1 + gained.size))


def _beaten_detection(present: BoolArray, own: FloatArray, other: FloatArray, patients: IntArray, seed: int) -> float:
    if not 0 < present.sum() < present.size:
        return NAN
    weights = patient_weights(patients, seed=seed)
    with np.errstate(invalid="ignore"):
        gained = weighted_measures(present, own, weights).auroc - weighted_measures(present, other, weights).auroc
    gained = gained[np.isfinite(gained)]
    return float((1 + (gained <= 0).sum()) / (1 + gained.size))

"""Intervals of AUROCs by DeLong's method, clustered by patient (Obuchowski 1997)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtri

from .correlation import known_together

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..stats.measures import FloatArray, IntArray

_Z = float(ndtri(0.975))


def auroc_intervals(values: FloatArray, concepts: FloatArray, patients: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return both ends (U, C) of the 95 % interval of the AUROC of every unit (n, U) for every concept (n, C).

    The interval is symmetric on the logit scale; there is none (NaN) where the AUROC is 0 or 1, or where fewer than two
    patients have images with, or without, the concept.
    """
    shape = (values.shape[1], concepts.shape[1])
    area, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    person = np.unique(np.asarray(patients), return_inverse=True)[1]
    for rows, columns in known_together(concepts):
        rows = rows[np.argsort(person[rows], kind="stable")]
        starts = np.flatnonzero(np.r_[True, person[rows][1:] != person[rows][:-1]])
        x, y = values[rows], concepts[np.ix_(rows, columns)]
        for unit in range(shape[0]):
            area[unit, columns], variance[unit, columns] = _delong(x[:, unit], y, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = _Z * np.sqrt(variance) / (area * (1 - area))
        lo, hi = expit(logit(area) - reach), expit(logit(area) + reach)
    undefined = ~np.isfinite(reach)
    return np.where(undefined, np.nan, lo), np.where(undefined, np.nan, hi)


def _delong(x: FloatArray, y: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
    """AUROC and its variance for the columns of y; rows are sorted by patient, each from one of `starts` on."""
    n, order = len(x), np.argsort(x, kind="stable")
    first = np.flatnonzero(np.r_[True, x[order][1:] != x[order][:-1]])
    last = np.r_[first[1:], n]
    tie = np.repeat(np.arange(first.size), last - first)
    ones = np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(y[order], axis=0)])
    n1 = ones[-1]
    n0 = n - n1
    positives = ones[last] - ones[first]
    below = first[:, None] - ones[first] + 0.5 * ((last - first)[:, None] - positives)
    above = n1 - ones[last] + 0.5 * positives
    with np.errstate(divide="ignore", invalid="ignore"):
        # how often an image is on the right side of those of the other class: an AUROC of its own
        own = np.empty_like(y)
        own[order] = np.where(y[order] == 1, (below / n0)[tie], (above / n1)[tie])
        area = (own * y).sum(axis=0) / n1
        off = own - area
        with_it = np.add.reduceat(off * y, starts, axis=0)
        without = np.add.reduceat(off * (1 - y), starts, axis=0)
        has = np.add.reduceat(y, starts, axis=0)
        lacks = np.diff(np.r_[starts, n])[:, None] - has
        p1, p0, p = (has > 0).sum(axis=0), (lacks > 0).sum(axis=0), starts.size
        variance = (
            p1 / (p1 - 1) * np.square(with_it).sum(axis=0) / n1**2
            + p0 / (p0 - 1) * np.square(without).sum(axis=0) / n0**2
            + 2 * p / (p - 1) * (with_it * without).sum(axis=0) / (n1 * n0)
        )
    return area, variance

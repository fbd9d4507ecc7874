"""How units go with concepts: Pearson's r, phi, AUROC, and how large they could be at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..stats.measures import BoolArray, FloatArray, IntArray

ROUNDING = 1e-12
_BATCH = 300  # columns of permuted labels at a time: 10 MB for 4,000 images


@dataclass(frozen=True, slots=True, eq=False)
class Correlations:
    """Of U units with C concepts; all (U, C) float64, NaN where one of the two does not vary.

    Attributes
    ----------
    r
        Pearson's.
    r_max
        The r of the same sign that is largest in size: that of the same activations, given to the best images.
    phi, phi_max
        The same of whether the unit is above zero, and its bound from the two shares.
    auroc
        Ties count one half.
    """

    r: FloatArray
    r_max: FloatArray
    phi: FloatArray
    phi_max: FloatArray
    auroc: FloatArray


def correlate(values: FloatArray, concepts: FloatArray) -> Correlations:
    """Correlate units (n, U) with concepts (n, C) of 0 and 1, over the images of which each concept is known."""
    shape = (values.shape[1], concepts.shape[1])
    out = Correlations(*(np.full(shape, np.nan) for _ in range(5)))
    for rows, columns in known_together(concepts):
        x, y = values[rows], concepts[np.ix_(rows, columns)]
        positives = y.sum(axis=0).astype(np.int64)
        out.r[:, columns] = pearson(x, y)
        out.r_max[:, columns] = _largest(x, positives, out.r[:, columns])
        out.phi[:, columns] = pearson((x > 0).astype(np.float64), y)
        out.phi_max[:, columns] = phi_bound((x > 0).mean(axis=0)[:, None], positives / len(x), out.phi[:, columns])
        out.auroc[:, columns] = aurocs(x, y)
    return out


def known_together(concepts: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the rows and columns of concepts that are known of the same images."""
    unknown = np.isnan(concepts)
    patterns, which = np.unique(unknown, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        yield np.flatnonzero(~patterns[:, number]), np.flatnonzero(which.ravel() == number)


def standardised(values: FloatArray) -> FloatArray:
    """Return columns of mean 0 and length 1; NaN where a column does not vary."""
    centred = values - values.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    flat = length <= ROUNDING * np.sqrt(len(values)) * np.abs(values).max(axis=0, initial=0.0)
    return np.asarray(centred / np.where(flat, np.nan, length))


def pearson(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return Pearson's r of every column of (n, U) with every column of (n, C)."""
    r = np.clip(standardised(x).T @ standardised(y), -1.0, 1.0)
    return np.where(np.abs(r) < ROUNDING, 0.0, r)


def aurocs(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the AUROC (U, C) of every column of (n, U) for every column of 0 and 1, ties counting one half."""
    positives = y.sum(axis=0)
    u = rankdata(x, axis=0).T @ y - positives * (positives + 1) / 2
    pairs = positives * (len(y) - positives)
    return np.asarray(np.divide(u, pairs, out=np.full(u.shape, np.nan), where=pairs > 0))


def phi_bound(firing: FloatArray, prevalence: FloatArray, phi: FloatArray) -> FloatArray:
    """Return the largest phi of the same sign for a firing rate and a prevalence.

    >>> phi_bound(np.array([0.3]), np.array([0.02]), np.array([0.1])).round(3).tolist()
    [0.218]
    """
    q, p = np.broadcast_arrays(firing, prevalence)
    q = np.where(phi < 0, 1 - q, q)  # a negative phi is a positive one with silence
    low, high = np.minimum(p, q), np.maximum(p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.sqrt(low * (1 - high) / (high * (1 - low)))
    return np.where(np.isnan(phi), np.nan, np.where(phi < 0, -bound, bound))


def _largest(x: FloatArray, positives: IntArray, r: FloatArray) -> FloatArray:
    n = len(x)
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(np.sort(x - x.mean(axis=0), axis=0), axis=0)])
    length = np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=0))[:, None] * np.sqrt(positives * (n - positives) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        highest = (sums[n] - sums[n - positives]).T / length
        lowest = sums[positives].T / length
    return np.where(np.isnan(r), np.nan, np.clip(np.where(r < 0, lowest, highest), -1.0, 1.0))


@dataclass(slots=True, eq=False)
class Chance:
    """What permutations of the labels give.

    Attributes
    ----------
    maxima
        (B,) largest |r| of all tested units and concepts in each.
    p
        (U, C): the share of permutations, with the data as one of them, whose |r| is at least that of the data; where
        none is, the two-sided tail of a normal distribution of the permutations' mean and spread, if that is smaller.
    """

    maxima: FloatArray
    p: FloatArray


def correlate_by_chance(
    values: FloatArray, concepts: FloatArray, rows: IntArray, r: FloatArray, tested: BoolArray
) -> Chance:
    """Correlate units (n, U) with concepts (n, C) whose labels are taken from other images.

    Parameters
    ----------
    values, concepts
        As `correlate` takes them; unknown labels move along.
    rows
        (B, n), see `Permutations`.
    r
        (U, C) of the data.
    tested
        (U,) units that count for the maxima.
    """
    count, concept_count = len(rows), concepts.shape[1]
    above, total, squares = (np.zeros(r.shape) for _ in range(3))
    maxima = np.zeros(count)
    whole = ~np.isnan(concepts).any(axis=0)
    z = standardised(values)
    x = np.nan_to_num(z)
    y, partial = standardised(concepts[:, whole]), concepts[:, ~whole]
    limit = np.abs(r) * (1 - ROUNDING)
    batch = max(1, _BATCH // max(concept_count, 1))
    for start in range(0, count, batch):
        drawn = rows[start : start + batch]
        found = np.empty((len(drawn), *r.shape))
        found[:, :, whole] = _products(z, y[drawn])
        found[:, :, ~whole] = _partly_known(x, partial[drawn])
        size = np.abs(found)
        maxima[start : start + batch] = np.nan_to_num(size[:, tested]).max(axis=(1, 2), initial=0.0)
        above += (size >= limit).sum(axis=0)
        total += found.sum(axis=0)
        squares += np.square(found).sum(axis=0)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = 2.0 * ndtr(-np.abs(r - mean) / spread)
    p = (1.0 + above) / (count + 1.0)
    return Chance(maxima, np.where(np.isnan(r), np.nan, np.where(above == 0, np.fmin(tail, p), p)))


def _products(x: FloatArray, drawn: FloatArray) -> FloatArray:
    """Sums over the images of units (n, U) times columns (b, n, C): (b, U, C)."""
    b, n, c = drawn.shape
    y = drawn.transpose(1, 0, 2).reshape(n, b * c)
    return np.asarray((x.T @ y).reshape(x.shape[1], b, c).transpose(1, 0, 2))


def _partly_known(x: FloatArray, drawn: FloatArray) -> FloatArray:
    """Correlate with labels (b, n, C) of which some are unknown, from sums over those that are known."""
    known = ~np.isnan(drawn)
    y = np.nan_to_num(drawn)
    count, ones = (rows.sum(axis=1, dtype=np.float64)[:, None] for rows in (known, y))
    sums, squares = (_products(columns, known.astype(np.float64)) for columns in (x, np.square(x)))
    top = count * _products(x, y) - sums * ones
    below = (count * squares - sums**2) * (count * ones - ones**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > ROUNDING * count**2, top / np.sqrt(below), np.nan)

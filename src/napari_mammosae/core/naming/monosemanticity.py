"""Whether the images that activate a unit look alike: monosemanticity, clarity and redundancy, from embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..ranking.neighbours import top_images

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..stats.measures import FloatArray

TOP_IMAGES = 20  # of as many patients


def unit_rows(embeddings: ArrayLike) -> FloatArray:
    """Return embeddings (n, d) of length 1; a row of zeros stays."""
    rows = np.asarray(embeddings, np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))


def monosemanticity(values: FloatArray, embeddings: FloatArray, patients: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the monosemanticity of every unit and what it would be by chance, (U,) each.

    It is the mean cosine of pairs of images, each pair weighted by both activations, which are scaled to reach from 0
    to 1. By chance, with whole patients exchanged, pairs of one patient have the mean cosine of all such pairs, and
    pairs of two patients that of all others. NaN where fewer than two images activate a unit.

    Parameters
    ----------
    values
        (n, U).
    embeddings
        (n, d), rows of length 1.
    patients
        (n,).
    """
    low, high = values.min(axis=0), values.max(axis=0)
    a = (values - low) / np.where(high > low, high - low, np.nan)
    person = np.unique(np.asarray(patients), return_inverse=True)[1]
    own = np.square(a).sum(axis=0)
    pairs = np.square(a.sum(axis=0)) - own
    within = np.square(_summed(a, person)).sum(axis=0) - own
    length = np.square(embeddings).sum(axis=1)
    alike = np.square(embeddings.T @ a).sum(axis=0) - length @ np.square(a)
    cosines_within = np.square(_summed(embeddings, person)).sum() - length.sum()
    cosines = np.square(embeddings.sum(axis=0)).sum() - length.sum()
    sizes = np.bincount(person).astype(np.float64)
    pairs_within, n = (sizes * (sizes - 1)).sum(), float(len(values))
    others = n * (n - 1) - pairs_within
    mean_within = cosines_within / pairs_within if pairs_within else 0.0
    mean_between = (cosines - cosines_within) / others if others else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        defined = np.where(pairs > 1e-12 * own, pairs, np.nan)
        return alike / defined, (within * mean_within + (pairs - within) * mean_between) / defined


def clarity_and_redundancy(
    values: FloatArray, embeddings: FloatArray, patients: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return how alike the images that activate each unit most are, and how like those of another unit, (U,) each.

    Clarity is the mean cosine of pairs among the 20 images, one a patient. Redundancy is the largest cosine of their
    mean embedding with that of another unit. NaN where fewer than two images activate a unit.
    """
    count = values.shape[1]
    clarity, centres = np.full(count, np.nan), np.full((count, embeddings.shape[1]), np.nan)
    persons = np.asarray(patients)
    for unit in range(count):
        top = embeddings[top_images(values[:, unit], persons, TOP_IMAGES)]
        n = len(top)
        if n > 1:
            whole = top.sum(axis=0)
            clarity[unit] = (whole @ whole - n) / (n * (n - 1))
            centres[unit] = whole
    defined = np.flatnonzero(~np.isnan(clarity))
    redundancy = np.full(count, np.nan)
    if defined.size > 1:
        centre = unit_rows(centres[defined])
        cosines = centre @ centre.T
        np.fill_diagonal(cosines, -np.inf)
        redundancy[defined] = cosines.max(axis=1)
    return clarity, redundancy


def _summed(rows: FloatArray, person: np.ndarray) -> FloatArray:
    """Sums over the rows of each person."""
    order = np.argsort(person, kind="stable")
    starts = np.flatnonzero(np.r_[True, person[order][1:] != person[order][:-1]])
    return np.add.reduceat(rows[order], starts, axis=0)

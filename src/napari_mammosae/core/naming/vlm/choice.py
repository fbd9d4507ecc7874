"""Which images a latent is named from, and on which others its name is tested: never those of the same patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...ranking.neighbours import top_images

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...stats.measures import BoolArray, FloatArray, IntArray

CANDIDATES = 20
"""A latent is named from some of so many images that activate it most."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Images that a name is tested on, one a patient.

    Attributes
    ----------
    positives, negatives
        Rows on which the latent fires, from weak to strong, and rows on which it is silent.
    hard
        How many of the negatives activate its nearest latents; they come first.
    """

    positives: IntArray
    negatives: IntArray
    hard: int


def split_patients(patients: FloatArray | IntArray, seed: int = 0) -> BoolArray:
    """Return the rows (n,) that latents are named from: those of half of the patients, drawn at random."""
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    chosen = np.random.default_rng(seed).permutation(names.size) < (names.size + 1) // 2
    return np.asarray(chosen[patient])


def diverse_images(codes: csr_array, values: FloatArray, patients: IntArray, count: int, first: int = 0) -> IntArray:
    """Return rows that activate a latent strongly and differ from each other, one a patient.

    Parameters
    ----------
    codes
        (n, h) pooled values of all latents, whose cosines say how alike two images are.
    values
        (n,) of the latent; 0 where an image must not be chosen.
    patients
        (n,).
    count
        At most so many.
    first
        Which of the strongest images the choice begins with: another one gives another draw.
    """
    candidates = top_images(values, patients, CANDIDATES)
    if not candidates.size:
        return candidates
    vectors = codes[candidates].toarray()
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    distance = 1 - vectors @ vectors.T
    chosen = [first % candidates.size]
    while len(chosen) < min(count, candidates.size):
        nearest = distance[:, chosen].min(axis=1)
        nearest[chosen] = -np.inf
        chosen.append(int(nearest.argmax()))
    return np.asarray(candidates[chosen])


def look_alikes(
    codes: csr_array, chosen: IntArray, values: FloatArray, allowed: BoolArray, patients: IntArray, count: int
) -> IntArray:
    """Return rows on which a latent is silent and that are most like those chosen for it, one a patient."""
    rows = np.flatnonzero(allowed & (values == 0) & ~np.isin(patients, patients[chosen]))
    if not rows.size or not chosen.size:
        return rows[:0]
    vectors = codes[chosen].toarray()
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    others = codes[rows]
    lengths = np.sqrt(np.asarray(others.multiply(others).sum(axis=1)).ravel())
    likeness = others @ vectors.mean(axis=0) / np.maximum(lengths, 1e-300)
    order = rows[np.argsort(-likeness, kind="stable")]
    return np.asarray(order[np.sort(np.unique(patients[order], return_index=True)[1])][:count])


def held_out_images(
    values: FloatArray, near: BoolArray, allowed: BoolArray, patients: IntArray, count: int, seed: int = 0
) -> HeldOut:
    """Draw the images that the name of a latent is tested on.

    Parameters
    ----------
    values
        (n,) activations of the latent.
    near
        (n,) whether any of the nearest latents fires.
    allowed
        (n,) rows of the patients who are held out.
    patients
        (n,).
    count
        Positives, and negatives, at most; half of the negatives are hard, as far as there are such.
    seed
        Of the draw.

    Returns
    -------
    HeldOut
        No patient occurs twice, so that every image is new evidence. Positives are spread evenly over the ranks of
        their activation.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(allowed))
    fires, persons = values[rows] > 0, patients[rows]
    both = np.intersect1d(persons[fires], persons[~fires])
    free = np.unique(persons).size // 2
    # those who can only be a negative come first, so that enough patients are left for the positives
    order = np.argsort(np.isin(persons, both) + 0.5 * ~near[rows], kind="stable")
    silent = [row for row in rows[order] if values[row] <= 0]
    hard = _one_each([row for row in silent if near[row]], patients, set(), min(count // 2, free // 2))
    taken = {patients[row] for row in hard}
    easy = _one_each([row for row in silent if not near[row]], patients, taken, min(count, free) - len(hard))
    taken |= {patients[row] for row in easy}
    if len(hard) + len(easy) < min(count, free):
        more = _one_each(
            [row for row in silent if near[row]], patients, taken, min(count, free) - len(hard) - len(easy)
        )
        hard, taken = [*hard, *more], taken | {patients[row] for row in more}
    firing = np.array(_one_each([row for row in rows if values[row] > 0], patients, taken, len(rows)), np.int64)
    firing = firing[np.argsort(values[firing], kind="stable")]
    places = np.unique(np.linspace(0, firing.size - 1, min(count, firing.size)).round().astype(int))
    return HeldOut(firing[places], np.array([*hard, *easy], np.int64), len(hard))


def _one_each(rows: list[int], patients: IntArray, taken: set[int], count: int) -> list[int]:
    """Return the first rows of patients who are not taken, one each, at most `count`."""
    found: dict[int, int] = {}
    for row in rows:
        if len(found) >= count:
            break
        if patients[row] not in taken:
            found.setdefault(int(patients[row]), int(row))
    return list(found.values())

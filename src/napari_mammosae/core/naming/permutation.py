"""What chance gives: labels moved from patient to patient, all images of a patient together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..base.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..stats.measures import FloatArray, IntArray

PermuteBy = Literal["patient", "image"]
LEVEL = 0.05
"""Of the test: the share of data sets without any true latent in which one may be accepted."""
FEWEST = 20
"""Permutations; with fewer nothing can be accepted at this level."""


@dataclass(frozen=True, slots=True, eq=False)
class Permutations:
    """Where each image takes its labels from.

    Attributes
    ----------
    rows
        int64 (B, n): in permutation b image i has the labels of image ``rows[b, i]``.
    alone
        Patients with a number of images that no other patient has; their labels stay with them.
    """

    rows: IntArray
    alone: int = 0


def permute_patients(
    patients: ArrayLike, names: ArrayLike, count: int = 200, seed: int = 0, by: PermuteBy = "patient"
) -> Permutations:
    """Draw permutations that move the labels of whole patients.

    Labels go from one patient to another with as many images, image by image in the order of `names`. Within the
    patient they are moved so that what belongs together stays so: with four images in the order left CC, left MLO,
    right CC, right MLO, sides are exchanged, or views, or both; with another number of images they are turned round.
    Otherwise no permutation would ever change what the first image of every patient has in common, such as its view.

    Parameters
    ----------
    patients, names
        (n,) each; a name says which image of its patient it is and is unique. They decide, not the order of the images.
    count, seed
        How many permutations, and the seed.
    by
        "image" takes every image as a patient of its own, which is wrong where patients have several.

    Raises
    ------
    SettingsError
        Too few permutations are asked for, or patients and names are not one an image.
    """
    person, name = np.asarray(patients), np.asarray(names)
    if person.shape != name.shape or person.ndim != 1:
        raise SettingsError(f"{person.size} patients and {name.size} names; expected one of each an image.")
    if count < FEWEST:
        raise SettingsError(f"{count} permutations; at least {FEWEST} are needed to accept anything.")
    if by == "image":
        person = np.arange(name.size)[np.argsort(np.argsort(name, kind="stable"))]
    rng = np.random.default_rng(seed)
    order = np.lexsort((name, person))
    starts = np.flatnonzero(np.r_[True, person[order][1:] != person[order][:-1]])
    sizes = np.diff(np.r_[starts, person.size])
    rows = np.empty((count, person.size), np.int64)
    alone = 0
    for size in np.unique(sizes):
        images = order[starts[sizes == size][:, None] + np.arange(size)]
        alone += len(images) == 1 < len(sizes)
        givers = rng.permuted(np.tile(np.arange(len(images)), (count, 1)), axis=1)
        turns = rng.integers(0, size, (count, len(images), 1))
        place = np.arange(size)
        inner = place ^ turns if size & (size - 1) == 0 else (place + turns) % size
        rows[:, images] = images[givers[:, :, None], inner]
    return Permutations(rows, alone)


def threshold_of(maxima: FloatArray) -> float:
    """Return what the largest |r| of a data set exceeds by chance in 5 % of cases; infinite where B is too small."""
    place = int(np.ceil((1 - LEVEL) * (maxima.size + 1))) - 1
    return float(np.sort(maxima)[place]) if place < maxima.size else float("inf")


def family_p(values: FloatArray, maxima: FloatArray) -> FloatArray:
    """Return the share of permutations, with the data as one of them, whose largest |r| is at least each value."""
    at_least = maxima.size - np.searchsorted(np.sort(maxima), np.abs(values), side="left")
    return np.where(np.isnan(values), np.nan, (1.0 + at_least) / (maxima.size + 1.0))

"""Labels of images as columns of 0 and 1: findings, densities, categories, and what says nothing of the breast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..annotations.positives import positive_of
from ..base.names import slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from ..stats.measures import BoolArray, FloatArray, IntArray

CONFOUNDERS = frozenset(
    {
        *("view", "view_position", "laterality", "image_laterality", "side", "marker", "view_marker", "device_tag"),
        *("vendor", "manufacturer", "manufacturers_model_name", "manufacturer_model_name", "model", "model_name"),
        *("machine", "scanner", "device", "device_model", "site", "hospital", "year", "study_year"),
    }
)
"""Slugs of labels that say how an image was taken, and nothing of what is in the breast."""

FEWEST_IMAGES = 10
FEWEST_PATIENTS = 5
"""With and without a concept, each; with fewer its correlations show little but how few there are."""
MOST_VALUES = 20  # a label of more is a measurement, not a category


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """What is known of n images, one column of 0 and 1 a concept.

    Attributes
    ----------
    names
        C of them: ``mass``, ``density d``, ``view MLO``.
    labels
        The label that each belongs to: ``density`` for ``density d``.
    values
        float64 (n, C), NaN where unknown.
    confounders
        The labels that say nothing of the breast.
    left_out
        Label or concept -> why it is not among them.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    values: FloatArray
    confounders: frozenset[str] = frozenset()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[str, ...]:
        """The labels, each once, in order."""
        return tuple(dict.fromkeys(self.labels))

    @property
    def group(self) -> IntArray:
        """(C,) place of each concept's label among `groups`."""
        places = {name: place for place, name in enumerate(self.groups)}
        return np.array([places[name] for name in self.labels], np.int64)

    def is_confounder(self, concept: int) -> bool:
        """Whether a concept says nothing of the breast."""
        return self.labels[concept] in self.confounders

    def named(self, name: str) -> int | None:
        """Return the concept of a slug, such as that of a model's class; None where there is none."""
        return next((place for place, own in enumerate(self.names) if slug(own) == name), None)


def make_concepts(
    labels: Mapping[str, ArrayLike],
    patients: ArrayLike,
    categories: Mapping[str, Sequence[str]] | None = None,
    confounders: Iterable[str] = (),
    fewest: int = FEWEST_IMAGES,
) -> Concepts:
    """Make columns of 0 and 1 from labels, leaving out those that too few images have.

    A label of two values is one concept, its higher value; one of more is a concept a value, each against the rest.

    Parameters
    ----------
    labels
        Name -> (n,) numbers, NaN where unknown.
    patients
        (n,), one of each image.
    categories
        What the numbers 0, 1, ... of a label stand for.
    confounders
        Labels that say nothing of the breast, beside `CONFOUNDERS`.
    fewest
        Images with and without a concept, each, that it must have; of five patients, or of as many if that is less.
    """
    names: list[str] = []
    owners: list[str] = []
    columns: list[FloatArray] = []
    left_out: dict[str, str] = {}
    persons = np.unique(np.asarray(patients), return_inverse=True)[1]
    for label, given in labels.items():
        values = np.asarray(given, np.float64)
        known = ~np.isnan(values)
        found = np.unique(values[known])
        if found.size < 2:
            left_out[label] = "one value only" if found.size else "unknown of every image"
            continue
        if found.size > MOST_VALUES:
            left_out[label] = f"{found.size} values, more than {MOST_VALUES}: not a category"
            continue
        texts = tuple((categories or {}).get(label, ()))
        chosen = found[1:] if found.size == 2 else found
        if found.size == 2 and texts and positive_of(texts) == found[0]:
            chosen = found[:1]
        for value in chosen:
            name = _name(label, value, found, texts)
            column = np.where(known, values == value, np.nan)
            if reason := _too_few(column, persons, fewest):
                left_out[name] = reason
                continue
            names.append(name)
            owners.append(label)
            columns.append(column)
    every = CONFOUNDERS | {slug(name) for name in confounders}
    return Concepts(
        tuple(names),
        tuple(owners),
        np.stack(columns, axis=1) if columns else np.empty((persons.size, 0)),
        frozenset(name for name in owners if slug(name) in every),
        left_out,
    )


def _name(label: str, value: float, found: FloatArray, texts: Sequence[str]) -> str:
    number = int(value) if value == int(value) else value
    if texts and number in range(len(texts)):
        return f"{label} {texts[int(number)]}"
    return label if set(found) == {0.0, 1.0} else f"{label} {number}"


def _too_few(column: FloatArray, persons: IntArray, fewest: int) -> str:
    people_needed = min(fewest, FEWEST_PATIENTS)
    groups: dict[str, BoolArray] = {"with": column == 1, "without": column == 0}
    for word, rows in groups.items():
        images, people = int(rows.sum()), np.unique(persons[rows]).size
        if images < fewest or people < people_needed:
            return f"{images} images of {people} patients {word} it; at least {fewest} of {people_needed} needed"
    return ""

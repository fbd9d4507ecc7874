"""Labels of a run and the model's logits: which logit speaks for a class of a label, which images count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ..base.errors import SettingsError
from ..base.names import slug
from ..stats.predictions import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ..stats.measures import BoolArray, FloatArray, IntArray
    from .run import Run

Unit = Literal["image", "row"]
UNNAMED = "finding"
"""The class of a single logit that was never named; it is scored against any label of two classes."""


class Predictor(Protocol):
    """What a prediction stands for: a model, its facts alone, or the run that was made with it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Slugs of the logits."""
        ...

    @property
    def task(self) -> str:
        """How logits become probabilities: "binary", "multilabel" or "multiclass"."""
        ...


@dataclass(frozen=True, slots=True)
class ClassLogit:
    """The logit that speaks for a class of a label, and its sign: -1 where it speaks for the other class."""

    logit: int
    sign: Literal[1, -1] = 1


def logit_of(predictor: Predictor, label: str, number: int, categories: Sequence[str] = ()) -> ClassLogit:
    """Find the logit that speaks for a class of a label: the one rule for every command, dock and function.

    A class named `<label>_<category>` or `<category>` speaks for that category. Without categories the classes
    `<label>_...` of a multiclass model speak for the class numbers in their order. A class named as the label speaks
    for class 1 and, being a logit of its own, with the other sign for class 0; so does the only logit of a model whose
    class is the unnamed `finding`.

    Parameters
    ----------
    predictor
        A model or a run.
    label, number
        The label, and the number of its class.
    categories
        Names of the label's classes, by number; empty for a label that is 0 or 1, or a number.

    Raises
    ------
    SettingsError
        No logit speaks for the class; the message says why.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(classes=("mass", "density_a", "density_b"), task="multilabel")
    >>> logit_of(model, "mass", 0)
    ClassLogit(logit=0, sign=-1)
    >>> logit_of(model, "density", 1, ["a", "b"])
    ClassLogit(logit=2, sign=1)
    """
    named = _named(predictor, label, categories)
    if named:
        if 0 <= number < len(named) and (place := named[number]) is not None:
            return ClassLogit(place)
        name = f" ({categories[number]})" if 0 <= number < len(categories) else ""
        raise SettingsError(
            f"no logit speaks for class {number}{name} of {label!r}; the model predicts {', '.join(predictor.classes)}."
        )
    heads = _heads(predictor)
    for start, classes, task in heads:
        unnamed = len(heads) == 1 and classes == (UNNAMED,) and not categories
        if (label in classes and len(categories) <= 2) or unnamed:
            place = start + (classes.index(label) if label in classes else 0)
            if number == 1:
                return ClassLogit(place)
            if number == 0 and task != "multiclass":
                return ClassLogit(place, -1)
            raise SettingsError(f"the model has one logit for {label!r}, which says nothing about class {number}.")
    raise SettingsError(
        f"the model predicts {', '.join(predictor.classes) or 'nothing'}, which cannot be scored against the label "
        f"{label!r}."
    )


def _heads(predictor: Predictor) -> list[tuple[int, tuple[str, ...], str]]:
    """First logit, classes and task of each head; a run, and a model of one head, is a head of its own."""
    heads = getattr(predictor, "heads", ()) or (predictor,)
    starts = np.cumsum([0, *(len(head.classes) for head in heads)])
    return [(int(start), tuple(head.classes), head.task) for start, head in zip(starts, heads, strict=False)]


def _named(predictor: Predictor, label: str, categories: Sequence[str]) -> list[int | None]:
    """Logit of each class number of a label whose classes a head names one by one; empty where none does."""
    slugs = [slug(str(name)) for name in categories]
    for start, classes, task in _heads(predictor):
        places = {name: start + place for place, name in enumerate(classes)}
        found = [places.get(f"{label}_{name}", places.get(name)) for name in slugs]
        if any(place is not None for place in found):
            return found
        if not slugs and task == "multiclass" and all(name.startswith(f"{label}_") for name in places):
            return list(places.values())
    return []


def logits_of_label(run: Run, label: str) -> list[int]:
    """Return which logits are scored against a label: one for a label of two classes, else one a class, in order.

    Logits of a multiclass model that stand for none of the label's classes come last: they can win, wrongly.

    Raises
    ------
    RunError
        The run has no such label.
    SettingsError
        The model predicts something else, or not every class of the label.
    """
    numbers = [number for number, _ in classes_of(run, label)]
    categories = categories_of(run, label)
    if named := _named(run, label, categories):
        count = max(numbers, default=0) + 1 if None in named else len(named)
        logits = [logit_of(run, label, number, categories).logit for number in range(count)]
        rest = range(len(run.classes)) if run.task == "multiclass" else ()
        return [*logits, *(place for place in rest if place not in logits)]
    found = logit_of(run, label, 1, categories)
    if run.task == "multiclass" or not set(numbers) <= {0, 1}:
        raise SettingsError(
            f"the model of {run.path.name} has one logit for {label!r}, which cannot be scored against its classes "
            f"{', '.join(map(str, numbers))}."
        )
    return [found.logit]


def predictions_of(run: Run, label: str) -> IntArray:
    """Return the class of a label that the model decides for on each image, (n,) int64.

    Raises
    ------
    RunError, SettingsError
        As `logits_of_label`.
    """
    if label in run.classes and run.task == "multiclass" and not categories_of(run, label):
        return np.asarray(decisions(run.logits) == run.classes.index(label), dtype=np.int64)
    return decisions(run.logits[:, logits_of_label(run, label)])


def categories_of(run: Run, label: str) -> tuple[str, ...]:
    """Names of a label's classes by number; empty for a label that is 0 or 1, or a number."""
    return tuple(map(str, run.info.get("categories", {}).get(label, ())))


def classes_of(run: Run, label: str) -> tuple[tuple[int, str], ...]:
    """Class numbers of a label that occur in a run, with what to call them; the class of interest first.

    Raises
    ------
    RunError
        The run has no such label.
    """
    values = run.label(label)
    found = np.unique(values[~np.isnan(values)]).astype(int)
    names = categories_of(run, label)
    if names:
        return tuple((int(c), names[c].replace("_", " ") if c < len(names) else str(c)) for c in found)
    if set(found) <= {0, 1}:
        return tuple((int(c), ("absent", "present")[c]) for c in found[::-1])
    return tuple((int(c), str(c)) for c in found)


def class_number(run: Run, label: str, given: int | str | None = None) -> int:
    """Return the number of a class of a label from its number or name; None means class 1 of a label of two classes.

    Raises
    ------
    RunError
        The run has no such label.
    SettingsError
        The label has no such class, or several and none was named.
    """
    found = classes_of(run, label)
    if given is None and not categories_of(run, label) and {number for number, _ in found} <= {0, 1}:
        return 1
    wanted = str(given).strip()
    for number, name in found:
        if given is not None and (wanted == str(number) or slug(wanted) == slug(name)):
            return number
    there = ", ".join(str(n) if name == str(n) else f"{n} ({name})" for n, name in found)
    raise SettingsError(
        f"{run.path.name} has {there or 'no class'} as classes of {label!r}; choose one of them."
        if given is None
        else f"{run.path.name} has no class {wanted!r} of {label!r}; it has {there or 'none'}."
    )


def labelled_rows(run: Run, label: str, split: str | None = None, unit: Unit = "image") -> tuple[IntArray, FloatArray]:
    """Return the positions of images of known label in the run's table, as often as they count, and their labels.

    Parameters
    ----------
    run, label
        The images and what is known about them.
    split
        Only images of this split, such as "training".
    unit
        "row" counts an image once for each of its finding rows, as the published protocol does.

    Raises
    ------
    SettingsError
        If the run has no finding rows, no such split, or nothing is left.
    RunError
        If it has no such label.
    """
    values = run.label(label)
    positions, table = np.arange(len(run)), run.images
    if unit == "row":
        if run.rows is None:
            raise SettingsError(f"{run.path.name} was labelled image by image and has no finding rows; use unit image.")
        positions, found = row_positions(run.rows["image"].to_numpy(), run.numbers)
        table = run.rows[found]
        values = table[f"label.{label}"].to_numpy(np.float64)
    chosen = ~np.isnan(values)
    if split is not None:
        splits = table["split"].to_numpy(object)
        names = sorted({str(name) for name in splits if isinstance(name, str)})
        if split not in names:
            raise SettingsError(f"{run.path.name} has no split {split!r}; it has {', '.join(names) or 'none'}.")
        chosen &= splits == split
    if not chosen.any():
        raise SettingsError(f"no image{f' of split {split!r}' if split else ''} has a known {label!r}.")
    return positions[chosen], values[chosen]


def row_positions(row_images: ArrayLike, images: ArrayLike) -> tuple[IntArray, BoolArray]:
    """Find the position of each finding row's image among the images of a run, for scoring by row.

    Parameters
    ----------
    row_images : (m,)
        Image of each row (number or name).
    images : (n,)
        Images of the run, each once; failed ones are missing.

    Returns
    -------
    positions : (k,) int64
        For the rows whose image is there.
    found : (m,) bool
        Which rows those are.
    """
    names, wanted = np.asarray(images), np.asarray(row_images)
    if np.unique(names).size != names.size:
        raise SettingsError("an image occurs twice in the run; rows cannot be told apart.")
    if not names.size:
        raise SettingsError("the run holds no image.")
    order = np.argsort(names)
    place = np.minimum(np.searchsorted(names, wanted, sorter=order), names.size - 1)
    found = np.asarray(names[order[place]] == wanted)
    return order[place[found]], found

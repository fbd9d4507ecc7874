"""Labels of a run and the model's logits: which logit speaks for a class of a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ..annotations.positives import positive_of, question
from ..base.errors import SettingsError
from ..base.names import slug
from ..models.heads import places_of
from ..stats.predictions import decisions, probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..models.facts import ModelFacts
    from ..models.model import MammoSAE
    from ..stats.measures import FloatArray, IntArray
    from .run import Run

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
class LabelLogits:
    """The logits that are scored against a label.

    Attributes
    ----------
    places
        Of the logits among those of the model or run: one for a label of two classes, else one a class in the order of
        the class numbers. Logits of a multiclass head that stand for none of the label's classes come last: they can
        win, wrongly.
    numbers
        The class number that each of several logits speaks for; empty for a label of two classes.
    """

    places: tuple[int, ...]
    numbers: tuple[int, ...] = ()

    def positions(self, labels: FloatArray) -> FloatArray:
        """Return labels as what decisions are compared with: 0 or 1, or the position of the class's logit."""
        if not self.numbers:
            return labels
        return np.asarray(np.searchsorted(self.numbers, labels), np.float64)

    def decided(self, logits: FloatArray) -> IntArray:
        """Return the class numbers that these logits (n, C) decide for; one beyond all where the winner has none."""
        found = decisions(logits)
        if not self.numbers:
            return found
        beyond = range(self.numbers[-1] + 1, self.numbers[-1] + 1 + len(self.places) - len(self.numbers))
        return np.array([*self.numbers, *beyond])[found]


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
    class is the unnamed `finding`. Of two categories, the positive one of a known pair is meant.

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
        No logit speaks for the class, or it is not known which category is positive; the message says why.

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
    positive = positive_of(categories) if categories else 1
    for start, classes, task in heads:
        called = {label, *([] if positive is None else _class_names(label, categories[positive:][:1]))}
        found = [place for place, name in enumerate(classes) if name in called]
        if len(heads) == 1 and classes == (UNNAMED,):
            found = [0]
        if found:
            if positive is None:
                raise SettingsError(question(label, categories))
            if number == positive:
                return ClassLogit(start + found[0])
            if number == 1 - positive and task != "multiclass":
                return ClassLogit(start + found[0], -1)
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
    positive = positive_of(categories)
    for start, classes, task in _heads(predictor):
        places = {name: start + place for place, name in enumerate(classes)}
        found = [
            next((places[name] for name in _class_names(label, [category]) if name in places), None)
            for category in categories
        ]
        if positive is not None and found[1 - positive] is None and task != "multiclass":
            continue  # one logit for two classes
        if any(place is not None for place in found):
            return found
        if not categories and task == "multiclass" and all(name.startswith(f"{label}_") for name in places):
            return _by_number([name.removeprefix(f"{label}_") for name in classes], start)
    return []


def _by_number(suffixes: Sequence[str], start: int) -> list[int | None]:
    """Logit of each class number: that of the class of this number where all are numbers, else in their order."""
    if not all(suffix.isdecimal() for suffix in suffixes):
        return list(range(start, start + len(suffixes)))
    places = {int(suffix): start + place for place, suffix in enumerate(suffixes)}
    return [places.get(number) for number in range(max(places) + 1)]


def _class_names(label: str, categories: Sequence[str]) -> list[str]:
    """What a model may call the classes that stand for categories of a label."""
    slugs = [slug(str(name)) for name in categories]
    return [name for own in slugs for name in (f"{label}_{own}", own)]


def logits_of_label(run: Run, label: str, called: str | None = None, model: Predictor | None = None) -> LabelLogits:
    """Return which logits are scored against a label.

    Parameters
    ----------
    run, label
        A run, and one of its labels.
    called
        The class that predicts a label of two classes, where it is called otherwise.
    model
        Whose logits are meant: the run's model, which can have heads that the run was not made with. By default those
        that the run keeps.

    Raises
    ------
    RunError
        The run has no such label.
    SettingsError
        The model predicts something else, or not every class of the label, or it is not known which one is positive.
    """
    predictor: Predictor = run if model is None else model
    numbers = [number for number, _ in classes_of(run, label)]
    categories = categories_of(run, label)
    if called is None and (named := _named(predictor, label, categories)):
        for number in numbers:
            logit_of(predictor, label, number, categories)
        own = {number: place for number, place in enumerate(named) if place is not None}
        start, classes, task = _head_of(predictor, next(iter(own.values())))
        rest = range(start, start + len(classes)) if task == "multiclass" else ()
        places = (*own.values(), *(place for place in rest if place not in own.values()))
        return LabelLogits(places, tuple(own))
    if called is not None:
        place = place_of(predictor, called)
        if categories and positive_of(categories) != 1:
            raise SettingsError(question(label, categories))
    else:
        place = logit_of(predictor, label, 1, categories).logit
    if _head_of(predictor, place)[2] == "multiclass" or not set(numbers) <= {0, 1}:
        raise SettingsError(
            f"the model of {run.path.name} has one logit for {label!r}, which cannot be scored against its classes "
            f"{', '.join(map(str, numbers))}."
        )
    return LabelLogits((place,))


def place_of(predictor: Predictor, called: str) -> int:
    """Return the place of a class by its name; SettingsError where there is none, naming those there are."""
    found = [place for place, name in enumerate(predictor.classes) if slug(name) == slug(called)]
    if not found:
        raise SettingsError(
            f"the model has no class {called!r}; it predicts {', '.join(predictor.classes) or 'nothing'}."
        )
    return found[0]


def logits_at(run: Run, model: MammoSAE | ModelFacts, places: Sequence[int]) -> NDArray[np.float64]:
    """Return some logits (n, C) of a run's model on its images: as the run keeps them, else from pooled channels.

    Raises
    ------
    RunError
        The run was not made with one of the heads, and keeps no pooled channels.
    """
    columns, kept = [], places_of(model.classes, run.classes)
    for place in places:
        if (own := kept[place]) is not None:
            columns.append(run.logits[:, own])
        else:
            head = model.head_of(place)
            columns.append(run.logits_of(head)[:, place - model.logits_of(head.name).start])
    return np.stack(columns, axis=1)


def _head_of(predictor: Predictor, place: int) -> tuple[int, tuple[str, ...], str]:
    """First logit, classes and task of the head that a logit belongs to."""
    return next(head for head in reversed(_heads(predictor)) if head[0] <= place)


def predictions_of(run: Run, label: str) -> IntArray:
    """Return the class of a label that the model decides for on each image, (n,) int64.

    Raises
    ------
    RunError, SettingsError
        As `logits_of_label`.
    """
    for start, classes, task in _heads(run):
        if label in classes and task == "multiclass" and not categories_of(run, label):
            return np.asarray(decisions(run.logits[:, start : start + len(classes)]) == classes.index(label), np.int64)
    scored = logits_of_label(run, label)
    return scored.decided(run.logits[:, scored.places])


def probabilities_of_run(run: Run) -> NDArray[np.float64]:
    """Return probabilities (n, C) of the logits that a run keeps, by each head's own task."""
    logits = run.logits
    parts = [probabilities(logits[:, start : start + len(names)], task) for start, names, task in _heads(run) if names]
    return np.concatenate([logits[:, :0], *parts], axis=1)


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
        order = found[::-1] if positive_of(names) == 1 else found
        return tuple((int(c), names[c].replace("_", " ") if c < len(names) else str(c)) for c in order)
    if set(found) <= {0, 1}:
        return tuple((int(c), ("absent", "present")[c]) for c in found[::-1])
    return tuple((int(c), str(c)) for c in found)


def class_number(run: Run, label: str, given: int | str | None = None) -> int:
    """Return the number of a class of a label from its number or name; None means the positive one of two classes.

    A name counts before a number: "2" is BI-RADS 2 where that is a category.

    Raises
    ------
    RunError
        The run has no such label.
    SettingsError
        The label has no such class, or several and none was named.
    """
    found = classes_of(run, label)
    names = categories_of(run, label)
    if given is None and (positive_of(names) == 1 if names else {number for number, _ in found} <= {0, 1}):
        return 1
    wanted = str(given).strip()
    if given is not None:
        numbers = {str(number): number for number, _ in found}
        named = {name if name == str(number) else slug(name): number for number, name in found}
        for text in (wanted, *([] if wanted.startswith("-") else [slug(wanted)])):
            if isinstance(given, str) and text in named:
                return named[text]
        if wanted in numbers and (not isinstance(given, str) or not numbers.keys() & named.keys()):
            return numbers[wanted]
    there = ", ".join(str(n) if name == str(n) else f"{n} ({name})" for n, name in found)
    raise SettingsError(
        f"{run.path.name} has {there or 'no class'} as classes of {label!r}; choose one of them."
        if given is None
        else f"{run.path.name} has no class {wanted!r} of {label!r}; it has {there or 'none'}."
    )

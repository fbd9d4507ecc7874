"""Heads: what turns average-pooled features into logits, and logits into probabilities. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import ModelError
from ..base.names import slug
from ..base.text import readable
from ..stats.predictions import probabilities

Task = Literal["binary", "multilabel", "multiclass"]
"""How logits become probabilities: a sigmoid of the only one, a sigmoid of each, one softmax of all."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A text that a head stands for, or a pair of texts.

    Attributes
    ----------
    text, against
        What the logit speaks for, and what it speaks against; without the latter it has no decision.
    direction
        float64 (p,): the unit vector of the text, minus that of the one against it, in the space shared with images.
    scale
        What the training multiplied cosines by; for probabilities, which nobody has calibrated.
    note
        What to know before it is relied on, in a few words; "" for nothing.
    """

    text: str
    against: str
    direction: NDArray[np.float64] = field(repr=False)
    scale: float = 1.0
    note: str = ""

    @property
    def typed(self) -> str:
        """What people type for it."""
        return f"{self.text} | {self.against}" if self.against else self.text

    @property
    def title(self) -> str:
        """What people read."""
        return f"“{self.text}” – “{self.against}”" if self.against else f"“{self.text}”"


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear layer on the average of the last feature map, and what its logits mean.

    A model has any number of heads: the classifier's own, others trained later, text prompts. They share the backbone,
    so a head is no part of what a model's hash stands for.

    Attributes
    ----------
    name
        Of the head, one of a kind in a model.
    classes
        One name a logit; no two of them, here or in another head of the model, have the same slug.
    task
        "binary": one logit, sigmoid; "multilabel": a sigmoid each; "multiclass": softmax.
    weight, bias
        float64 (C, d) and (C,).
    source
        Name of the file it was read from, or another short word on where it comes from.
    prompt
        The text that it stands for: its logit is then the numerator of a cosine. None for all other heads.
    file
        Where it was kept after its training, for a session to find it again; None for all other heads.

    Raises
    ------
    ModelError
        If shapes, classes and task do not fit each other, or a number is not finite.

    Examples
    --------
    >>> head = Head("classifier", ("mass",), "binary", np.ones((1, 3)), np.zeros(1))
    >>> head.probabilities([[0.0]])
    array([[0.5]])
    """

    name: str
    classes: tuple[str, ...]
    task: Task
    weight: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)
    source: str = ""
    prompt: Prompt | None = None
    file: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("bias", self.bias)):
            object.__setattr__(self, name, np.ascontiguousarray(value, dtype=np.float64))
        object.__setattr__(self, "classes", tuple(self.classes))
        source, logits = self.source or f"the head {self.name!r}", len(self.bias)
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1] or not logits:
            raise ModelError(
                f"{source} has weights of shape {self.weight.shape} and a bias of shape {self.bias.shape}; "
                "expected (C, d) and (C,)"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ModelError(f"{source} holds values that are not finite; the file is damaged")
        if len(self.classes) != logits:
            raise ModelError(
                f"{source} has {logits} logits, but {len(self.classes)} classes were named: "
                f"{', '.join(self.classes)}; give one name per logit"
            )
        if self.task not in get_args(Task):
            raise ModelError(f"{source}: task {self.task!r} is not known; choose one of {', '.join(get_args(Task))}")
        if self.task == "binary" and logits > 1:
            raise ModelError(
                f"{source} has {logits} logits, and a binary task has one; choose multilabel or multiclass"
            )
        check_heads((self,))

    @property
    def width(self) -> int:
        """Length of the feature vector it reads, d."""
        return int(self.weight.shape[1])

    @property
    def decides(self) -> bool:
        """Whether its logits decide for a class; that of a single text is only more or less."""
        return self.prompt is None or bool(self.prompt.against)

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of this head's logits (..., C): a sigmoid each, or one softmax for a multiclass head.

        A prompt's are NaN: its logit is the numerator of a cosine, and nobody has calibrated that.
        """
        found = probabilities(logits, self.task)
        return found if self.prompt is None else np.full_like(found, np.nan)


def check_heads(heads: Sequence[Head]) -> None:
    """Check that names of heads, and slugs of classes, occur once, and that all heads read as many features.

    Raises
    ------
    ModelError
        If one occurs twice, a class has no Latin letter or digit, or a head reads another number of features.
    """
    seen: dict[str, str] = {}
    names: set[str] = set()
    for head in heads:
        if head.name in names:
            raise ModelError(f"two heads are called {head.name!r}; give one of them another name")
        names.add(head.name)
        if head.width != heads[0].width:
            raise ModelError(
                f"the head {head.name!r} reads {head.width} features, {heads[0].name!r} reads {heads[0].width}; "
                "heads of one model read the same"
            )
        for name in head.classes:
            if not (short := slug(name)):
                raise ModelError(f"the head {head.name!r} has a class {name!r}; expected a name with a Latin letter")
            if short in seen:
                raise ModelError(
                    f"the class {name!r} of the head {head.name!r} occurs in the head {seen[short]!r} already; "
                    "give it another name"
                )
            seen[short] = head.name


def classes_of(heads: Sequence[Head]) -> tuple[str, ...]:
    """Return the classes of all heads in order, one a logit."""
    return tuple(name for head in heads for name in head.classes)


def task_of(heads: Sequence[Head]) -> Task:
    """Return the task of the first head, the default one; "binary" without any."""
    return heads[0].task if heads else "binary"


def stacked(heads: Sequence[Head], width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (C, d) and biases (C,) of all heads in order; C is 0 without any."""
    weights, biases = [np.zeros((0, width))], [np.zeros(0)]
    return (
        np.concatenate([*weights, *(head.weight for head in heads)]),
        np.concatenate([*biases, *(head.bias for head in heads)]),
    )


def places_of(wanted: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """Return where logits of some classes stand among known ones, None where they do not.

    One of another name that stands in the same place is the same where neither name occurs on the other side: the
    class was given a name since.

    >>> places_of(["mass", "clip"], ["clip", "mass"]), places_of(["mass", "clip"], ["finding"])
    ([1, 0], [0, None])
    """
    names, there = [slug(name) for name in wanted], [slug(name) for name in known]
    return [
        there.index(name) if name in there else place if place < len(there) and there[place] not in names else None
        for place, name in enumerate(names)
    ]


def lasting_logits(heads: Sequence[Head]) -> list[int]:
    """Return which of all logits are not those of prompts: a run keeps these, and gives the others at any time."""
    owners = [head for head in heads for _ in head.classes]
    return [place for place, head in enumerate(owners) if head.prompt is None]


def logits_of(heads: Sequence[Head], name: str) -> slice:
    """Return which of all logits are those of one head: a slice of logits, attributions and constants.

    Raises
    ------
    ModelError
        If there is no such head.
    """
    start = 0
    for head in heads:
        if head.name == name:
            return slice(start, start + len(head.classes))
        start += len(head.classes)
    raise ModelError(f"the model has no head {name!r}; it has {', '.join(head.name for head in heads) or 'none'}")


def head_of(heads: Sequence[Head], logit: int) -> Head:
    """Return the head that a logit belongs to.

    Raises
    ------
    ModelError
        If there is no such logit.
    """
    owners = [head for head in heads for _ in head.classes]
    if not 0 <= logit < len(owners):
        raise ModelError(f"there is no logit {logit}; the model has {len(owners)}")
    return owners[logit]


def probabilities_of(heads: Sequence[Head], logits: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities of the logits (..., C) of all heads, by each head's own task.

    Raises
    ------
    ModelError
        If there are more or fewer logits than classes.
    """
    values: NDArray[Any] = np.asarray(logits, dtype=np.float64)
    if values.shape[-1] != len(classes_of(heads)):
        raise ModelError(f"{values.shape[-1]} logits were given, the model has {len(classes_of(heads))} classes")
    found = np.empty_like(values)
    for head in heads:
        part = logits_of(heads, head.name)
        found[..., part] = head.probabilities(values[..., part])
    return found


def title_of(head: Head, name: str) -> str:
    """Return what people read for one of a head's classes."""
    return head.prompt.title if head.prompt is not None else readable(name)


class HasHeads:
    """What the heads of a model say of its logits."""

    __slots__ = ()
    heads: tuple[Head, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of all heads in order, one a logit."""
        return classes_of(self.heads)

    @property
    def task(self) -> Task:
        """Task of the first head, "binary" without any; that of a single logit is ``head_of(logit).task``."""
        return task_of(self.heads)

    @property
    def titles(self) -> tuple[str, ...]:
        """What people read for the classes, one a logit."""
        return tuple(title_of(head, name) for head in self.heads for name in head.classes)

    def head_of(self, logit: int) -> Head:
        """Head that a logit belongs to; ModelError if there is no such logit."""
        return head_of(self.heads, logit)

    def logits_of(self, head: str) -> slice:
        """Which logits, rows of `attribution` and of `constant` are a head's; ModelError if there is no such head."""
        return logits_of(self.heads, head)

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of logits (..., C) of all heads: a sigmoid each, or one softmax for a multiclass head.

        Raises
        ------
        ModelError
            If there are more or fewer logits than classes.
        """
        return probabilities_of(self.heads, logits)

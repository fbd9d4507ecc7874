"""Which of a label's texts is the positive one: known pairs, and what the user said."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from ..base.errors import SettingsError
from ..base.names import slug

DENSITIES = ("a", "b", "c", "d")
"""Categories of breast density, in order: none of them is the positive one."""

Uncertain = Literal["unknown", "positive", "negative"]
UNCERTAIN: tuple[Uncertain, ...] = get_args(Uncertain)
Positive: TypeAlias = str | Mapping[str, str]
"""The positive value of every label that has it, or of each label by name."""

_OPPOSITES = {
    "malignant": {"benign", "normal"},
    "malignancy": {"normal"},
    "abnormal": {"normal"},
    "cancer": {"benign", "normal", "healthy"},
    "positive": {"negative"},
    "pos": {"neg"},
    "present": {"absent"},
    "yes": {"no"},
    "y": {"n"},
    "true": {"false"},
}
_NEGATIONS = ("no", "non", "not", "without")


def normal_text(text: object) -> str:
    """Return a value as it is compared: lower case, single spaces, whole numbers without a point."""
    plain = re.sub(r"\s+", " ", str(text).strip().lower())
    return re.sub(r"^([-+]?\d+)\.0*$", r"\1", plain).removeprefix("+")


def positive_of(names: Sequence[str]) -> int | None:
    """Return which of two texts is the positive one, by position; None where that would be a guess.

    >>> positive_of(["malignant", "normal"]), positive_of(["no mass", "mass"]), positive_of(["oval", "round"])
    (0, 1, None)
    """
    if len(names) != 2:
        return None
    first, second = (slug(str(name)) for name in names)
    for place, (own, other) in enumerate(((first, second), (second, first))):
        negated = {f"{word}_{own}" for word in _NEGATIONS} | {f"non{own}"}
        if own and (other in _OPPOSITES.get(own, ()) or other in negated):
            return place
    return None


def ordered(names: Iterable[str]) -> list[str]:
    """Return texts in the order of their numbers: alphabetical, but of a known pair the positive one second."""
    found = sorted(set(names))
    return found[::-1] if positive_of(found) == 0 else found


def told(names: Iterable[str], value: str) -> list[str]:
    """Return the names of the classes 0 and 1 of a label whose positive text was given; the rest is one class."""
    pair = [*(name for name in names if name != value), value]
    return pair if positive_of(pair) == 1 else [f"not {value}", value]


def value_for(positive: Positive | None, label: str) -> str | None:
    """Return the positive value that was given for a label, as it is compared; None where none was."""
    given = positive if isinstance(positive, str) or positive is None else positive.get(label)
    return None if given is None else normal_text(given)


def parse_positive(given: Sequence[str] | None, label: str = "") -> Positive | None:
    """Return what `--positive VALUE` and `--positive LABEL=VALUE` say; a bare VALUE is that of `label`, if named.

    Raises
    ------
    SettingsError
        A label gets two values, or a bare value stands beside others.

    >>> parse_positive(["malignant"], "pathology"), parse_positive(["malignant"])
    ({'pathology': 'malignant'}, 'malignant')
    """
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0] and not label:
        return given[0]
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.rpartition("=")
        name = slug(name) if equals else label
        if not name or not value.strip() or name in found:
            raise SettingsError(f"--positive {text!r} is unclear; give one LABEL=VALUE for each label.")
        found[name] = value.strip()
    return found


def question(label: str, names: Iterable[str]) -> str:
    """Return the sentence that asks for the positive value of a label."""
    return (
        f"{label!r} has the values {', '.join(map(str, names))}, and it is not known which one is positive; "
        "name it with --positive VALUE, or in the Images dock."
    )

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

AT_LEAST = "at least "
"""Begins a positive value that stands for itself and all above it."""

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


def bound_of(value: str | None) -> str | None:
    """Return the lowest positive value where all from it on are positive, "at least 4"; None for any other value."""
    text = normal_text(value) if value is not None else ""
    return text.removeprefix(AT_LEAST).strip() if text.startswith(AT_LEAST) else None


def from_bound(bound: str, numbers: Iterable[float], names: Sequence[str] = ()) -> list[float] | None:
    """Return the class numbers from a bound on: of numbers, densities and BI-RADS texts such as 4a.

    None where the values have no order, or the bound is not one of their kind.

    >>> from_bound("4", [1.0, 4.0, 5.0]), from_bound("c", [0.0, 2.0, 3.0], "abcd"), from_bound("x", [0.0], ["oval"])
    ([4.0, 5.0], [2.0, 3.0], None)
    """

    def place(text: str) -> tuple[float, str] | None:
        if names and set(names) <= set(DENSITIES):
            return (DENSITIES.index(text), "") if text in DENSITIES else None
        found = re.fullmatch(r"([-+]?\d+\.?\d*)([a-z]?)", text)
        return (float(found[1]), found[2]) if found else None

    known = {number: place(normal_text(names[int(number)]) if names else f"{number:g}") for number in numbers}
    lowest, places = place(bound), [one for one in known.values() if one is not None]
    if lowest is None or len(places) < len(known):
        return None
    return [number for number, one in known.items() if one is not None and one >= lowest]


def value_for(positive: Positive | None, label: str) -> str | None:
    """Return the positive value that was given for a label, as it is compared; None where none was."""
    given = positive if isinstance(positive, str) or positive is None else positive.get(label)
    return None if given is None else normal_text(given)


def parse_positive(given: Sequence[str] | None, label: str = "") -> Positive | None:
    """Return what `--positive VALUE` and `--positive LABEL=VALUE` say; a bare VALUE is that of `label`, if named.

    ``LABEL>=VALUE`` stands for the value "at least VALUE".

    Raises
    ------
    SettingsError
        A label gets two values, or a bare value stands beside others.

    >>> parse_positive(["malignant"], "pathology"), parse_positive(["malignant"])
    ({'pathology': 'malignant'}, 'malignant')
    >>> parse_positive(["birads>=4"])
    {'birads': 'at least 4'}
    """
    if not given:
        return None
    given = [re.sub(r"^([^=]*?)=?\s*(>=|≥)\s*(?=\S)", lambda m: f"{m[1] or label}={AT_LEAST}", text) for text in given]
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

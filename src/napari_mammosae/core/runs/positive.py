"""Which class of a run's labels is the positive one: renumbered as 1 when the run is opened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..annotations.positives import DENSITIES, Positive, bound_of, from_bound, normal_text, positive_of, told
from ..base.errors import SettingsError
from ..base.names import slug

if TYPE_CHECKING:
    import pandas as pd

_YES, _NO = {"present", "yes", "true", "positive"}, {"absent", "no", "false", "negative"}


@dataclass(frozen=True, slots=True)
class Positives:
    """Labels that are read otherwise than the run's tables number them.

    Attributes
    ----------
    ones
        Label -> the numbers that become 1; every other known one becomes 0.
    categories
        Label -> names of its classes 0 and 1 then.
    """

    ones: dict[str, tuple[float, ...]] = field(default_factory=dict)
    categories: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Renumber the labels of a table, in place."""
        for label, ones in self.ones.items():
            if (column := f"label.{label}") in table:
                values = table[column].to_numpy(np.float64)
                table[column] = np.where(np.isnan(values), np.nan, np.isin(values, ones))
        return table


def undecided(labels: Iterable[str], categories: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the labels of texts of which it is not known which one is positive, with their texts.

    Densities are in an order, and none is positive.

    >>> undecided(["shape", "density"], {"shape": ["oval", "round"], "density": ["a", "b", "c", "d"]})
    {'shape': ['oval', 'round']}
    """
    texts = {label: categories.get(label, []) for label in labels}
    return {
        label: names
        for label, names in texts.items()
        if len(names) > 1 and positive_of(names) is None and not set(names) <= set(DENSITIES)
    }


def find_positives(
    labels: Mapping[str, NDArray[np.float64]], categories: Mapping[str, list[str]], positive: Positive | None
) -> Positives:
    """Find which labels are to be renumbered: known pairs in the wrong order, and those whose positive value is given.

    Raises
    ------
    SettingsError
        A label does not exist, or none has the value.
    """
    found = Positives()
    for label, names in categories.items():
        if label in labels and positive_of(names) == 0:
            found.ones[label], found.categories[label] = (0.0,), names[::-1]
    for label, value in _given(labels, categories, positive).items():
        if label not in labels:
            raise SettingsError(f"there is no label {label!r}; the run has {', '.join(labels) or 'none'}.")
        names, known = categories.get(label, []), labels[label][~np.isnan(labels[label])]
        numbers = _numbers(labels[label], names, value)
        if not numbers:
            there = names or [f"{n:g}" for n in np.unique(known)]
            raise SettingsError(f"no image has the {label} {value!r}; the values are {', '.join(map(str, there))}.")
        if numbers == [1.0] and not names and set(known) <= {0.0, 1.0}:
            continue
        found.ones[label] = tuple(numbers)
        if bound_of(value) is not None:
            found.categories[label] = told([], normal_text(value))
        else:
            found.categories[label] = told(names, names[int(numbers[0])]) if names else told([], f"{numbers[0]:g}")
    return found


def _given(
    labels: Mapping[str, NDArray[np.float64]], categories: Mapping[str, list[str]], positive: Positive | None
) -> dict[str, str]:
    if not isinstance(positive, str):
        return {slug(label): value for label, value in (positive or {}).items()}
    found = {n: positive for n in labels if _numbers(labels[n], categories.get(n, []), positive)}
    if not found:
        raise SettingsError(f"no label of the run has the value {positive!r}.")
    return found


def _numbers(values: NDArray[np.float64], names: list[str], value: str) -> list[float]:
    """Class numbers that a positive value stands for; none where no image has it."""
    wanted, there = normal_text(value), np.unique(values[~np.isnan(values)]).tolist()
    if (bound := bound_of(value)) is not None:
        return from_bound(bound, there, names) or []
    if names:
        texts = [normal_text(name) for name in names]
        slugs = [slug(name) for name in names]
        place = texts.index(wanted) if wanted in texts else slugs.index(slug(wanted)) if slug(wanted) in slugs else None
        return [] if place is None else [float(place)]
    wanted = "1" if wanted in _YES else "0" if wanted in _NO else wanted
    return [float(number) for number in there if f"{number:g}" == wanted]

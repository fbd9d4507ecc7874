"""Which of several draws of a name speaks for the others, and how far they agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILLERS = frozenset({"a", "an", "the", "of", "in", "with", "and", "or", "on", "at"})


def tokens_of(name: str) -> frozenset[str]:
    """Return the words of a name that say something, in lower case."""
    words = frozenset(re.findall(r"[a-z0-9]+", name.lower()))
    return words - _FILLERS or words


def likeness(first: str, second: str) -> float:
    """Jaccard index of the words of two names."""
    one, two = tokens_of(first), tokens_of(second)
    return len(one & two) / len(one | two) if one | two else 1.0


def medoid(names: Sequence[str]) -> tuple[int, float]:
    """Return the place of the name that is most like the others, the first of several; and their mean likeness.

    The likeness is that of all pairs, from 0 to 1; NaN for a single name.
    """
    table = np.array([[likeness(one, two) for two in names] for one in names])
    best = int(table.sum(axis=1).argmax())
    pairs = table[np.triu_indices(len(names), 1)]
    return best, float(pairs.mean()) if pairs.size else float("nan")

"""Testing a name on patients who are held out: the same questions with its own name, another one, and a category."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from .measures import CHOICES, Score, score_detection, score_ranks, score_regions
from .questions import ask_for_order
from .regions import moved_region, region_of
from .server.answers import LETTERS, OrderAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...stats.measures import FloatArray, IntArray
    from .asking import Asker
    from .images_of_run import RunImages
    from .pictures import Picture
    from .tasks import Extent, LatentTask

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Names:
    """The name of a latent and what it is held against.

    Attributes
    ----------
    own
        Its name.
    nulls
        "shuffled": the name of another latent; "majority": the commonest category.
    others
        Names of other latents, all different from each other and its own.
    """

    own: str
    nulls: Mapping[str, str]
    others: tuple[str, ...] = ()

    def rivals_of(self, name: str) -> tuple[str, ...]:
        """Return the names that a name is ranked among; fewer than four where there are not enough."""
        return tuple(one for one in self.others if one.lower() != name.lower())[: CHOICES - 1]


def names_of_all(named: Mapping[int, str], categories: Mapping[int, str], seed: int = 0) -> dict[int, Names]:
    """Draw, for each latent, another latent's name and those that it is ranked among."""
    known = list(dict.fromkeys(name for name in named.values() if name))
    found = [categories[latent] for latent, name in named.items() if name]
    majority = max(dict.fromkeys(found), key=found.count, default="")
    result = {}
    for latent, own in named.items():
        if not own:
            continue
        rng = np.random.default_rng([seed, latent])
        others = [known[place] for place in rng.permutation(len(known)) if known[place].lower() != own.lower()]
        nulls = {"shuffled": others[0]} if others else {}
        if majority.lower() != own.lower():
            nulls["majority"] = majority
        result[latent] = Names(own, nulls, tuple(others[:CHOICES]))
    return result


class NameTest:
    """Tests the name of a latent.

    Parameters
    ----------
    task, names
        The latent, its name and what it is held against.
    asker, images
        Who is asked, and about what.
    patients
        (n,) of the run's images.
    extent
        How much is asked.
    """

    def __init__(
        self, task: LatentTask, names: Names, asker: Asker, images: RunImages, patients: IntArray, extent: Extent
    ) -> None:
        self._task, self._names, self._asker, self._images = task, names, asker, images
        self._patients, self._extent = patients, extent
        self._maps = images.maps_of(task.latent)
        self._rng = np.random.default_rng(task.latent)

    def detection(self) -> Score:
        """Ask of single images whether they show it."""
        held = self._task.held_out
        rows = np.concatenate([held.positives, held.negatives])
        present = np.arange(rows.size) < held.positives.size

        def ask(name: str) -> FloatArray:
            return _numbers(self._asker.probabilities(name, (self._images.whole(int(row)) for row in rows)))

        own, nulls = self._with_nulls(ask)
        return score_detection(present, own, nulls, self._patients[rows])

    def regions(self) -> Score:
        """Ask of two regions of the same image, that of the latent and another one, whether they show it."""
        shown: list[tuple[Picture, Picture]] = []
        rows: list[int] = []
        for row in map(int, self._task.spread(self._extent.regions)):
            values = self._maps[row]
            region = region_of(values)
            other = moved_region(region, values > 0, self._images.breast(row), self._rng)
            if other is None:
                other = moved_region(region, region, self._images.breast(row), self._rng)
            if other is not None:
                rows.append(row)
                shown.append((self._images.outlined(row, region), self._images.outlined(row, other)))

        def ask(name: str) -> FloatArray:
            return _numbers(self._asker.probabilities(name, chain.from_iterable(shown), outlined=True)).reshape(-1, 2)

        own, nulls = self._with_nulls(ask)
        return score_regions(own, nulls, self._patients[np.array(rows, np.int64)])

    def ranks(self) -> Score:
        """Ask which of five names fits an image best; without answer where there are not five."""
        if len(self._names.rivals_of(self._names.own)) < CHOICES - 1:
            return Score()
        rows = list(map(int, self._task.spread(self._extent.ranks)))

        def ask(name: str, *, blind: bool = False) -> FloatArray:
            rivals = self._names.rivals_of(name)
            if len(rivals) < CHOICES - 1:
                return np.full(len(rows), NAN)
            orders = [np.random.default_rng([self._task.latent, row]).permutation(CHOICES) for row in rows]
            choices = (name, *rivals)
            asked = (
                ask_for_order([choices[place] for place in order], self._pair(row, blind))
                for row, order in zip(rows, orders, strict=True)
            )
            found = self._asker.parsed(asked, OrderAnswer)
            return np.array([_place_of_first(one, order) for one, order in zip(found, orders, strict=True)], float)

        own, nulls = self._with_nulls(ask)
        nulls["text_only"] = ask(self._names.own, blind=True)
        nulls = {name: places for name, places in nulls.items() if np.isfinite(places).any()}
        return score_ranks(own, nulls, self._patients[np.array(rows, np.int64)])

    def _pair(self, row: int, blind: bool) -> tuple[Picture, ...]:
        return () if blind else self._images.pair(row, self._maps[row])

    def _with_nulls(self, ask: Asking) -> tuple[FloatArray, dict[str, FloatArray]]:
        own = ask(self._names.own)
        return own, {kind: ask(name) for kind, name in self._names.nulls.items()}


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.array([NAN if value is None else value for value in values], np.float64)


def _place_of_first(found: OrderAnswer | None, order: IntArray) -> float:
    """Return the place that is answered for the first of five names, which were shown in an order."""
    return NAN if found is None else found.order.index(LETTERS[int(np.flatnonzero(order == 0)[0])]) + 1.0


if TYPE_CHECKING:
    from typing import Protocol

    class Asking(Protocol):
        """Asks all questions of a test with a name in the place of the latent's own."""

        def __call__(self, name: str) -> FloatArray:
            """Return the answers as numbers, NaN where there is none."""
            ...

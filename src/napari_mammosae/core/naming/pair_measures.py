"""Latents that react to one thing alone, from pairs of images that differ by exactly that thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import SettingsError
from .correlation import aurocs
from .units import Pool, latents_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..phantoms.pairs import Pairs
    from ..runs.run import Run
    from ..stats.measures import BoolArray, FloatArray, IntArray

SELECTIVE, TELLING = 0.5, 0.9
"""A latent answers to a thing alone if at least half of all its changes is for that thing, and its AUROC on the pairs
of it is at least 0.9 (or at most 0.1: it falls silent)."""
COLUMNS = (
    *("units", "thing", "pairs", "live", "answering", "latent", "pool", "selectivity", "auroc", "mean_change"),
    "score",
)


@dataclass(frozen=True, slots=True, eq=False)
class PairMeasures:
    """U live latents against T things.

    Attributes
    ----------
    name
        Whose latents they are.
    things, counts
        The things, and how many pairs there are of each.
    latents
        (U,) their numbers.
    change
        (P, U, T) mean size of the change by the thing, for each pooling, in units of the latent's standard deviation
        over all images of the pairs.
    auroc
        (P, U, T) how well the latent tells the images with the thing from those without; ties count one half.
    pools
        The poolings.
    """

    name: str
    things: tuple[str, ...]
    counts: tuple[int, ...]
    latents: IntArray
    change: FloatArray
    auroc: FloatArray
    pools: tuple[Pool, ...]

    @property
    def selectivity(self) -> FloatArray:
        """(P, U, T) share of each thing in all changes of a latent; 0 where nothing changes it."""
        whole = self.change.sum(axis=2, keepdims=True)
        return np.asarray(np.divide(self.change, whole, out=np.zeros_like(self.change), where=whole > 0))

    @property
    def score(self) -> FloatArray:
        """(P, U, T) selectivity times how far the AUROC is from chance, on a scale from 0 to 1."""
        return self.selectivity * 2 * np.abs(self.auroc - 0.5)

    @property
    def answers(self) -> BoolArray:
        """(U, T) latents that answer to a thing alone, in either pooling."""
        telling = np.abs(self.auroc - 0.5) >= TELLING - 0.5 - 1e-12
        return np.asarray(((self.selectivity >= SELECTIVE) & telling).any(axis=0))

    def table(self) -> pd.DataFrame:
        """Return one row a thing: `units`, `thing`, `pairs`, `live`, `answering` latents, and the best one of them.

        `latent`, `pool`, `selectivity`, `auroc`, `mean_change` and `score` are those of the latent of highest score.
        """
        import pandas as pd

        rows = []
        for place, thing in enumerate(self.things):
            pool, unit = np.unravel_index(self.score[:, :, place].argmax(), self.score.shape[:2])
            at = (pool, unit, place)
            rows.append(
                (
                    self.name, thing, self.counts[place], len(self.latents), int(self.answers[:, place].sum()),
                    int(self.latents[unit]), self.pools[pool], self.selectivity[at], self.auroc[at], self.change[at],
                    self.score[at],
                )
            )  # fmt: skip
        return pd.DataFrame(rows, columns=list(COLUMNS))


def measure_pairs(run: Run, pairs: Pairs, name: str, pools: Sequence[Pool] = ("mean", "max")) -> PairMeasures:
    """Measure which live latents of a run over pairs of images react to one thing alone.

    Parameters
    ----------
    run
        Made over the images of the pairs.
    pairs
        What was written with `write_pairs`.
    name
        What to call the latents: trained or untrained.
    pools
        How a map becomes one number an image.

    Raises
    ------
    SettingsError
        No pair has both of its images in the run, or no latent fires.
    """
    ids = {str(name): row for row, name in enumerate(run.images["image_id"])}
    rows = [(thing, ids[a], ids[b]) for thing, a, b in pairs.triples() if a in ids and b in ids]
    if not rows:
        raise SettingsError(f"{run.path.name} has no image pair of {pairs.folder.name}.")
    every = np.unique([row for _, *both in rows for row in both])
    units = latents_of(run, every, pools)
    if not len(units.numbers):
        raise SettingsError(f"no latent of {run.path.name} fires on the pairs.")
    things = tuple(dict.fromkeys(thing for thing, _, _ in rows))
    places = {int(row): place for place, row in enumerate(every)}
    shape = (len(pools), len(units.numbers), len(things))
    change, area = np.zeros(shape), np.full(shape, 0.5)
    for index, pool in enumerate(pools):
        values = np.asarray(units.pools[pool].toarray(), np.float64)  # type: ignore[union-attr]
        spread = values.std(axis=0)
        for place, thing in enumerate(things):
            own = [(places[a], places[b]) for kind, a, b in rows if kind == thing]
            there, absent = (values[list(side)] for side in zip(*own, strict=True))
            moved = np.abs(there - absent).mean(axis=0)
            change[index, :, place] = np.divide(moved, spread, out=np.zeros_like(moved), where=spread > 0)
            labels = np.repeat([1.0, 0.0], len(own))[:, None]
            area[index, :, place] = aurocs(np.concatenate([there, absent]), labels)[:, 0]
    counts = tuple(sum(kind == thing for kind, _, _ in rows) for thing in things)
    return PairMeasures(name, things, counts, units.numbers, change, area, tuple(pools))

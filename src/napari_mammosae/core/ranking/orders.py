"""Orders of all latents, and the sets that the best k of every class make up."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """All h latents from best to worst, with their scores.

    Attributes
    ----------
    order : (h,) int64
        Latents, best first; every latent occurs once.
    scores : (h,) float64
        Score of each *latent* (not of each place), NaN where undefined.
    fires : (h,) bool or None
        Which latents fire on the images that were scored; None where it is not known.
    """

    order: IntArray
    scores: FloatArray
    fires: BoolArray | None = None

    @classmethod
    def of(cls, scores: ArrayLike) -> "Ranking":
        """Rank by falling score."""
        values = np.asarray(scores, dtype=np.float64)
        return cls(order_of(values), values)

    @classmethod
    def of_table(cls, table: "pd.DataFrame") -> "Ranking":
        """Take a table that holds every latent once, best first: the columns `latent` and `score`, as `rank` gives it.

        The column `live`, where there is one, says which latents fire.

        Raises
        ------
        SettingsError
            If a column is missing, or a latent.
        """
        if not {"latent", "score"} <= set(table.columns):
            raise SettingsError("a ranking has the columns latent and score, as `rank` returns them.")
        order = table["latent"].to_numpy(np.int64)
        if not np.array_equal(np.sort(order), np.arange(order.size)):
            raise SettingsError(f"the ranking of {order.size} rows does not hold each latent once.")
        scores = np.empty(order.size)
        scores[order] = table["score"].to_numpy(np.float64)
        if "live" not in table.columns:
            return cls(order, scores)
        fires = np.empty(order.size, dtype=bool)
        fires[order] = table["live"].to_numpy(bool)
        return cls(order, scores, fires)

    @property
    def live(self) -> BoolArray:
        """Latents that fire, (h,); where that is not known, those whose score is neither 0 nor undefined."""
        return np.asarray((self.scores != 0) & self.defined) if self.fires is None else self.fires

    @property
    def defined(self) -> BoolArray:
        """Latents that have a score, (h,)."""
        return np.asarray(~np.isnan(self.scores))

    @property
    def ranks(self) -> IntArray:
        """Place of each latent, (h,) int64, the best has 1."""
        places = np.empty(self.order.size, dtype=np.int64)
        places[self.order] = np.arange(1, self.order.size + 1)
        return places


def order_of(scores: ArrayLike) -> IntArray:
    """Return all latents by falling score, equal ones by rising latent number, undefined (NaN) ones last.

    Silent latents score 0 in signed scores, so they lie between the positive and the negative ones.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise SettingsError(f"scores have shape {values.shape}; expected one value per latent.")
    unknown = np.isnan(values)
    return np.lexsort((np.arange(values.size), np.where(unknown, 0.0, -values), unknown))


def first_ranks(orders: Iterable[ArrayLike], n_latents: int) -> IntArray:
    """Return the smallest k at which each latent is in the union of every class's best k, (h,) int64 from 1 to h.

    All sets for all k follow from it: latent i is in the set of k where its value is at most k.

    Raises
    ------
    SettingsError
        If there is no order, or one does not hold each of the latents once.
    """
    smallest = np.full(n_latents, n_latents + 1, dtype=np.int64)
    places = np.arange(1, n_latents + 1)
    for order in orders:
        latents = np.asarray(order)
        if latents.shape != (n_latents,) or not np.array_equal(np.sort(latents), places - 1):
            raise SettingsError(
                f"an order of {latents.size} entries does not hold each of the {n_latents} latents once; "
                "was it made with another SAE?"
            )
        smallest[latents] = np.minimum(smallest[latents], places)
    if n_latents and smallest.max() > n_latents:
        raise SettingsError("no order was given; name the ranking of at least one class.")
    return smallest


def union_mask(first: IntArray, k: int) -> BoolArray:
    """Return which latents are among the best k of any class, (h,) bool."""
    if not 0 <= k <= first.size:
        raise SettingsError(f"k = {k} is not between 0 and the number of latents, {first.size}.")
    return np.asarray(first <= k)


def union_sizes(first: IntArray) -> IntArray:
    """Return the size of the union for every k from 0 to h, (h + 1,) int64."""
    return np.cumsum(np.bincount(first, minlength=first.size + 1))

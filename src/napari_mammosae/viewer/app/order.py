"""The order in which latents are stacked."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.base.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """An order of all h latents, best first, with the score that made it.

    Attributes
    ----------
    latents
        (h,) int, a permutation: `latents[rank]` is the latent at that rank (from 0).
    scores
        (h,) float, score of each *latent* (not rank); nan where it has none.
    name
        What the score is, as shown to the user.
    measured_on
        The image or the run the score was measured on; None where it holds for others, too.
    """

    latents: NDArray[np.intp]
    scores: NDArray[np.float64]
    name: str
    ranks: NDArray[np.intp]
    measured_on: object = None

    @classmethod
    def by_score(cls, scores: ArrayLike, name: str, measured_on: object = None) -> "Order":
        """Highest score first; equal scores and missing ones (last) by latent number."""
        values = np.asarray(scores, dtype=np.float64)
        return replace(cls.of(np.argsort(-values, kind="stable"), values, name), measured_on=measured_on)

    @classmethod
    def of(cls, latents: ArrayLike, scores: ArrayLike, name: str) -> "Order":
        """Take an order as it is; it must name every latent exactly once."""
        given, values = np.asarray(latents, dtype=np.intp), np.asarray(scores, dtype=np.float64)
        ranks = np.full(given.size, -1, dtype=np.intp)
        if values.shape != given.shape or not np.all((given >= 0) & (given < given.size)):
            raise SettingsError(f"An order of {given.size} latents must be a permutation with one score each.")
        ranks[given] = np.arange(given.size)
        if np.any(ranks < 0):
            raise SettingsError(f"An order of {given.size} latents must name each exactly once.")
        return cls(given, values, name, ranks)

    def same_as(self, other: "Order") -> bool:
        """Whether nobody could tell the two apart: latents, scores and name are the same."""
        return (
            self.name == other.name
            and np.array_equal(self.latents, other.latents)
            and np.array_equal(self.scores, other.scores, equal_nan=True)
        )


BY_IMAGE = "mean on this image"

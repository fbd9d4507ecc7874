"""The label that each latent goes with best, as the table of latents shows it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class BestLabels:
    """Of all h latents of a run.

    Attributes
    ----------
    labels
        (h,) texts, empty where nothing was measured; confounders say so.
    r, auroc
        (h,) of that label, NaN where nothing was measured.
    chance
        (h,) whether chance explains it.
    """

    labels: NDArray[np.object_]
    r: NDArray[np.float64]
    auroc: NDArray[np.float64]
    chance: NDArray[np.bool_]

    @classmethod
    def empty(cls, size: int) -> Self:
        """Return columns to fill, of which nothing is known."""
        return cls(np.full(size, "", object), np.full(size, np.nan), np.full(size, np.nan), np.zeros(size, np.bool_))

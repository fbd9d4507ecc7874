"""What random latents would do in the place of the chosen ones: as many of them, or as much activation."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray
from .cohort import Cohort
from .edit import Edit, mask_of

Match = Literal["count", "activation"]


@dataclass(frozen=True, slots=True, eq=False)
class NullDistribution:
    """Measures under random sets beside those of the chosen set.

    Attributes
    ----------
    observed : dict
        Measures of the chosen set, by name.
    values : dict
        (draws,) float64 each: measures of the random sets.
    sizes : (draws,) int64
        Live latents in each random set.
    """

    observed: dict[str, float]
    values: dict[str, FloatArray]
    sizes: IntArray

    def share_below(self, measure: str) -> float:
        """Return the share of random sets whose measure is below the chosen set's, ties counting one half."""
        values, own = self.values[measure], self.observed[measure]
        return float((values < own).mean() + 0.5 * (values == own).mean())


def random_null(
    cohort: Cohort, edit: Edit, match: Match = "count", draws: int = 100, seed: int = 0
) -> NullDistribution:
    """Apply an edit to random sets of live latents.

    Parameters
    ----------
    cohort, edit
        Images and the edit whose set is put to the test.
    match
        "count": as many live latents as the set has; "activation": in random order until their mean activation,
        summed, is as near to the set's as that order allows.
    draws, seed
        How many random sets, and where they start.

    Raises
    ------
    SettingsError
        If the set has no live latent: nothing would be matched.
    """
    edit.check(cohort.n_latents)
    if match not in ("count", "activation"):
        raise SettingsError(f"{match!r} is unknown; random sets match 'count' or 'activation'.")
    live = np.flatnonzero(cohort.live)
    wanted = int(edit.mask[live].sum())
    if not wanted:
        raise SettingsError("none of the chosen latents fires on these images, so random ones cannot be matched.")
    activation = np.asarray(cohort.pooled.sum(axis=0)).ravel()[live]
    target = float(activation[edit.mask[live]].sum())
    rng = np.random.default_rng(seed)
    rows, sizes = [], []
    for _ in range(draws):
        order = rng.permutation(live.size)
        count = wanted if match == "count" else _nearest(np.cumsum(activation[order]), target)
        mask = mask_of(live[order[:count]], cohort.n_latents)
        rows.append(cohort.measure(cohort.logits_after(replace(edit, mask=mask)))._asdict())
        sizes.append(count)
    observed = cohort.measure(cohort.logits_after(edit))._asdict()
    return NullDistribution(
        observed, {name: np.array([row[name] for row in rows]) for name in observed}, np.array(sizes)
    )


def _nearest(running: FloatArray, target: float) -> int:
    """Return how many terms to add up to come nearest to a target."""
    return int(np.argmin(np.abs(running - target))) + 1

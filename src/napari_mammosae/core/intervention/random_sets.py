"""What random latents would do in the place of the chosen ones: as many of them, or as much activation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray
from .cohort import Cohort
from .edit import Edit, mask_of

Match = Literal["count", "activation"]
NEAR = 0.1
"""Sets of equal activation lie within this share of the activation wanted."""
_ORDERS_A_DRAW = 20
"""Random orders that are tried for each set before the activation counts as out of reach."""


class NotMatched(SettingsError):
    """No random sets of the activation wanted can be drawn, so there is nothing to compare with."""


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
    wanted : float
        Mean activation of the chosen set, summed over its latents.
    reached : (draws,) float64
        The same of each random set.
    distinct : int
        How many of the random sets differ.
    """

    observed: dict[str, float]
    values: dict[str, FloatArray]
    sizes: IntArray
    wanted: float
    reached: FloatArray
    distinct: int

    def share_below(self, measure: str) -> float:
        """Return the share of random sets whose measure is below the chosen set's, ties counting one half."""
        values, own = self.values[measure], self.observed[measure]
        return float((values < own).mean() + 0.5 * (values == own).mean())

    def activation(self) -> dict[str, float]:
        """Return the activation wanted, and the least, median and most that the random sets reach."""
        least, middle, most = np.quantile(self.reached, (0, 0.5, 1))
        return {"wanted": self.wanted, "min": float(least), "median": float(middle), "max": float(most)}

    def describe(self) -> dict[str, Any]:
        """Return plain values for the record beside an export: each measure, and what the sets were like."""
        found: dict[str, Any] = {
            name: {
                "observed": self.observed[name],
                "mean": float(values.mean()),
                "share_of_random_sets_below": self.share_below(name),
            }
            for name, values in self.values.items()
        }
        return found | {"activation": self.activation(), "draws": self.sizes.size, "distinct_sets": self.distinct}


def random_null(
    cohort: Cohort, edit: Edit, match: Match = "count", draws: int = 100, seed: int = 0
) -> NullDistribution:
    """Apply an edit to random sets of live latents.

    Parameters
    ----------
    cohort, edit
        Images and the edit whose set is put to the test.
    match
        "count": as many live latents as the set has; "activation": latents outside the set whose mean activation,
        summed, is within 10 % of the set's.
    draws, seed
        How many random sets, and where they start.

    Raises
    ------
    SettingsError
        If the set has no live latent: nothing would be matched.
    NotMatched
        If latents outside the set do not add up to its activation.
    """
    edit.check(cohort.n_latents)
    if match not in ("count", "activation"):
        raise SettingsError(f"{match!r} is unknown; random sets match 'count' or 'activation'.")
    live = np.flatnonzero(cohort.live)
    inside = edit.mask[live]
    if not inside.any():
        raise SettingsError("none of the chosen latents fires on these images, so random ones cannot be matched.")
    activation = np.asarray(cohort.pooled.mean(axis=0)).ravel()
    wanted = float(activation[live[inside]].sum())
    rng = np.random.default_rng(seed)
    if match == "count":
        sets: Iterator[IntArray] = (rng.permutation(live)[: inside.sum()] for _ in range(draws))
    else:
        sets = _near_in_activation(live[~inside], activation, wanted, draws, rng)
    rows, sizes, reached, seen = [], [], [], set()
    for chosen in sets:
        mask = mask_of(chosen, cohort.n_latents)
        rows.append(cohort.measure(cohort.logits_after(replace(edit, mask=mask)))._asdict())
        sizes.append(chosen.size)
        reached.append(float(activation[chosen].sum()))
        seen.add(mask.tobytes())
    observed = cohort.measure(cohort.logits_after(edit))._asdict()
    values = {name: np.array([row[name] for row in rows]) for name in observed}
    return NullDistribution(observed, values, np.array(sizes), wanted, np.array(reached), len(seen))


def _near_in_activation(
    others: IntArray, activation: FloatArray, wanted: float, draws: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Draw sets of latents whose activation is within a tenth of the one wanted."""
    there = float(activation[others].sum())
    if there < (1 - NEAR) * wanted:
        raise NotMatched(
            f"the latents outside the set have an activation of {there:.4g} together, the set has {wanted:.4g}: "
            "random sets cannot reach it."
        )
    tries = draws * _ORDERS_A_DRAW
    for _ in range(draws):
        chosen = None
        while chosen is None:
            if not tries:
                raise NotMatched(
                    f"too few random sets come within {NEAR:.0%} of the set's activation of {wanted:.4g}: single "
                    f"latents have up to {activation[others].max():.4g}."
                )
            tries -= 1
            chosen = _nearest_set(rng.permutation(others), activation, wanted)
        yield chosen


def _nearest_set(order: IntArray, activation: FloatArray, wanted: float) -> IntArray | None:
    """Take latents in order, passing over those that would lead too far, up to the sum nearest to the one wanted."""
    total, taken, best, length = 0.0, [], np.inf, 0
    for latent, own in zip(order.tolist(), activation[order].tolist(), strict=True):
        if total + own > (1 + NEAR) * wanted:
            continue
        total += own
        taken.append(latent)
        if abs(total - wanted) < best:
            best, length = abs(total - wanted), len(taken)
    return np.array(taken[:length]) if best <= NEAR * wanted else None

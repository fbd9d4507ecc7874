"""What the user wants to do to which latents, as plain values, and what that does to one image. Knows no Qt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ...core.base.errors import SettingsError
from ...core.base.text import numbers_of
from ...core.intervention.edit import Edit, Form
from ...core.stats.measures import FloatArray, IntArray

Source: TypeAlias = Literal["run", "image", "spurious", "pins", "current", "list", "region"]
Direction: TypeAlias = Literal["both", "up", "down"]
EditMode: TypeAlias = Literal["zero", "keep", "scale"]
RANKED: tuple[Source, ...] = ("run", "image", "region")
"""Sources that order all latents, so that k says how many of them are taken."""


@dataclass(frozen=True, slots=True)
class EditState:
    """Everything the user chose; what undo goes back to.

    Attributes
    ----------
    source
        Where the set comes from: the best k of the run's ranking, of what latents add to this image's logit, or of what
        they add inside the drawn region; latents marked spurious; pinned ones; the current one; a list of numbers.
    direction
        For ranked sources: latents that speak for the class, against it, or both (for a run the union of the best k of
        every class, as published).
    mode, form, factor
        As in `core.intervention.Edit`; `factor` for "scale".
    k
        How many latents a ranked source gives (of each class, for "both" over a run).
    numbers
        What was typed for the source "list".
    logit
        The class looked at, by position.
    inside_region
        Whether only cells of the drawn region are edited.
    without_spurious
        The one switch: latents marked spurious are zeroed, whatever else is set.
    """

    source: Source = "image"
    direction: Direction = "both"
    mode: EditMode = "zero"
    form: Form = "replace"
    factor: float = 0.5
    k: int = 0
    numbers: str = ""
    logit: int = 0
    inside_region: bool = False
    without_spurious: bool = False

    @property
    def is_ranked(self) -> bool:
        """Whether k decides about the set."""
        return self.source in RANKED and not self.without_spurious


def entry_of(scores: FloatArray, direction: Direction) -> IntArray:
    """Return the k at which each latent enters, from signed scores, (h,): the highest, lowest or largest first."""
    from ...core.ranking.orders import first_ranks, order_of

    keys = {"up": scores, "down": -scores, "both": np.abs(scores)}[direction]
    return first_ranks([order_of(keys)], scores.size)


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """The sets a state can choose from; what is dear is a function.

    Attributes
    ----------
    n_latents
        h.
    entry
        (source, direction, logit) -> the k at which each latent enters, (h,).
    spurious, pins, current
        Latents.
    region
        -> bool (H', W') of the drawn region, None where there is none.
    """

    n_latents: int
    entry: Callable[[Source, Direction, int], IntArray]
    spurious: Callable[[], tuple[int, ...]]
    pins: tuple[int, ...]
    current: int | None
    region: Callable[[], Any]


def edit_of(state: EditState, sets: Sets) -> Edit:
    """Make the edit that a state asks for.

    Raises
    ------
    SettingsError
        If the set is empty, names latents that are not there, or a region is missing.
    """
    from ...core.intervention.edit import Edit, mask_of
    from ...core.ranking.orders import union_mask

    if state.without_spurious:
        return Edit(_spurious_mask(sets), "zero", state.form)
    if state.is_ranked:
        if state.source == "run" and not state.k:  # none of the best, whether the run is ranked or not
            mask = np.zeros(sets.n_latents, np.bool_)
        else:
            mask = union_mask(sets.entry(state.source, state.direction, state.logit), min(state.k, sets.n_latents))
    elif state.source == "spurious":
        mask = _spurious_mask(sets)
    elif state.source == "pins":
        if not sets.pins:
            raise SettingsError("No latent is pinned; pin some with K, or choose another set.")
        mask = mask_of(sets.pins, sets.n_latents)
    elif state.source == "current":
        mask = mask_of(() if sets.current is None else (sets.current,), sets.n_latents)
    else:
        latents = numbers_of(state.numbers)
        if not latents:
            raise SettingsError("The set is empty: write the numbers of latents, such as 3, 17, 40-44.")
        mask = mask_of(latents, sets.n_latents)
    region = None
    if state.inside_region:
        region = sets.region()
        if region is None:
            raise SettingsError("No region is drawn; draw one in the Latents dock, or edit the whole image.")
    return Edit(mask, state.mode, state.form, state.factor if state.mode == "scale" else None, region)


def _spurious_mask(sets: Sets) -> Any:
    from ...core.intervention.edit import mask_of

    latents = sets.spurious()
    if not latents:
        raise SettingsError("No latent is marked spurious yet. Mark some in the Verdicts dock first.")
    return mask_of(latents, sets.n_latents)


def changes_something(edit: Edit) -> bool:
    """Whether an edit changes any latent at all, on any image."""
    return bool(edit.targets.any()) and not (edit.mode == "scale" and edit.factor == 1.0)

"""What the user wants to do to which latents, as plain values, and what that does to one image. Knows no Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ...core.base.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.intervention.edit import Edit, Form
    from ...core.intervention.image_edit import ImageEdit
    from ...core.models.latents import LatentMaps
    from ...core.models.model import MammoSAE
    from ...core.stats.measures import FloatArray, IntArray

Source: TypeAlias = Literal["run", "image", "spurious", "pins", "current", "list", "region"]
Direction: TypeAlias = Literal["both", "up", "down"]
EditMode: TypeAlias = Literal["zero", "keep", "scale"]
RANKED: tuple[Source, ...] = ("run", "image", "region")
"""Sources that order all latents, so that k says how many of them are taken."""
SHOWN = 8
"""Latents with a bar of their own."""


@dataclass(frozen=True, slots=True)
class EditState:
    """Everything the user chose; what undo goes back to.

    Attributes
    ----------
    source
        Where the set comes from: the best k of the run's ranking, of what latents add to this image's logit, or of what
        they add inside the drawn region; latents called spurious; pinned ones; the current one; a list of numbers.
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
        The one switch: latents called spurious are zeroed, whatever else is set.
    """

    source: Source = "image"
    direction: Direction = "both"
    mode: EditMode = "zero"
    form: Form = "delta"
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


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of a logit.

    Attributes
    ----------
    name, value
        What adds how much.
    kind
        What it is; the last one, "edit", is what the edit changes.
    edited
        Whether it is a latent of which the edit takes something.
    """

    name: str
    value: float
    kind: Literal["bias", "latent", "rest", "error", "edit"]
    edited: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EditView:
    """What an edit does to the image shown.

    Attributes
    ----------
    edit, effect
        The edit, and logits and logit maps before and after.
    model, before, after
        (C,) probabilities of the model itself, and of the unedited and edited latents in the edit's form.
    terms
        Addends of the chosen logit; all but the last sum to it before the edit, all together to it after. None of them
        where what follows the SAE is not linear.
    latents
        Latents of the edit that fire on this image.
    """

    edit: Edit
    effect: ImageEdit
    model: FloatArray
    before: FloatArray
    after: FloatArray
    terms: tuple[Term, ...]
    latents: IntArray


def numbers_of(text: str) -> list[int]:
    """Read a list such as ``3, 17 40-44``.

    Raises
    ------
    SettingsError
        If there is something else in it.
    """
    latents: list[int] = []
    for part in re.findall(r"[^\s,;]+", text):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None:
            raise SettingsError(f"{part!r} is no latent; write numbers such as 3, 17, 40-44.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first > 1_000_000:
            raise SettingsError(f"{part!r} is no range; write the lower number first.")
        latents += range(first, last + 1)
    return latents


def text_of(latents: Any) -> str:
    """Write latents as a list that `numbers_of` reads, neighbours as ranges."""
    ids = np.unique(np.asarray(latents, dtype=np.int64))
    if not ids.size:
        return ""
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    runs = np.split(ids, breaks)
    return ", ".join(f"{run[0]}-{run[-1]}" if run.size > 2 else ", ".join(map(str, run)) for run in runs)


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
        raise SettingsError("No latent is called spurious yet; judge some in the Latents dock first.")
    return mask_of(latents, sets.n_latents)


def changes_something(edit: Edit) -> bool:
    """Whether an edit changes any latent at all, on any image."""
    return bool(edit.targets.any()) and not (edit.mode == "scale" and edit.factor == 1.0)


def view_of(model: MammoSAE, maps: LatentMaps, edit: Edit, logit: int) -> EditView:
    """Apply an edit to an image's latents.

    Raises
    ------
    SettingsError
        If the edit is for another number of latents or cells.
    """
    from ...core.intervention.image_edit import edit_image

    effect = edit_image(maps, model.attribution, model.constant, edit)
    if maps.values.dtype == np.float16 and edit.region is None:
        effect = replace(effect, **_exact_logits(model, maps, edit))
    live = np.asarray(maps.latents, dtype=np.int64)
    return EditView(
        edit,
        effect,
        model.probabilities(maps.logits),
        model.probabilities(effect.before),
        model.probabilities(effect.after),
        terms_of(model, maps, edit, effect, logit),
        live[edit.targets[live]],
    )


def passed_view(model: MammoSAE, maps: LatentMaps, edit: Edit, after: FloatArray) -> EditView:
    """What an edit does to an image whose logits (C,) after it came of a pass through the network."""
    from ...core.intervention.image_edit import ImageEdit

    before = maps.logits_sae if edit.form == "replace" else maps.logits
    live = np.asarray(maps.latents, dtype=np.int64)
    own, start, stop = (model.probabilities(logits) for logits in (maps.logits, before, after))
    return EditView(edit, ImageEdit(before, after), own, start, stop, (), live[edit.targets[live]])


def _exact_logits(model: MammoSAE, maps: LatentMaps, edit: Edit) -> dict[str, FloatArray]:
    """Logits before and after from the means, which a run keeps at full precision, its maps only at half of it."""
    means = maps.pooled_mean.astype(np.float64)
    change = model.attribution @ np.where(edit.targets, (edit.factor - 1.0) * means, 0.0)
    before = model.constant + model.attribution @ means if edit.form == "replace" else maps.logits
    return {"before": before, "after": before + change}


def terms_of(model: MammoSAE, maps: LatentMaps, edit: Edit, effect: ImageEdit, logit: int) -> tuple[Term, ...]:
    """Take one logit apart: bias, the largest contributions, all others summed, the SAE's error, and the edit."""
    from ...core.intervention.explain import explain

    parts = explain(
        maps.pooled_mean,
        model.attribution[logit],
        float(model.constant[logit]),
        float(maps.logits[logit]),
        float(maps.logits_sae[logit]),
    )
    latents, values, rest = parts.largest(SHOWN)
    targets = edit.targets if changes_something(edit) else np.zeros_like(edit.mask)
    terms = [Term("bias", parts.bias, "bias")]
    terms += [
        Term(str(latent), float(value), "latent", bool(targets[latent]))
        for latent, value in zip(latents, values, strict=True)
    ]
    others = parts.latents.size - latents.size
    if others:
        terms.append(Term(f"{others} others", rest, "rest"))
    if edit.form == "delta":
        terms.append(Term("SAE error", parts.error, "error"))
    terms.append(Term("edit", float(effect.after[logit] - effect.before[logit]), "edit"))
    return tuple(terms)


def summary(state: EditState, view: EditView) -> str:
    """Say in a few words what is edited."""
    edit, size = view.edit, int(view.edit.mask.sum())
    if state.without_spurious:
        what = f"without {size} spurious latent{'s' * (size != 1)}"
    else:
        verb = {"zero": "without", "keep": "only", "scale": f"{state.factor:g} x"}[edit.mode]
        what = f"{verb} {size:,} latent{'s' * (size != 1)}"
    where = ", inside the region" if edit.region is not None else ""
    return f"{what}{where} ({edit.form})"

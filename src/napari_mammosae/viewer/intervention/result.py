"""What an edit does to the prediction of the image shown, as a panel needs it. Knows no Qt."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...core.base.errors import SettingsError
from ...core.intervention.edit import Edit
from ...core.intervention.image_edit import ImageEdit
from ...core.intervention.smallest_flip import FlipSet
from ...core.models.contributions import Contributions
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ...core.stats.measures import FloatArray, IntArray
from .state import EditState, changes_something

SHOWN = 8
"""Latents with a bar of their own."""


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
    latent
        Which one, -1 for what is none.
    """

    name: str
    value: float
    kind: Literal["bias", "latent", "rest", "error", "edit"]
    edited: bool = False
    latent: int = -1


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
        Addends of the chosen logit; all but the last sum to it before the edit, all together to it after. Where what
        follows the SAE is not linear they are contributions by gradients, and none while these were not computed.
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


def view_of(model: ModelFacts, maps: LatentMaps, edit: Edit, logit: int) -> EditView:
    """Apply an edit to an image's latents.

    Raises
    ------
    SettingsError
        If the edit is for another number of latents or cells.
    """
    from ...core.intervention.image_edit import edit_image

    effect = edit_image(maps, *model.linear_tail(), edit)
    if maps.rounded and edit.region is None:
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


def passed_view(
    model: ModelFacts,
    maps: LatentMaps,
    edit: Edit,
    after: FloatArray,
    logit: int = 0,
    contributions: Contributions | None = None,
) -> EditView:
    """What an edit does to an image whose logits (C,) after it came of a pass through the network.

    The terms of the chosen logit are those of its contributions, where there are any.
    """
    from ...core.intervention.image_edit import ImageEdit

    before = maps.logits_sae if edit.form == "replace" else maps.logits
    live = np.asarray(maps.latents, dtype=np.int64)
    own, start, stop = (model.probabilities(logits) for logits in (maps.logits, before, after))
    effect = ImageEdit(before, after)
    terms = () if contributions is None else _estimated_terms(contributions, maps, edit, effect, logit)
    return EditView(edit, effect, own, start, stop, terms, live[edit.targets[live]])


def _estimated_terms(
    found: Contributions, maps: LatentMaps, edit: Edit, effect: ImageEdit, logit: int
) -> tuple[Term, ...]:
    """Take one logit apart by contributions that do not quite add up: what they leave open is a term of its own."""
    values = found.values[logit]
    order = np.argsort(-np.abs(values), kind="stable")
    targets = edit.targets if changes_something(edit) else np.zeros_like(edit.mask)
    terms = [Term("no latent", float(found.start[logit]), "bias")]
    terms += [
        Term(str(found.latents[at]), float(values[at]), "latent", bool(targets[found.latents[at]]))
        for at in order[:SHOWN]
    ]
    if order.size > SHOWN:
        terms.append(Term(f"{order.size - SHOWN} others", float(values[order[SHOWN:]].sum()), "rest"))
    terms.append(Term("left open", float(found.error[logit]), "error"))
    if edit.form == "delta":
        terms.append(Term("SAE error", float(maps.logits[logit] - maps.logits_sae[logit]), "error"))
    terms.append(Term("edit", float(effect.after[logit] - effect.before[logit]), "edit"))
    return tuple(terms)


def _exact_logits(model: ModelFacts, maps: LatentMaps, edit: Edit) -> dict[str, FloatArray]:
    """Logits before and after from the means, which a run keeps at full precision, its maps only at half of it."""
    (attribution, constant), means = model.linear_tail(), maps.pooled_mean.astype(np.float64)
    change = attribution @ np.where(edit.targets, (edit.factor - 1.0) * means, 0.0)
    before = constant + attribution @ means if edit.form == "replace" else maps.logits
    return {"before": before, "after": before + change}


def terms_of(model: ModelFacts, maps: LatentMaps, edit: Edit, effect: ImageEdit, logit: int) -> tuple[Term, ...]:
    """Take one logit apart: bias, the largest contributions, all others summed, the SAE's error, and the edit."""
    from ...core.intervention.explain import explain

    attribution, constant = model.linear_tail()
    parts = explain(
        maps.pooled_mean,
        attribution[logit],
        float(constant[logit]),
        float(maps.logits[logit]),
        float(maps.logits_sae[logit]),
    )
    latents, values, rest = parts.largest(SHOWN)
    targets = edit.targets if changes_something(edit) else np.zeros_like(edit.mask)
    terms = [Term("bias", parts.bias, "bias")]
    terms += [
        Term(str(latent), float(value), "latent", bool(targets[latent]), int(latent))
        for latent, value in zip(latents, values, strict=True)
    ]
    others = parts.latents.size - latents.size
    if others:
        terms.append(Term(f"{others} others", rest, "rest"))
    if edit.form == "delta":
        terms.append(Term("SAE error", parts.error, "error"))
    terms.append(Term("edit", float(effect.after[logit] - effect.before[logit]), "edit"))
    return tuple(terms)


def flip_of(model: ModelFacts, maps: LatentMaps, state: EditState, factor: float) -> FlipSet:
    """Find the fewest latents that, multiplied by a factor, change the decision for the class looked at."""
    from ...core.intervention.smallest_flip import smallest_flip

    head = model.head_of(state.logit)
    if not head.decides:
        raise SettingsError("A single prompt decides nothing. Write a pair with | between.")
    logits = model.logits_of(head.name) if head.task == "multiclass" else slice(state.logit, state.logit + 1)
    live = np.asarray(maps.latents, dtype=np.int64)
    parts = model.linear_tail()[0][logits, live] * maps.pooled_mean[live].astype(np.float64)
    start = maps.logits_sae if state.form == "replace" else maps.logits
    return smallest_flip(live, parts, start[logits], factor=factor, original=maps.logits[logits])


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


_KEPT = 64


class Passes:
    """Logits of the edits that were passed through for one image; `forget` before another one.

    Attributes
    ----------
    key
        What the model keeps the image's features under, to pass edits on from.
    """

    def __init__(self) -> None:
        self.key = ""
        self._logits: dict[tuple[Any, ...], FloatArray] = {}

    def forget(self, key: str = "") -> None:
        """Another image or model, whose features are under this key: nothing holds."""
        self.key = key
        self._logits.clear()

    def logits(self, edit: Edit) -> FloatArray | None:
        """Return the logits (C,) of exactly this edit; None where it was not passed through yet."""
        return self._logits.get(_key(edit))

    def take(self, edit: Edit, key: str, logits: FloatArray) -> None:
        """Keep what came of a pass."""
        while len(self._logits) >= _KEPT:
            self._logits.pop(next(iter(self._logits)))
        self.key = key
        self._logits[_key(edit)] = logits


def _key(edit: Edit) -> tuple[Any, ...]:
    region = None if edit.region is None else edit.region.tobytes()
    return edit.mask.tobytes(), edit.mode, edit.form, edit.value, region

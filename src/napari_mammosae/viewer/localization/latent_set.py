"""Which latents the *Localise* dock takes as one heatmap, and how. Knows no Qt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.base.errors import SettingsError
from ...core.localization.combination import Combination
from ...core.models.facts import ModelFacts
from ...core.models.latents import LatentMaps
from ..app.session import Session

Source: TypeAlias = Literal["current", "pins", "first", "lesion", "anatomy", "spurious"]
MOST = 64
"""Latents that can be taken from the front of the stack."""


@dataclass(frozen=True, slots=True)
class Together:
    """What the user chose.

    Attributes
    ----------
    source
        The current latent alone, or the pinned ones, the first `count` of the stack, or those of a verdict.
    how
        How several heatmaps are combined: see `core.localization.CombinedMap`.
    """

    source: Source = "current"
    how: Combination = "maximum"
    count: int = 10

    @property
    def is_alone(self) -> bool:
        """Whether it is the current latent's own heatmap."""
        return self.source == "current"


@dataclass(frozen=True, slots=True)
class LatentSet:
    """Latents that are taken as one.

    Attributes
    ----------
    latents, live
        All of them, and those that fire on the image.
    how
        How their heatmaps become one.
    logit
        The class a class activation map speaks for, by position; None for the other combinations.
    about
        What it is, as a sentence for the user.
    """

    latents: tuple[int, ...]
    live: tuple[int, ...]
    how: Combination
    logit: int | None
    about: str


def latents_of(choice: Together, session: Session, verdicts: Callable[[], Mapping[int, str]]) -> tuple[int, ...]:
    """Return the latents of a choice, from what the session and the person judging (latent -> verdict) say.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if choice.source == "pins":
        if not session.pins:
            raise SettingsError("No latent is pinned: pin some with K, or choose another heatmap.")
        return session.pins
    if choice.source == "first":
        order = session.order
        return tuple(order.latents[: choice.count].tolist()) if order is not None else ()
    found = tuple(sorted(latent for latent, verdict in verdicts().items() if verdict == choice.source))
    if not found:
        raise SettingsError(f"No latent is marked {choice.source}: mark some in the Verdicts dock first.")
    return found


def set_of(choice: Together, latents: tuple[int, ...], model: ModelFacts, maps: LatentMaps, finding: str) -> LatentSet:
    """Describe latents on an image; a class activation map is that of the finding's class, else of the likeliest one.

    Raises
    ------
    SettingsError
        If latents are not the model's, or a class activation map was asked for where it does not exist.
    """
    if latents and max(latents) >= maps.shape[0]:
        raise SettingsError(f"There is no latent {max(latents)}: the SAE has {maps.shape[0]:,}.")
    fires = set(maps.latents.tolist())
    live = tuple(latent for latent in latents if latent in fires)
    logit, what = None, {"maximum": "Maximum", "union": "Union"}.get(choice.how, "")
    if choice.how == "logit":
        if why := no_class_map(model):
            raise SettingsError(why)
        classes = model.classes
        logit = classes.index(finding) if finding in classes else int(np.argmax(maps.logits))
        what = f"What supports {classes[logit].replace('_', ' ')} in the weighted sum"
    names = ", ".join(map(str, latents[:6])) + (f" and {len(latents) - 6:,} more" if len(latents) > 6 else "")
    silent = len(latents) - len(live)
    about = f"{what} of {len(latents):,} latent{'s' * (len(latents) != 1)}: {names}"
    return LatentSet(latents, live, choice.how, logit, f"{about}; {silent:,} silent here" if silent else about)


def no_class_map(model: ModelFacts) -> str:
    """Say why a model has no class activation map; an empty string where it has one."""
    if not model.classes:
        return f"{model.name} has no classifier, so there is no class activation map."
    if not model.linear:
        return f"{model.obstacle}, so there is no class activation map."
    return ""


def weights_of(one: LatentSet, model: ModelFacts) -> NDArray[np.float64] | None:
    """What the live latents' activations add to the logit; may take a while the first time."""
    return None if one.logit is None else model.linear_tail()[0][one.logit, list(one.live)]

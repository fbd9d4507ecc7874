"""What the current state looks like: ranks, numbers, contrast limits and texts, worked out in one pure place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...core.models.facts import ModelFacts
    from ...core.models.latents import LatentMaps
    from ..app.session import Session

# Maxima of live latents reach far up; the few above this quantile saturate rather than darken all others.
_SHARED_QUANTILE = 0.99


MOST_LINES = 6
"""Of predictions on the canvas."""


@dataclass(frozen=True, slots=True)
class LatentView:
    """The current latent, ready to be shown.

    Attributes
    ----------
    rank, latent
        Position in the order (from 0), and the latent's number.
    score
        What put it there; nan when unknown.
    maximum
        Its largest value on the image (0 when it is silent).
    limits
        Contrast limits, always low < high.
    text
        The overlay's lines.
    """

    rank: int
    latent: int
    score: float
    maximum: float
    limits: tuple[float, float]
    text: str


def resolve(session: Session) -> LatentView | None:
    """Work out the view of the current latent; None until an image's latents are there."""
    maps, order, latent = session.maps, session.order, session.current
    if maps is None or order is None or latent is None:
        return None
    rank = int(order.ranks[latent])
    score, maximum = float(order.scores[latent]), float(maps.pooled_max[latent])
    cells, fires = maps.shape[1] * maps.shape[2], int(maps.active_cells[latent])
    where = f"maximum {maximum:.3g}, fires in {fires:,} of {cells:,} cells" if fires else "silent on this image"
    lines = [f"latent {latent}", where]
    if not session.blind:
        lines[:1] = [
            f"rank {rank + 1:,} of {maps.shape[0]:,}   latent {latent}",
            f"{order.name} {score:.4g}" if np.isfinite(score) else f"in the order of {order.name}",
        ]
    if session.verdicts is not None and (verdict := session.verdicts(latent)):
        lines.append(verdict)
    if (name := session.names.get(latent)) is not None:
        lines += [name.title, name.evidence]
    return LatentView(rank, latent, score, maximum, contrast_limits(session, maps, latent), "\n".join(lines))


def contrast_limits(session: Session, maps: LatentMaps, latent: int) -> tuple[float, float]:
    """Limits for one latent in the session's contrast mode; (0, 1) where it would be empty."""
    if session.contrast == "manual":
        low, high = session.manual_limits
        return (low, high) if high > low else (low, low + 1.0)
    high = shared_maximum(maps) if session.contrast == "shared" else float(maps.pooled_max[latent])
    return (0.0, high) if high > 0 else (0.0, 1.0)


def shared_maximum(maps: LatentMaps) -> float:
    """Upper limit of the one scale for all latents: the 99 % quantile of the live latents' maxima."""
    live = maps.pooled_max[maps.latents]
    return float(np.quantile(live, _SHARED_QUANTILE)) if live.size else 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """Logit and probability of one class, without and with the SAE in the path."""

    name: str
    logit: float
    probability: float
    logit_sae: float
    probability_sae: float


def predictions(model: ModelFacts, maps: LatentMaps, hidden: Sequence[str] = ()) -> list[Prediction]:
    """Logit and probability of every class on the image, but for those of hidden heads."""
    columns = (maps.logits, model.probabilities(maps.logits), maps.logits_sae, model.probabilities(maps.logits_sae))
    rows = [
        Prediction(name, *(float(value) for value in row)) for name, *row in zip(model.titles, *columns, strict=True)
    ]
    return [rows[place] for place in shown_logits(model, hidden)]


def shown_logits(model: ModelFacts, hidden: Sequence[str]) -> list[int]:
    """Which logits are shown, where some heads are hidden."""
    owners = [head.name for head in model.heads for _ in head.classes]
    return [place for place, name in enumerate(owners) if name not in hidden]


def prediction_text(rows: list[Prediction]) -> str:
    """Lines for the canvas: probability, logit, and both with the SAE, short enough for a laptop's canvas."""
    return "\n".join(
        few_lines(
            f"{row.name} {chance_text(row.probability)} ({row.logit:+.2f}), "
            f"SAE {chance_text(row.probability_sae)} ({row.logit_sae:+.2f})"
            for row in rows
        )
    )


def few_lines(lines: Iterable[str]) -> list[str]:
    """Return as many lines as leave the image to be seen, and how many more there are.

    >>> few_lines("abcdefgh")
    ['a', 'b', 'c', 'd', 'e', '3 more in the dock']
    """
    found = list(lines)
    more = len(found) - MOST_LINES
    return found if more <= 0 else [*found[: MOST_LINES - 1], f"{more + 1} more in the dock"]


def chance_text(probability: float) -> str:
    """A probability as people read it; a dash for a prompt, which has none.

    >>> chance_text(0.5), chance_text(float("nan"))
    ('0.500', '–')
    """
    return "–" if np.isnan(probability) else f"{probability:.3f}"

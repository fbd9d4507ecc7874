"""The smallest set of latents whose removal changes the decision, exact because the tail is additive."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray
from ..stats.predictions import decisions


@dataclass(frozen=True, slots=True, eq=False)
class FlipSet:
    """Latents to remove, and what the logits are then.

    Attributes
    ----------
    found : bool
        False where no set changes the decision; `latents` then pushes as far as it goes for one logit, and is empty for
        several.
    latents : (m,) int64
        In the order of removal.
    before, after : (C,) float64
        Logits with all latents, and without the set.
    decided : tuple of int
        Decision before and after: 0 or 1 for one logit, a class number for several.
    note : str
        What else to know, such as that the reconstruction alone changes the decision already.
    """

    found: bool
    latents: IntArray
    before: FloatArray
    after: FloatArray
    decided: tuple[int, int]
    note: str = ""


def smallest_flip(
    latents: ArrayLike,
    contributions: ArrayLike,
    start: ArrayLike,
    *,
    factor: float = 0.0,
    original: ArrayLike | None = None,
) -> FlipSet:
    """Find the fewest latents that, zeroed or scaled, change the decision of one image.

    One logit: a positive is turned off by the most positive contributions, a negative on by the most negative ones, one
    after another; sorting by size alone would be wrong. Several: for each rival of the decided class the latents that
    favour the decided class over it most; the smallest of these sets is exact for "the decision changes", not for "it
    becomes a given class".

    Parameters
    ----------
    latents : (L,)
        Latents that may be removed.
    contributions : (L,) or (C, L)
        What each adds to the logits.
    start : number or (C,)
        Logits before: the reconstruction's where it takes the features' place, else the model's own.
    factor
        What the set is multiplied by, 0 to remove it; above 1 latents are amplified.
    original : number or (C,), optional
        The model's own logits, to say when the reconstruction alone decides otherwise.

    Raises
    ------
    SettingsError
        If sizes do not fit, or the factor is 1, negative or not finite.
    """
    ids = np.asarray(latents, dtype=np.int64)
    parts = np.atleast_2d(np.asarray(contributions, dtype=np.float64))
    before = np.atleast_1d(np.asarray(start, dtype=np.float64))
    if parts.shape != (before.size, ids.size):
        raise SettingsError(
            f"contributions are {parts.shape}; ({before.size} logits, {ids.size} latents) was expected."
        )
    if not np.isfinite(factor) or factor < 0 or factor == 1:
        raise SettingsError(f"a factor of {factor} changes nothing or means nothing; 0 removes latents.")
    note = ""
    if original is not None and _decide(np.atleast_1d(np.asarray(original, dtype=np.float64))) != _decide(before):
        note = "the SAE reconstruction alone changes the decision"
    changes = (factor - 1.0) * parts
    best: IntArray | None = None
    furthest = ids[:0]
    for pull in _pulls(changes, before):
        order = np.lexsort((ids, -pull))
        order = order[pull[order] > 0]
        furthest = order
        reached = before[:, None] + np.cumsum(changes[:, order], axis=1)
        flipped = np.flatnonzero(decisions(reached.T) != _decide(before))
        if flipped.size and (best is None or flipped[0] + 1 < best.size):
            best = order[: flipped[0] + 1]
    found = best is not None
    chosen = best if best is not None else furthest if before.size == 1 else ids[:0]
    after = before + (np.cumsum(changes[:, chosen], axis=1)[:, -1] if chosen.size else 0.0)
    return FlipSet(found, ids[chosen], before, after, (_decide(before), _decide(after)), note)


def _pulls(changes: FloatArray, before: FloatArray) -> list[FloatArray]:
    """How far editing each latent moves the decision towards changing, once for each rival."""
    decided = _decide(before)
    if before.size == 1:
        return [-changes[0] if decided else changes[0]]
    return [changes[rival] - changes[decided] for rival in range(before.size) if rival != decided]


def _decide(logits: FloatArray) -> int:
    return int(decisions(logits[None])[0])

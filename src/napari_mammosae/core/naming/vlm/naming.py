"""Naming latents: several draws of images of each, each asked once, and the name that speaks for them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .agreement import medoid
from .questions import ask_for_name
from .server.answers import UNCLEAR, NameAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .asking import Asker
    from .images_of_run import RunImages
    from .questions import Question
    from .tasks import LatentTask


@dataclass(frozen=True, slots=True)
class Named:
    """What a latent was called.

    Attributes
    ----------
    name, category, evidence
        Of the draw that is most like the others; no name where most draws see no common pattern.
    agreement
        Mean likeness of the names of all draws, from 0 to 1; NaN for a single one.
    draws
        The names of all draws, "unclear" among them.
    consistent, confidence
        As the server states them for that draw: its own judgement, not a measure.
    """

    name: str = ""
    category: str = UNCLEAR
    evidence: str = ""
    agreement: float = float("nan")
    draws: tuple[str, ...] = ()
    consistent: int = 0
    confidence: int = 0


def name_all(tasks: Sequence[LatentTask], asker: Asker, images: RunImages) -> dict[int, Named]:
    """Ask for the names of latents, once for each draw of images, and return them by latent."""
    answers = iter(asker.parsed(_questions(tasks, images), NameAnswer))
    return {task.latent: settle_name([one for _ in task.draws if (one := next(answers))]) for task in tasks}


def _questions(tasks: Sequence[LatentTask], images: RunImages) -> Iterator[Question]:
    for task in tasks:
        maps = images.maps_of(task.latent)
        for seed, (rows, alike) in enumerate(zip(task.draws, task.alike, strict=True), start=1):
            pictures = [picture for row in rows for picture in images.pair(int(row), maps[int(row)])]
            pictures += [images.whole(int(row)) for row in alike]
            yield ask_for_name(pictures, len(rows), len(alike), seed)


def settle_name(answers: list[NameAnswer]) -> Named:
    """Return the name of the answer that is most like the others; none where most of them are unclear."""
    clear = [one for one in answers if one.category != UNCLEAR]
    draws = tuple(one.name if one.category != UNCLEAR else UNCLEAR for one in answers)
    if not answers:
        return Named()
    agreement = medoid(draws)[1]
    if 2 * len(clear) <= len(answers):
        return Named(agreement=agreement, draws=draws)
    best = clear[medoid([one.name for one in clear])[0]]
    return Named(
        best.name, best.category, best.evidence, agreement, draws, best.consistent, best.confidence
    )  # fmt: skip

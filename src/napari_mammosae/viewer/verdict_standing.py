"""What a verdict file says about one SAE's latents, as one annotator sees it. Knows no Qt; a long file is read here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..core.verdicts.state import VerdictState
from ..core.verdicts.store import VerdictStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..core.verdicts.store import Event, Subject
    from .app.jobs import Report

_PAGE = 100  # latents read at a time: a millisecond or so
_BREATH = 0.001  # seconds


class Standing:
    """Verdicts that hold now, divided into one's own and everybody else's.

    Attributes
    ----------
    annotator
        Whose are one's own.
    number
        How far the file was read.
    mine
        Latent -> what the annotator says now.
    others
        Latent -> what everybody else says now.
    """

    def __init__(self, annotator: str) -> None:
        self.annotator = annotator
        self.mine: dict[int, Event] = {}
        self.others: dict[int, list[Event]] = {}
        self._state = VerdictState()

    @property
    def number(self) -> int:
        """How far the file was read."""
        return self._state.number

    def take(self, events: Iterable[Event], number: int | None = None) -> set[int]:
        """Take events of the log, read as far as a number; return the latents of which something else is said now."""
        changed = self._state.take(events)
        if number is not None:
            self._state.number = number
        for latent in changed:
            said = dict(self._state.of(latent))
            own = said.pop(self.annotator, None)
            self.mine.pop(latent, None)
            self.others.pop(latent, None)
            if own is not None:
                self.mine[latent] = own
            if said:
                self.others[latent] = [said[who] for who in sorted(said)]
        return changed

    def see_as(self, annotator: str) -> None:
        """Divide anew for another annotator."""
        self.annotator = annotator
        self.mine, self.others = self._state.by(annotator), self._state.others(annotator)


def read_standing(path: Path, subject: Subject, annotator: str, report: Report) -> Standing:
    """Read a file of any length; made for a worker thread, with a connection of its own.

    Raises
    ------
    VerdictError
        It cannot be read.
    """
    standing = Standing(annotator)
    with VerdictStore(path, annotator, create=False) as store:
        number, end = store.waiting(0), store.end(subject)  # what comes in from here on is read by the next look
        for low in range(0, end, _PAGE):
            report(f"Reading {path.name}", low, end)
            standing.take(store.latest(subject, low, low + _PAGE)[1], number)
            # Python lets one thread work at a time, and a drawing asks for its turn hundreds of times.
            time.sleep(_BREATH)
    return standing

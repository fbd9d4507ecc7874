"""What holds now, kept up with a log that grows: no need to read all of it again."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from .store import VerdictStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..base.progress import Report
    from .events import Event
    from .reader import VerdictReader
    from .store import Subject
    from .suggestions import Suggestion


_NOBODY: Mapping[str, Event] = MappingProxyType({})


class VerdictState:
    """The last event of each latent and annotator, for one subject.

    An event that takes everything back is kept as well, for it may be later than one that is still to come: somebody
    else's decisions are merged long after they were made.

    Attributes
    ----------
    number
        How far the file was read, as `VerdictReader.arrived` counts.
    """

    def __init__(self) -> None:
        self.number = 0
        self._latest: dict[int, dict[str, Event]] = {}

    def take(self, events: Iterable[Event]) -> set[int]:
        """Take events of the log, in any order, twice if need be; return the latents whose state they changed."""
        changed = set()
        for event in events:
            said = self._latest.setdefault(event.latent, {})
            before = said.get(event.annotator)
            if before is None or (event.time, event.uuid) > (before.time, before.uuid):
                said[event.annotator] = event
                changed.add(event.latent)
        return changed

    def of(self, latent: int) -> Mapping[str, Event]:
        """Return what is said about a latent: annotator -> event, those who took everything back left out."""
        said = self._latest.get(latent)
        return _NOBODY if said is None else {who: event for who, event in said.items() if says(event)}

    def by(self, annotator: str) -> dict[int, Event]:
        """Return what an annotator says: latent -> event."""
        found = ((latent, said.get(annotator)) for latent, said in self._latest.items())
        return {latent: event for latent, event in found if event is not None and says(event)}

    def others(self, annotator: str) -> dict[int, list[Event]]:
        """Return what everybody else says: latent -> events, by name."""
        found = {}
        for latent, said in self._latest.items():
            events = [said[who] for who in sorted(said) if who != annotator and says(said[who])]
            if events:
                found[latent] = events
        return found


def says(event: Event) -> bool:
    """Whether an event leaves anything said."""
    return bool(event.verdict or event.concept or event.note or event.rejected)


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
    suggestions
        Latent -> what each method suggests now.
    suggested
        How many suggestions the file held when they were read, as `VerdictReader.count_suggestions` counts.
    """

    def __init__(self, annotator: str) -> None:
        self.annotator = annotator
        self.mine: dict[int, Event] = {}
        self.others: dict[int, list[Event]] = {}
        self.suggestions: dict[int, list[Suggestion]] = {}
        self.suggested = 0
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

    def take_suggestions(self, store: VerdictReader, subject: Subject) -> set[int]:
        """Read what methods suggest, if some came in; return the latents that may be called something else now."""
        number = store.count_suggestions()  # asked first: what is written from here on is found by the next look
        if number == self.suggested:
            return set()
        self.suggested, self.suggestions = number, store.suggestions(subject)
        return set(self.suggestions)

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
        standing.take_suggestions(store, subject)
    return standing

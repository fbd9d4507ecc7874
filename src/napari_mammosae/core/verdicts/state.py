"""What holds now, kept up with a log that grows: no need to read all of it again."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .events import Event

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
    return bool(event.verdict or event.concept or event.note)

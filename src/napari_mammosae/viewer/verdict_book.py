"""What was decided about the latents of the model or run at hand: one verdict file, kept in step with the session."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from ..core.errors import VerdictError
from ..core.verdicts import Event, Evidence, Subject, VerdictStore, default_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..core.verdicts import Verdict
    from .session import Session

_PATIENCE = 0.5  # seconds that a decision waits for another program's; the window stands still meanwhile


class VerdictBook:
    """The verdict file in use, and what it says about the current model's latents.

    Everything is read once and kept, so that a table may ask for every latent. The file is opened when there is
    something to read or to write: looking at an image makes no file.

    Attributes
    ----------
    changed
        Emits when any verdict, the file, the annotator or what is judged changed.
    mine
        Latent -> what the annotator says now.
    others
        Latent -> what everybody else says now.
    """

    changed = Signal()

    def __init__(self, session: Session, annotator: str = "") -> None:
        self._session = session
        self._annotator = annotator
        self._chosen: Path | None = None
        self._store: VerdictStore | None = None
        self._version = 0
        self.mine: dict[int, Event] = {}
        self.others: dict[int, list[Event]] = {}
        self._lines: dict[int, str] = {}
        for event in (session.events.model, session.events.run):
            event.connect(self.reload)
        session.events.blind.connect(self._announce)

    def close(self) -> None:
        """Close the file and stop following the session."""
        for event in (self._session.events.model, self._session.events.run):
            event.disconnect(self.reload, missing_ok=True)
        self._session.events.blind.disconnect(self._announce, missing_ok=True)
        self._close_store()

    # What is judged, where, by whom

    @property
    def subject(self) -> Subject | None:
        """The model and SAE whose latents are judged: the loaded ones, else those of the open run."""
        model, run = self._session.model, self._session.run
        if model is not None:
            return Subject(model.model_sha256, model.sae_sha256)
        return Subject(run.info["model_sha256"], run.info["sae_sha256"]) if run is not None else None

    @property
    def path(self) -> Path:
        """The file in use: the one the user chose, else that of the open run, else the user's own."""
        run = self._session.run
        return self._chosen or default_path(run.path if run is not None else None)

    def use_path(self, path: Path | None) -> None:
        """Write into another file from now on; None for the usual one.

        Raises
        ------
        VerdictError
            The file is no verdict file, or cannot be written; the one before stays in use.
        """
        if path is not None:
            VerdictStore(path, self._annotator or None, timeout=_PATIENCE).close()
        self._chosen = path
        self.reload()

    @property
    def annotator(self) -> str:
        """Who decides."""
        if not self._annotator:
            import getpass

            self._annotator = getpass.getuser()
        return self._annotator

    @annotator.setter
    def annotator(self, name: str) -> None:
        if name.strip() and name.strip() != self._annotator:
            self._annotator = name.strip()
            if self._store is not None:
                self._store.annotator = self._annotator
            self.reload()

    @property
    def notice(self) -> str:
        """What should be known about the file: that it cannot have a write-ahead log, for example."""
        return self._store.notice if self._store is not None else ""

    # Reading

    def line(self, latent: int) -> str | None:
        """Verdict, concept and who else says what about a latent, in a line; None when nobody said anything."""
        return self._lines.get(latent)

    def verdict(self, latent: int) -> str:
        """The annotator's verdict on a latent; empty when there is none."""
        event = self.mine.get(latent)
        return event.verdict if event is not None else ""

    def concepts(self) -> list[str]:
        """Concept names to complete from."""
        if self._store is not None:
            return self._store.concepts()
        from ..core.vocabulary import FIRST_CONCEPTS

        return sorted(FIRST_CONCEPTS)

    def reload(self, *_: object) -> None:
        """Read the file that fits the session now."""
        if self._store is not None and self._store.path != self.path:
            self._close_store()
        if self._store is None and self.path.is_file():
            self._open()
        self.mine, self.others = {}, {}
        subject = self.subject
        if self._store is not None and subject is not None:
            self._version = self._store.version
            for event in self._store.current(subject):
                if event.annotator == self.annotator:
                    self.mine[event.latent] = event
                else:
                    self.others.setdefault(event.latent, []).append(event)
        self._announce()

    def poll(self) -> None:
        """Read again if another program has written to the file, or has made it."""
        if self._store is None:
            if self.path.is_file():
                self.reload()
        elif self._store.version != self._version:
            self.reload()

    # Writing

    def decide(
        self,
        latent: int,
        verdict: Verdict | Literal[""] | None = None,
        *,
        concept: str | None = None,
        note: str | None = None,
        evidence: Evidence | None = None,
    ) -> Event:
        """Record a decision about a latent; it is on the disk when this returns.

        Raises
        ------
        VerdictError
            It could not be written, or there is no model and no run whose latent it would be.
        """
        subject = self.subject
        if subject is None:
            raise VerdictError("Load a model or open a run first: a verdict belongs to the latents of one SAE.")
        store = self._store or self._open()
        event = store.decide(subject, latent, verdict, concept=concept, note=note, evidence=evidence)
        if concept and concept not in store.concepts():
            store.add_concept(concept)
        self._take(event)
        return event

    def undo(self) -> Event | None:
        """Take the last decision of this session back; None when there is none."""
        return self._step(lambda store: store.undo())

    def redo(self) -> Event | None:
        """Decide again what was taken back last; None when there is nothing."""
        return self._step(lambda store: store.redo())

    def list_concept(self, concept: str, listed: bool) -> None:
        """Put a name into the vocabulary, or take it out."""
        store = self._store or self._open()
        (store.add_concept if listed else store.remove_concept)(concept)
        self.changed.emit()

    def _step(self, move: Callable[[VerdictStore], Event | None]) -> Event | None:
        event = move(self._store) if self._store is not None else None
        if event is not None:
            self._take(event)
        return event

    def _take(self, event: Event) -> None:
        """Keep what was just written: no need to read the file again."""
        if event.subject != self.subject or event.annotator != self.annotator:
            return
        if event.verdict or event.concept or event.note:
            self.mine[event.latent] = event
        else:
            self.mine.pop(event.latent, None)
        self._announce({event.latent})

    def _open(self) -> VerdictStore:
        self._store = VerdictStore(self.path, self.annotator, timeout=_PATIENCE)
        self._version = self._store.version
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _announce(self, latents: Any = None) -> None:
        if isinstance(latents, set):
            for latent in latents:
                self._write_line(latent)
        else:
            self._lines = {}
            for latent in self.mine.keys() | self.others.keys():
                self._write_line(latent)
        self._session.verdicts = self.line
        self.changed.emit()

    def _write_line(self, latent: int) -> None:
        own = self.mine.get(latent)
        others = [] if self._session.blind else self.others.get(latent, [])
        parts = [_said(own)] if own is not None else []
        parts += [f"{_said(event)} ({event.annotator})" for event in others]
        if parts:
            self._lines[latent] = "; ".join(parts)
        else:
            self._lines.pop(latent, None)


def _said(event: Event) -> str:
    """``spurious: view marker``."""
    return ": ".join(part for part in (event.verdict or "no verdict", event.concept) if part)


def when(event: Event) -> str:
    """Local date and time of an event, to the minute."""
    return f"{datetime.fromisoformat(event.time).astimezone():%d %b %Y, %H:%M}"

"""What was decided about the latents of the model or run at hand: one verdict file, kept in step with the session."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from ...core.base.errors import VerdictError
from ...core.verdicts.state import Standing, read_standing
from ...core.verdicts.store import Event, Evidence, Subject, Verdict, VerdictStore, default_path
from ...core.verdicts.suggestions import Suggestion, best_suggestion
from ..app.session import Session
from .lines import VerdictLines

if TYPE_CHECKING:
    from ..app.jobs import Jobs

_PATIENCE = 0.5  # seconds that a decision waits for another program's; the window stands still meanwhile
_AT_ONCE = 2_000  # events that are read where the window waits, 5 microseconds each


class VerdictBook:
    """The verdict file in use, and what it says about the current model's latents.

    Everything is read once and kept, so that a table may ask for every latent; later only what came in since. The file
    is opened when there is something to read or to write: looking at an image makes no file.

    Parameters
    ----------
    session
        What is judged.
    annotator
        Who decides; empty for the name of the operating system's user.
    jobs
        Where a long file is read; None reads it at once.

    Attributes
    ----------
    changed
        Emits when any verdict, the file, the annotator or what is judged changed.
    failed
        Emits why the file that fits the session now could not be read.
    reading
        Whether a long file is still being read: `mine` and `others` lack what is in it.
    problem
        Why the file that fits the session now could not be read; empty when it was, or is not there.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, session: Session, annotator: str = "", jobs: "Jobs | None" = None) -> None:
        self._session = session
        self._annotator = annotator
        self._jobs = jobs
        self._chosen: Path | None = None
        self._store: VerdictStore | None = None
        self._version: int | None = None
        self._of: tuple[Path, Subject | None] | None = None
        self._standing = Standing(annotator)
        self._refused: tuple[Path, int, int] | None = None
        self.reading = False
        self.problem = ""
        self._lines: dict[int, str] = {}
        self._names: dict[int, Suggestion] = {}
        for event in (session.events.model, session.events.run):
            event.connect(self._follow)
        session.events.blind.connect(self._announce)

    def close(self) -> None:
        """Close the file and stop following the session."""
        for event in (self._session.events.model, self._session.events.run):
            event.disconnect(self._follow, missing_ok=True)
        self._session.events.blind.disconnect(self._announce, missing_ok=True)
        self._stop_reading()
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
            The file is not a verdict file, or cannot be written; the one before stays in use.
        """
        if path is not None:
            with VerdictStore(path, self._annotator or None, timeout=_PATIENCE):
                pass
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
            self._standing.see_as(self._annotator)
            self._announce()

    @property
    def notice(self) -> str:
        """What should be known about the file: that it is read-only, for example."""
        return self._store.notice if self._store is not None else self.problem

    # Reading

    def line(self, latent: int) -> str | None:
        """Verdict, concept and who else says what about a latent, in a line; None when nobody said anything."""
        if latent not in self.mine and latent not in self.others:
            return None
        if latent not in self._lines:
            self._lines[latent] = self._written(latent)
        return self._lines[latent] or None

    @property
    def mine(self) -> Mapping[int, Event]:
        """Latent -> what the annotator says now."""
        return self._standing.mine

    @property
    def others(self) -> Mapping[int, Sequence[Event]]:
        """Latent -> what everybody else says now."""
        return self._standing.others

    @property
    def names(self) -> Mapping[int, Suggestion]:
        """Latent -> the suggested name to show: the surest that the annotator has not rejected; none in blind mode."""
        return {} if self._session.blind else self._names

    def called(self, latent: int) -> str:
        """What to call a latent where there is room for a word or two.

        The annotator's concept, else a suggested name with a question mark, where it is better than chance.
        """
        own, name = self.mine.get(latent), self.names.get(latent)
        if own is not None and own.concept:
            return own.concept
        return name.title if name is not None and name.beats_chance else ""

    def verdict(self, latent: int) -> str:
        """The annotator's verdict on a latent; empty when there is none."""
        event = self.mine.get(latent)
        return event.verdict if event is not None else ""

    def verdicts(self) -> dict[int, str]:
        """Latent -> the annotator's verdict, empty where only a concept or a note is given."""
        return {latent: event.verdict for latent, event in self.mine.items()}

    def concepts(self) -> list[str]:
        """Concept names to complete from."""
        if self._store is not None:
            return self._store.concepts()
        from ...core.verdicts.vocabulary import FIRST_CONCEPTS

        return sorted(FIRST_CONCEPTS)

    def reload(self) -> None:
        """Read what the file that fits the session now has to say.

        Raises
        ------
        VerdictError
            It cannot be read, and says nothing until it can.
        """
        of = self.path, self.subject
        try:
            if of != self._of:
                self._stop_reading()
                self._of, self._standing = of, Standing(self.annotator)
                if self._store is not None and self._store.path != self.path:
                    self._close_store()
            self.problem = ""
            if self._store is None and self.path.is_file():
                self._open()
            self._catch_up()
        except VerdictError as error:
            self.problem = str(error)
            raise
        finally:
            self._announce()

    def poll(self) -> None:
        """Read what another program has written since the last look.

        Raises
        ------
        VerdictError
            It cannot be read; the next look tries again, at a file that could not be opened once it has changed.
        """
        if self._store is None:
            if self.path.is_file() and self._signature() != self._refused:
                self.reload()
        elif self._store.version != self._version and (changed := self._catch_up()):
            self._announce(changed)

    def _follow(self, *_: object) -> None:
        """The session has another model or run; what is wrong with its file is nothing to stop that for."""
        try:
            self.reload()
        except VerdictError as error:
            self.failed.emit(str(error))

    def _catch_up(self) -> set[int]:
        """Read what came in since the last time; return the latents of which something else is said now."""
        subject, store = self.subject, self._store
        if store is None or subject is None or self.reading:
            return set()
        version = store.version  # asked first: what is written from here on is found by the next look
        if self._jobs is not None and self._is_long(store):
            self.reading = True
            work = partial(read_standing, store.path, subject, self.annotator)
            done = partial(self._take_all, self._of)
            self._jobs.start("Reading verdicts", work, done, partial(self._give_up, self._of))
            return set()
        number, events = store.arrived(subject, self._standing.number)
        changed = self._standing.take(events, number) | self._standing.take_suggestions(store, subject)
        self._version = version
        return changed

    def _is_long(self, store: VerdictStore) -> bool:
        """Whether more came in than the window can wait for."""
        suggested = store.count_suggestions()
        new = suggested != self._standing.suggested
        return store.waiting(self._standing.number) > _AT_ONCE or (new and suggested > _AT_ONCE)

    def _take_all(self, of: Any, found: Standing) -> None:
        if of != self._of:
            return
        self.reading = False
        self._standing = found
        if found.annotator != self.annotator:
            found.see_as(self.annotator)
        try:
            self._catch_up()  # with what was decided meanwhile, here and elsewhere
        except VerdictError as error:
            self.failed.emit(str(error))
        self._announce()

    def _give_up(self, of: Any, error: Exception) -> None:
        if of == self._of:
            self.reading = False
            self._version = None  # the next look tries again
            self.failed.emit(str(error))

    def _stop_reading(self) -> None:
        if self._jobs is not None:
            self._jobs.cancel()
        self.reading = False

    # Writing

    def decide(
        self,
        latent: int,
        verdict: Verdict | Literal[""] | None = None,
        *,
        concept: str | None = None,
        note: str | None = None,
        rejected: str | None = None,
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
        event = store.decide(subject, latent, verdict, concept=concept, note=note, rejected=rejected, evidence=evidence)
        if concept and concept not in store.concepts():
            store.add_concept(concept)
        self._take(event)
        return event

    def suggest(self, suggestions: Iterable[Suggestion]) -> int:
        """Keep names that a method suggests; return how many say something new.

        Raises
        ------
        VerdictError
            They could not be written, or there is no model and no run whose latents they would be of.
        """
        subject = self.subject
        if subject is None:
            raise VerdictError("Load a model or open a run first: names belong to the latents of one SAE.")
        store = self._store or self._open()
        new = store.suggest(subject, suggestions)
        if changed := self._catch_up():
            self._announce(changed)
        return new

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
        if event.subject == self.subject:
            self._announce(self._standing.take([event]))

    def _open(self) -> VerdictStore:
        try:
            self._store = VerdictStore(self.path, self.annotator, timeout=_PATIENCE)
        except VerdictError:
            self._refused = self._signature()
            raise
        self._version = self._refused = None
        return self._store

    def _signature(self) -> tuple[Path, int, int] | None:
        """What changes when somebody changes the file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return self.path, status.st_mtime_ns, status.st_size

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _announce(self, latents: Any = None) -> None:
        if isinstance(latents, set):
            for latent in latents:
                self._lines.pop(latent, None)
                self._name(latent)
        else:
            self._lines, self._names = {}, {}
            for latent in self._standing.suggestions:
                self._name(latent)
        self._session.names, self._session.called = self.names, self.called
        self._session.verdicts = VerdictLines(self.line, lambda: self.mine.keys() | self.others.keys())
        self.changed.emit()

    def _name(self, latent: int) -> None:
        """Choose the name to show."""
        own = self.mine.get(latent)
        offered = self._standing.suggestions.get(latent, ())
        chosen = best_suggestion(offered, own.rejected if own is not None else "")
        if chosen is None:
            self._names.pop(latent, None)
        else:
            self._names[latent] = chosen

    def _written(self, latent: int) -> str:
        own = self.mine.get(latent)
        others = [] if self._session.blind else self.others.get(latent, [])
        parts = [_said(own)] if own is not None and speaks(own) else []
        others = [event for event in others if speaks(event)]
        parts += [f"{_said(event)} ({event.annotator})" for event in others]
        return "; ".join(parts)


def speaks(event: Event) -> bool:
    """Whether an event says more than that a suggested name does not fit."""
    return bool(event.verdict or event.concept or event.note)


def _said(event: Event) -> str:
    """``spurious: view marker``; without a verdict ``concept: view marker``."""
    verdict = event.verdict or ("concept" if event.concept else "no verdict")
    return ": ".join(part for part in (verdict, event.concept) if part)


def when(event: Event) -> str:
    """Local date and time of an event, to the minute."""
    return f"{datetime.fromisoformat(event.time).astimezone():%d %b %Y, %H:%M}"

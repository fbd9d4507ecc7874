"""What people decided about latents: an append-only log of events, and the current state as a view of it.

The log is one SQLite file. An event is never changed or removed (triggers refuse it): a new decision, an undo
and a redo each append one. The view ``current`` holds the last event of every (model, SAE, latent,
annotator). Any SQLite tool reads both. What methods suggest is kept beside, in a table of its own. Export,
import and merging are in `exchange`, agreement between annotators in `agreement`.
"""

import getpass
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from ..base.errors import VerdictError
from .events import INSERT_EVENT, VERDICTS, Event, Evidence, Subject, Verdict, check_event, time_text
from .places import check_there, default_path
from .read_only import Copy, check_kind, is_read_only
from .reader import SELECT, VerdictReader
from .schema import prepare
from .sqlite import connect
from .suggestions import INSERT_SUGGESTION, Suggestion, SuggestionEvent, checked

__all__ = ["VERDICTS", "Event", "Evidence", "Subject", "Verdict", "VerdictStore", "default_path"]


@dataclass(slots=True)
class _Step:
    """A decision of this program that can be undone, or one undone that can be redone."""

    before: Event | None
    decided: Event
    last: str  # the event that undoing or redoing reverses


class VerdictStore(VerdictReader):
    """An open verdict file. Use it from the thread that opened it; several programs may have the file open.

    Parameters
    ----------
    path
        The SQLite file, created when missing; see `default_path`.
    annotator
        Who decides; the name of the operating system's user unless given.
    create
        False: a missing file is an error.
    write
        False: the file is only read, and not touched. So is one that cannot be written.
    timeout, vfs
        See `sqlite.connect`.

    Attributes
    ----------
    read_only
        Whether nothing can be decided here: a copy of the file is read, which is renewed when the file changes.
    notice
        What should be known about the file: that it is read only, or cannot have a write-ahead log.

    Raises
    ------
    VerdictError
        The file is missing (with ``create=False``), no verdict file, of a newer version, or cannot be made.
    """

    def __init__(
        self,
        path: Path | str,
        annotator: str | None = None,
        *,
        create: bool = True,
        write: bool = True,
        timeout: float = 10.0,
        vfs: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.annotator = annotator or getpass.getuser()
        if not create:
            check_there(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VerdictError(f"The folder of {self.path.name} cannot be made: {error.strerror}.") from error
        self._copy: Copy | None = None
        self._timeout, self._vfs = timeout, vfs
        check_kind(self.path)
        if write and not is_read_only(self.path):
            self._open()
        else:
            self._open_copy()
        self._written: set[str] = set()
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    @property
    def read_only(self) -> bool:
        """Whether nothing can be decided here."""
        return self._copy is not None

    @property
    def version(self) -> int:
        """A number that changes when another program has written to the file."""
        if self._copy is None:
            return super().version
        if self._copy.is_outdated():
            self.close()
            self._open_copy()
        return self._copy.made

    def close(self) -> None:
        """Close the file; harmless when closed."""
        super().close()
        if self._copy is not None:
            self._copy.remove()

    def _open(self) -> None:
        self._connection, self.notice = connect(self.path, timeout=self._timeout, vfs=self._vfs)
        try:
            with self._errors():
                prepare(self._connection, self.path.name)
        except BaseException:
            self._connection.close()
            raise

    def _open_copy(self) -> None:
        self._copy = Copy(self.path)
        try:
            self._connection, _ = connect(self._copy.file)
            with self._errors():
                prepare(self._connection, self.path.name)
        except BaseException:
            self.close()
            raise
        self.notice = f"{self.path.name} is read-only: its verdicts are shown, and none can be added."

    # -- writing --

    def decide(
        self,
        subject: Subject,
        latent: int,
        verdict: Verdict | Literal[""] | None = None,
        *,
        concept: str | None = None,
        note: str | None = None,
        rejected: str | None = None,
        evidence: Evidence | None = None,
    ) -> Event:
        """Append a decision. When this returns, it is on the disk.

        None for `verdict`, `concept`, `note` or `rejected` keeps what this annotator said before; an empty string
        takes it back.

        Raises
        ------
        VerdictError
            An unknown verdict, a latent below 0, an absolute path as evidence, or the file cannot be written.
        """
        evidence = evidence or Evidence()
        with self.transaction():
            before = self._latest(subject, latent, self.annotator)
            event = Event(
                uuid=uuid4().hex,
                time="",
                annotator=self.annotator,
                model=subject.model,
                sae=subject.sae,
                latent=int(latent),
                verdict=_kept(verdict, before, "verdict"),
                concept=_kept(concept, before, "concept").strip(),
                note=_kept(note, before, "note"),
                image=evidence.image,
                view=json.dumps(evidence.view, sort_keys=True) if evidence.view else "",
                reverts="",
                rejected=_kept(rejected, before, "rejected"),
            )
            check_event(event)
            event = self._append(event, before)
            if evidence.screenshot is not None:
                self._connection.execute("INSERT INTO screenshots VALUES (?, ?)", (event.uuid, evidence.screenshot))
        self._written.add(event.uuid)
        self._done.append(_Step(before, event, event.uuid))
        self._undone.clear()
        return event

    def undo(self) -> Event | None:
        """Append what takes back this program's last decision; None when there is nothing to undo.

        Raises
        ------
        VerdictError
            The same annotator judged the latent again from another program since: that decision is left
            alone.
        """
        return self._revert(self._done, self._undone, lambda step: step.before)

    def redo(self) -> Event | None:
        """Append again what `undo` took back last; None when there is nothing to redo.

        Raises
        ------
        VerdictError
            As `undo` does.
        """
        return self._revert(self._undone, self._done, lambda step: step.decided)

    def _revert(self, stack: list[_Step], other: list[_Step], target: Callable[[_Step], Event | None]) -> Event | None:
        if not stack:
            return None
        step = stack[-1]
        key = step.decided
        with self.transaction():
            latest = self._latest(key.subject, key.latent, key.annotator)
            if latest is None or latest.uuid not in self._written:
                stack.pop()
                raise VerdictError(f"Latent {key.latent} has a newer verdict from another program, which was kept.")
            state = target(step) or replace(key, verdict="", concept="", note="", image="", view="", rejected="")
            event = self._append(replace(state, uuid=uuid4().hex, reverts=step.last), latest)
        self._written.add(event.uuid)
        stack.pop()
        step.last = event.uuid
        other.append(step)
        return event

    def _append(self, event: Event, before: Event | None) -> Event:
        """Insert an event, later in time than the one it follows even when the clock was set back."""
        event = replace(event, time=after(before.time if before else ""))
        self._connection.execute(INSERT_EVENT, astuple(event))
        return event

    def _latest(self, subject: Subject, latent: int, annotator: str) -> Event | None:
        row = self._connection.execute(
            f"{SELECT}events WHERE model = ? AND sae = ? AND latent = ? AND annotator = ? "
            "ORDER BY time DESC, uuid DESC LIMIT 1",
            (subject.model, subject.sae, int(latent), annotator),
        ).fetchone()
        return None if row is None else Event(*row)

    # -- suggestions --

    def suggest(self, subject: Subject, suggestions: Iterable[Suggestion]) -> int:
        """Append what methods suggest; return how many say something new. They are on the disk then.

        A method that says of a latent what it said last, with the same score, adds nothing. No verdict is touched.

        Raises
        ------
        VerdictError
            A suggestion that no file may hold, or the file cannot be written.
        """
        wanted = [checked(suggestion) for suggestion in suggestions]
        new = []
        with self.transaction():
            known = {(e.suggestion.latent, e.suggestion.method): e for e in self.current_suggestions(subject)}
            for suggestion in wanted:
                key = suggestion.latent, suggestion.method
                before = known.get(key)
                if before is None or before.suggestion.says != suggestion.says:
                    known[key] = SuggestionEvent(uuid4().hex, after(before.time if before else ""), subject, suggestion)
                    new.append(known[key])
            self._connection.executemany(INSERT_SUGGESTION, [event.row for event in new])
        return len(new)

    # -- vocabulary --

    def add_concept(self, concept: str) -> None:
        """List a concept; one that was removed comes back."""
        self._list_concept(concept, True)

    def remove_concept(self, concept: str) -> None:
        """List a concept no more; verdicts that use it keep it."""
        self._list_concept(concept, False)

    def _list_concept(self, concept: str, listed: bool) -> None:
        concept = concept.strip()
        if not concept:
            raise VerdictError("A concept needs a name.")
        with self.transaction():
            self._connection.execute(
                "INSERT INTO vocabulary VALUES (?, ?, ?, ?, ?)",
                (uuid4().hex, after(""), self.annotator, concept, listed),
            )

    # -- life --

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write several things or none; waits for other writers.

        Raises
        ------
        VerdictError
            The file is read-only, locked for too long, or cannot be written.
        """
        if self.read_only:
            raise VerdictError(f"{self.path.name} is read-only here. Choose another file for your verdicts.")
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _kept(value: Any, before: Event | None, name: str) -> Any:
    if value is not None:
        return value
    return getattr(before, name) if before else ""


def after(time: str) -> str:
    """Now, or the microsecond after `time` where the clock says otherwise."""
    now = datetime.now(UTC)
    if time:
        now = max(now, datetime.fromisoformat(time) + timedelta(microseconds=1))
    return time_text(now)

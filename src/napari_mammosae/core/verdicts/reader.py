"""Reading a verdict file: the whole log, the state now, and what has come in since the last look."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from types import TracebackType
from typing import Self

from ..base.errors import VerdictError
from ..base.reading import short_reason
from .events import COLUMNS, Event, Subject, Verdict
from .sqlite import full_text, is_full
from .suggestions import QUOTED, Suggestion, SuggestionEvent, event_of

SELECT = f"SELECT {', '.join(COLUMNS)} FROM "


class VerdictReader:
    """What can be asked of an open verdict file; `VerdictStore` writes as well."""

    path: Path
    annotator: str
    _connection: sqlite3.Connection

    def current(self, subject: Subject | None = None, annotator: str | None = None) -> list[Event]:
        """Return the state now, one event per (model, SAE, latent, annotator), by latent and annotator."""
        return self._query("current", subject, annotator, "ORDER BY model, sae, latent, annotator")

    def state(self, subject: Subject, annotator: str | None = None) -> dict[int, Event]:
        """Return what one annotator (this store's, unless given) says now: latent -> event."""
        return {event.latent: event for event in self.current(subject, annotator or self.annotator)}

    def latents(self, verdict: Verdict, subject: Subject, annotator: str | None = None) -> list[int]:
        """Return the latents that an annotator (None: any) now gives a verdict, in ascending order."""
        return sorted({event.latent for event in self.current(subject, annotator) if event.verdict == verdict})

    def events(self, subject: Subject | None = None, annotator: str | None = None) -> list[Event]:
        """Return the whole log, oldest first."""
        return self._query("events", subject, annotator, "ORDER BY time, uuid")

    def merges(self) -> list[tuple[str, str, str, int]]:
        """Files that were merged into this one: time, name, SHA-256, and how many events they brought."""
        with self._errors():
            return list(self._connection.execute("SELECT time, source, sha256, added FROM merges ORDER BY time"))

    def annotators(self) -> list[str]:
        """Everyone who decided something."""
        with self._errors():
            rows = self._connection.execute("SELECT DISTINCT annotator FROM events ORDER BY annotator")
            return [str(row[0]) for row in rows]

    def screenshot(self, uuid: str) -> bytes | None:
        """Return the PNG kept with an event."""
        with self._errors():
            row = self._connection.execute("SELECT png FROM screenshots WHERE uuid = ?", (uuid,)).fetchone()
        return None if row is None else bytes(row[0])

    def latest(self, subject: Subject, low: int = 0, high: int | None = None) -> tuple[int, list[Event]]:
        """Return the last event of every latent and annotator, those that took all back included.

        Unlike `current` it is made to be kept up with `arrived`.

        Parameters
        ----------
        subject
            Whose latents.
        low, high
            Only latents from `low` to `high` - 1; None for all.

        Returns
        -------
        number
            Number of the last event in the file, in the order they came: where `arrived` goes on.
        events
            In no particular order.
        """
        with self._errors(), self._one_moment():
            number = self._arrivals()
            # of the rows of a group, SQLite takes the other columns from the one that has the maximum
            rows = self._connection.execute(
                f"SELECT {', '.join(COLUMNS)}, max(time || uuid) FROM events WHERE model = ? AND sae = ? "
                "AND latent BETWEEN ? AND ? GROUP BY latent, annotator",
                (subject.model, subject.sae, low, sys.maxsize if high is None else high - 1),
            )
            return number, [Event(*row[:-1]) for row in rows]

    def end(self, subject: Subject) -> int:
        """Return one more than the largest latent anybody has said something about; 0 without any."""
        with self._errors():
            question = "SELECT coalesce(max(latent) + 1, 0) FROM events WHERE model = ? AND sae = ?"
            return int(self._connection.execute(question, (subject.model, subject.sae)).fetchone()[0])

    def arrived(self, subject: Subject, after: int) -> tuple[int, list[Event]]:
        """Return the events that came into the file after the one of a number, and the number of the last one.

        They come in the order in which they were written into this file, which is not that of their times where
        somebody else's were merged.
        """
        with self._errors(), self._one_moment():
            number = self._arrivals()
            # CROSS keeps SQLite from going through all events of the subject first
            rows = self._connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM arrivals CROSS JOIN events USING (uuid) "
                "WHERE number > ? AND model = ? AND sae = ? ORDER BY number",
                (after, subject.model, subject.sae),
            )
            return number, [Event(*row) for row in rows]

    def waiting(self, after: int) -> int:
        """Return how many events, of any model, came after the one of a number: cheap to ask."""
        with self._errors():
            return self._arrivals() - after

    def _arrivals(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM arrivals").fetchone()[0])

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Let several questions see the file at the same moment, whoever writes meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    @property
    def version(self) -> int:
        """A number that changes when another program has written to the file."""
        with self._errors():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _query(self, table: str, subject: Subject | None, annotator: str | None, order: str) -> list[Event]:
        wanted: dict[str, str] = {}
        if subject is not None:
            wanted |= asdict(subject)
        if annotator is not None:
            wanted["annotator"] = annotator
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        with self._errors():
            rows = self._connection.execute(f"{SELECT}{table} WHERE {where} {order}", tuple(wanted.values()))
            return [Event(*row) for row in rows]

    def suggestion_events(self, subject: Subject | None = None) -> list[SuggestionEvent]:
        """Return every suggestion that a method ever made, oldest first."""
        where, wanted = ("model = ? AND sae = ?", (subject.model, subject.sae)) if subject is not None else ("1", ())
        question = f"SELECT {QUOTED} FROM suggestions WHERE {where} ORDER BY time, uuid"
        with self._errors():
            return [event_of(row) for row in self._connection.execute(question, wanted)]

    def current_suggestions(self, subject: Subject | None = None) -> list[SuggestionEvent]:
        """Return what each method suggests now, by latent and method."""
        events = self.suggestion_events(subject)
        latest = {
            (*astuple(event.subject), event.suggestion.latent, event.suggestion.method): event for event in events
        }
        return [latest[key] for key in sorted(latest)]

    def suggestions(self, subject: Subject) -> dict[int, list[Suggestion]]:
        """Return what each method suggests now: latent -> suggestions."""
        found: dict[int, list[Suggestion]] = {}
        for event in self.current_suggestions(subject):
            found.setdefault(event.suggestion.latent, []).append(event.suggestion)
        return found

    def count_suggestions(self) -> int:
        """Return how many suggestions there are, of any model: cheap to ask, and larger when some have come in."""
        with self._errors():
            return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM suggestions").fetchone()[0])

    def concepts(self) -> list[str]:
        """Concept names to complete from, in alphabetical order."""
        with self._errors():
            return [str(row[0]) for row in self._connection.execute("SELECT concept FROM concepts ORDER BY concept")]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
            if is_full(self.path, error):
                raise VerdictError(full_text(self.path)) from error
            if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
                raise VerdictError(f"{self.path.name} was closed; open it again.") from error
            raise VerdictError(
                f"{self.path.name} was not read or written: {short_reason(error).rstrip('.')}. Nothing was changed."
            ) from error

    def close(self) -> None:
        """Close the file; harmless when closed."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Tables of a verdict file."""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from ..base.errors import VerdictError
from .events import time_text
from .vocabulary import FIRST_CONCEPTS

APPLICATION_ID = 0x4D534156  # "MSAV"; `file verdicts.sqlite` shows it
VERSION = 3
TABLES = ("events", "vocabulary", "screenshots", "merges", "arrivals", "suggestions")


def _append_only(tables: Iterable[str]) -> Iterator[str]:
    for table in tables:
        for action in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


# The order in which events came into this file, so that what is new can be read without the rest: merged events are
# older than what was there, and their UUIDs are in no order.
_ARRIVALS = (
    "CREATE TABLE arrivals (number INTEGER PRIMARY KEY, uuid TEXT NOT NULL REFERENCES events (uuid))",
    "CREATE TRIGGER events_arrive AFTER INSERT ON events BEGIN INSERT INTO arrivals (uuid) VALUES (NEW.uuid); END",
)
# What a method suggests, in the order it came into this file; a person's answer is an event.
_SUGGESTIONS = (
    """CREATE TABLE suggestions (
        number INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, time TEXT NOT NULL, method TEXT NOT NULL,
        model TEXT NOT NULL, sae TEXT NOT NULL, latent INTEGER NOT NULL CHECK (latent >= 0),
        name TEXT NOT NULL, score REAL, "null" REAL, q_value REAL, provenance TEXT NOT NULL)""",
    "CREATE INDEX by_method ON suggestions (model, sae, latent, method, time, uuid)",
)
_REJECTED = "rejected TEXT NOT NULL DEFAULT ''"
_EVENTS = """CREATE TABLE events (
        uuid TEXT PRIMARY KEY, time TEXT NOT NULL, annotator TEXT NOT NULL,
        model TEXT NOT NULL, sae TEXT NOT NULL, latent INTEGER NOT NULL CHECK (latent >= 0),
        verdict TEXT NOT NULL CHECK (verdict IN ('', 'lesion', 'anatomy', 'spurious', 'unsure')),
        concept TEXT NOT NULL, note TEXT NOT NULL, image TEXT NOT NULL, view TEXT NOT NULL,
        reverts TEXT NOT NULL{more}
    ) WITHOUT ROWID"""
# An event that leaves nothing said (an undo of the first one) ends the state: such latents are not listed.
_CURRENT = """CREATE VIEW current AS SELECT * FROM events AS e
        WHERE (verdict <> '' OR concept <> '' OR note <> ''{more}) AND NOT EXISTS (
            SELECT 1 FROM events AS later
            WHERE later.model = e.model AND later.sae = e.sae AND later.latent = e.latent
            AND later.annotator = e.annotator AND (later.time, later.uuid) > (e.time, e.uuid))"""
_WITH_REJECTED = _CURRENT.format(more=" OR rejected <> ''")
_EARLIER = (_EVENTS.format(more=""), _CURRENT.format(more=""))  # of the versions before 3
_STATEMENTS = (
    _EVENTS.format(more=f", {_REJECTED}"),
    "CREATE INDEX by_latent ON events (model, sae, latent, annotator, time, uuid)",
    _WITH_REJECTED,
    """CREATE TABLE screenshots (uuid TEXT PRIMARY KEY REFERENCES events (uuid), png BLOB NOT NULL)""",
    """CREATE TABLE vocabulary (
        uuid TEXT PRIMARY KEY, time TEXT NOT NULL, annotator TEXT NOT NULL, concept TEXT NOT NULL,
        listed INTEGER NOT NULL CHECK (listed IN (0, 1))
    ) WITHOUT ROWID""",
    "CREATE INDEX by_concept ON vocabulary (concept, time, uuid)",
    """CREATE VIEW concepts AS SELECT concept FROM vocabulary AS v
        WHERE listed AND NOT EXISTS (
            SELECT 1 FROM vocabulary AS later
            WHERE later.concept = v.concept AND (later.time, later.uuid) > (v.time, v.uuid))""",
    """CREATE TABLE merges (
        time TEXT NOT NULL, source TEXT NOT NULL, sha256 TEXT NOT NULL, added INTEGER NOT NULL)""",
    *_ARRIVALS,
    *_SUGGESTIONS,
    *_append_only(TABLES),
)


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Create the tables of a new file, or check that an existing one is ours.

    Raises
    ------
    VerdictError
        Another program's database, or one of a newer version of this package.
    """
    _refuse_foreign(connection, name)
    if _kind(connection) == (APPLICATION_ID, VERSION):
        return  # the usual case, in which nobody who writes at this moment is waited for
    # Of two programs that open a new file at once, the second waits here and then finds the tables.
    connection.execute("BEGIN IMMEDIATE")
    try:
        application, version = _kind(connection)
        if application == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            _create(connection)
        elif application != APPLICATION_ID:
            raise VerdictError(f"{name} is a database of another program, not a verdict file; choose another.")
        elif version > VERSION:
            raise VerdictError(
                f"{name} has version {version} of the verdict tables, this napari-mammosae knows {VERSION}; update it."
            )
        elif version < VERSION:
            _bring_up(connection, version)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_foreign(connection: sqlite3.Connection, name: str) -> None:
    """Raise VerdictError for tables, views and triggers that this program did not make: a view can run for ever."""
    if _kind(connection)[0] != APPLICATION_ID:
        return
    # without its spaces: SQLite puts them elsewhere where it adds a column
    ours = {"".join(statement.split()) for statement in (*_STATEMENTS, *_EARLIER)}
    for kind, table, text in connection.execute("SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if "".join(str(text).split()) not in ours and (kind in ("view", "trigger") or table in TABLES):
            raise VerdictError(f"{name} is not a verdict file: its {kind} of {str(table)[:40]} is not this program's.")


def _kind(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is, and which version of the tables it has."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return int(application), int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement)
    # The same UUIDs in every file, so that merging two files does not double the first concepts, and a time before
    # anybody's, so that a word that was taken out of another file stays out.
    long_ago = time_text(datetime(1970, 1, 1, tzinfo=UTC))
    rows = [(uuid5(NAMESPACE_URL, f"concept:{c}").hex, long_ago, "", c, 1) for c in FIRST_CONCEPTS]
    connection.executemany("INSERT INTO vocabulary VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def _bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of an earlier version up; it loses nothing."""
    if version < 2:  # its events are taken to have come in the order of their times
        for statement in (*_ARRIVALS, *_append_only(("arrivals",))):
            connection.execute(statement)
        connection.execute("INSERT INTO arrivals (uuid) SELECT uuid FROM events ORDER BY time, uuid")
    connection.execute(f"ALTER TABLE events ADD COLUMN {_REJECTED}")
    connection.execute("DROP VIEW current")
    for statement in (_WITH_REJECTED, *_SUGGESTIONS, *_append_only(("suggestions",))):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")

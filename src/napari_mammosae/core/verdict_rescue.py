"""Verdicts that an earlier version left beside the demo run, in a cache, brought to where nothing is cleared."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from .base.errors import VerdictError
from .base.files import sha256_file
from .verdicts.events import COLUMNS, time_text
from .verdicts.places import FILE, cache_folder, default_path
from .verdicts.store import VerdictStore

logger = logging.getLogger(__name__)


def rescue_cached_verdicts() -> int:
    """Copy what was decided in the runs of the cache folder into the user's own file; return how many events were new.

    Everything is taken over: decisions, screenshots, the vocabulary, and what was merged before. The files in the
    cache stay as they are; one that has not changed since is not read again. One that cannot be read is logged and
    left, since a run can be opened without it.
    """
    new = 0
    for path in sorted(cache_folder().glob(f"*/run/{FILE}")):
        try:
            new += take_over(path, default_path())
        except VerdictError as error:
            logger.warning("Verdicts of %s were not taken over: %s", path.parent.parent.name, error)
    return new


def take_over(source: Path, target: Path) -> int:
    """Copy all of one verdict file into another one, all or nothing; return how many events were new there.

    Raises
    ------
    VerdictError
        One of the files is no verdict file, or cannot be read or written.
    """
    name = f"{source.parent.parent.name}/{source.parent.name}/{source.name}"
    log = source.with_name(f"{source.name}-wal")  # what is in it is not in the file yet
    with VerdictStore(target) as store:
        settled = not log.exists() or not log.stat().st_size
        if settled and _known(store, name, sha256_file(source)):
            return 0
        with VerdictStore(source, create=False) as old, old.transaction() as kept, store.transaction() as connection:
            before = store.waiting(0)
            marks = ", ".join("?" * len(COLUMNS))
            names = ", ".join(COLUMNS)
            connection.executemany(
                f"INSERT OR IGNORE INTO events ({names}) VALUES ({marks})",
                kept.execute(f"SELECT {names} FROM events ORDER BY time, uuid"),
            )
            for table, columns in (("screenshots", 2), ("vocabulary", 5)):
                connection.executemany(
                    f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})",
                    kept.execute(f"SELECT * FROM {table}"),
                )
            connection.executemany(
                "INSERT INTO merges SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS "
                "(SELECT 1 FROM merges WHERE (time, source, sha256, added) = (?1, ?2, ?3, ?4))",
                kept.execute("SELECT time, source, sha256, added FROM merges"),
            )
            added = store.waiting(before)
        with store.transaction() as connection:  # the last to close the old file writes its log into it
            merge = (time_text(datetime.now(UTC)), name, sha256_file(source), added)
            connection.execute("INSERT INTO merges VALUES (?, ?, ?, ?)", merge)
    return added


def _known(store: VerdictStore, name: str, sha256: str) -> bool:
    with store.transaction() as connection:
        question = "SELECT 1 FROM merges WHERE source = ? AND sha256 = ?"
        return connection.execute(question, (name, sha256)).fetchone() is not None

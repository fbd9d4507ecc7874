"""Verdict files that are not to be touched: another program's, which stay as they are, and read-only ones."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path

from ..base.errors import VerdictError
from ..base.files import explain_unreadable
from .schema import APPLICATION_ID

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # bytes, with the application's number in the four from 68 on
_numbers = count(1)


def check_kind(path: Path) -> None:
    """Refuse a file that is not a verdict file, without a change to it.

    Raises
    ------
    VerdictError
        It belongs to another program, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return
    except OSError as error:
        raise VerdictError(f"{explain_unreadable(path, error)}; choose a verdict file.") from error
    if not header:
        return
    if not header.startswith(_MAGIC):
        raise VerdictError(
            f"{path.name} cannot be opened as a verdict file (not an SQLite database). It was left as it is; choose "
            "another file."
        )
    number = int.from_bytes(header[68:72])
    if number != APPLICATION_ID and (number or _has_tables(path)):
        raise VerdictError(f"{path.name} is a database of another program, not a verdict file; choose another.")


def is_read_only(path: Path) -> bool:
    """Whether a file that is there, or the folder that its journal must go into, cannot be written."""
    if not path.exists():
        return False
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return True
    try:
        with path.open("rb+"):  # what no permission shows: a protected file
            return False
    except OSError:
        return True


class Copy:
    """A copy of a verdict file, with what its write-ahead log holds, in a folder of its own.

    SQLite itself cannot read a file with a write-ahead log where it cannot write.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    file
        The copy.
    made
        A number of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = tempfile.TemporaryDirectory(prefix="verdicts-", ignore_cleanup_errors=True)
        self.file = Path(self._folder.name) / path.name
        self.made = next(_numbers)
        self._state = self._look()
        try:
            for source in self._sources():
                if source.is_file():
                    shutil.copyfile(source, self.file.with_name(source.name))
        except OSError as error:
            self.remove()
            raise VerdictError(f"{explain_unreadable(path, error)}; choose another file.") from error

    def is_outdated(self) -> bool:
        """Whether the file has changed since."""
        return self._look() != self._state

    def remove(self) -> None:
        """Remove the copy; harmless when removed."""
        self._folder.cleanup()

    def _sources(self) -> tuple[Path, Path]:
        return self._path, self._path.with_name(f"{self._path.name}-wal")

    def _look(self) -> list[tuple[int, int]]:
        found = (source.stat() for source in self._sources() if source.exists())
        return [(status.st_mtime_ns, status.st_size) for status in found]


def _has_tables(path: Path) -> bool:
    """Whether a database without a number holds anything, and nothing of ours: a new file's may be in its log alone."""
    copy = Copy(path)
    try:
        with closing(sqlite3.connect(copy.file)) as connection:
            number = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return bool(tables) and number != APPLICATION_ID
    except sqlite3.Error as error:
        raise VerdictError(f"{path.name} cannot be opened as a verdict file ({error}); choose another.") from error
    finally:
        copy.remove()

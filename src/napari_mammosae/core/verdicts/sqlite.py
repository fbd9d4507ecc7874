"""SQLite files that several programs write at once and that keep what they acknowledged."""

import logging
import sqlite3
import time
from pathlib import Path
from shutil import disk_usage

from ..base.errors import VerdictError

logger = logging.getLogger(__name__)

# File systems that are shared between machines: a write-ahead log needs memory shared by all its writers, and
# there it can appear to work while two machines overwrite each other.
NETWORK_FILE_SYSTEMS = {
    *(
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
    ),
    *("lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"),
}
_ROOM = 1 << 20  # bytes: what SQLite needs beside the file

_said: set[Path] = set()


def connect(path: Path, *, timeout: float = 10.0, vfs: str | None = None) -> tuple[sqlite3.Connection, str]:
    """Open (or create) a database for durable writing by several processes.

    Parameters
    ----------
    path
        The database; its folder must exist.
    timeout
        Seconds to wait for another writer.
    vfs
        Name of an SQLite file-system layer, for a drive that needs one (``unix-dotfile`` where locks are
        missing).

    Returns
    -------
    connection
        In autocommit mode, with ``synchronous=FULL``: once a statement or ``COMMIT`` returns, it is on the
        disk.
    notice
        Empty with a write-ahead log; otherwise the sentence that says why the rollback journal is used. It is
        logged once for each file and program.

    Raises
    ------
    VerdictError
        Not a database, no permission, or locked for longer than `timeout`.
    """
    # Autocommit: transactions are begun by hand, as IMMEDIATE ones. The driver's own would start as readers
    # and fail to turn into writers when another program has written in between.
    location = path.absolute().as_uri() + (f"?vfs={vfs}" if vfs else "")
    try:
        connection = sqlite3.connect(location, uri=True, timeout=timeout, isolation_level=None)
        try:
            notice = _choose_journal(connection, path, timeout)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=ON")  # macOS: a plain fsync stops at the drive's cache
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if is_full(path, error):
            raise VerdictError(full_text(path)) from error
        raise VerdictError(
            f"{path.name} cannot be opened as a verdict file ({error}); expected an SQLite database in a "
            "folder you can write to. Choose another file."
        ) from error
    if notice and path not in _said:
        _said.add(path)
        logger.warning(notice)
    return connection, notice


def is_full(path: Path, error: Exception) -> bool:
    """Whether SQLite failed for want of space; of its shared memory it says only that there was an error."""
    name = getattr(error, "sqlite_errorname", None) or ""
    try:
        return name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and disk_usage(path.parent).free < _ROOM)
    except OSError:
        return False


def full_text(path: Path) -> str:
    """Return the sentence for a full disk."""
    return f"The disk is full: {path.name} was not written. Free some space, then try again."


def _choose_journal(connection: sqlite3.Connection, path: Path, timeout: float) -> str:
    if on_network_drive(path):
        reason = "it is on a network drive"
    else:
        if _set_journal(connection, "wal", timeout) == "wal":
            return ""
        reason = "the drive has no shared memory for a write-ahead log"
    mode = _set_journal(connection, "delete", timeout)
    return f"{path.name} uses the rollback journal (mode {mode}) because {reason}: safe, with slower writes."


def _set_journal(connection: sqlite3.Connection, mode: str, timeout: float) -> str:
    """Set the journal mode, which SQLite does not wait for by itself while another program uses the file."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def on_network_drive(path: Path) -> bool:
    """Whether a path is known to lie on a drive shared between machines (Linux mounts, Windows UNC paths)."""
    if str(path.absolute()).startswith("\\\\"):
        return True
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no such list on macOS and Windows: SQLite's own refusal is all there is
        return False
    return file_system_of(path.resolve(), mounts) in NETWORK_FILE_SYSTEMS


def file_system_of(path: Path, mounts: str) -> str:
    """Type of the file system that holds an absolute path, given the text of ``/proc/self/mounts``."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        depth = len(point.parts)
        if depth >= best and path.is_relative_to(point):  # of equals the last one is mounted on top
            best, kind = depth, fields[2]
    return kind

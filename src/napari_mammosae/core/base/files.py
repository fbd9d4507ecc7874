"""Files that are either whole or absent, alone or several together, and the hashes that name them.

Unfinished files lie in a hidden folder beside their places, locked by the process that writes them. Such a folder
without a living owner is what a killed write left: the next write to that place finishes it, if all was there, or
removes it.
"""

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import WriteError

PREFIX = ".writing-"
"""Of the hidden folders that hold unfinished files."""

_LOCK, _WHOLE, _BEFORE = ".lock", ".whole", ".before"
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})  # Windows knows no quota error
_SPARING = 20  # looking through a folder for leftovers takes at most one part in so many of the time
_QUICK = 0.002  # seconds: so long a look may take as often as something is written

_own: set[Path] = set()
_next_look: dict[Path, float] = {}


@contextmanager
def write_atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path of the same name; it takes the place of `path` when the block ends without error.

    The content is synced before the rename, and the folder after it, so that a crash at any moment leaves the old file
    or the new one. On an error `path` is untouched.

    Raises
    ------
    WriteError
        The disk is full, or the file cannot be written.
    """
    with write_together(path) as (temporary,):
        yield temporary


@contextmanager
def write_together(*paths: Path | str) -> Iterator[tuple[Path, ...]]:
    """Yield temporary paths for files of one folder that mean something only beside each other.

    They take their places together when the block ends without error, the first one, which says what the others are,
    before these, and after those of its earlier version are gone. So at no moment does a file stand beside the first
    file of another version. Once all are whole, a process that is killed while they move in has done its work: the
    next write to the folder moves the rest.

    Raises
    ------
    WriteError
        The disk is full, or a file cannot be written; all that was there before is untouched.
    """
    targets = [Path(path) for path in paths]
    names = [path.name for path in targets]
    if len({path.parent for path in targets}) != 1 or len(set(names)) != len(names):
        raise ValueError(f"{', '.join(names)} are not different files of one folder")
    try:
        with hidden_folder(targets[0].parent) as hidden:
            files = tuple(hidden / name for name in names)
            yield files
            for file in files:
                _sync(file)
            if len(files) > 1:
                _mark_whole(hidden, names)
            _move_in(hidden, names)
    except OSError as error:
        named = Path(error.filename).name if isinstance(error.filename, str) else ""
        raise write_error(named if named in names else names[:2][-1], error) from error


@contextmanager
def hidden_folder(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder inside `folder` for unfinished files.

    It is removed when the block ends, and, should this process be killed, by the next write to `folder`.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _look_now_and_then(folder)
    hidden, lock = _locked_folder(folder)
    try:
        yield hidden
    finally:
        _remove(hidden, lock)
        _own.discard(hidden)


def remove_leftovers(folder: Path) -> None:
    """Finish or remove what killed writers left in a folder; what a living process writes is left alone."""
    for hidden in folder.absolute().glob(f"{PREFIX}*"):
        if hidden in _own or hidden.is_symlink():
            continue
        lock = _lock_of(hidden)
        with suppress(Timeout, OSError, NotImplementedError):  # in use, gone meanwhile, or nobody can say on this drive
            lock.acquire()
            try:
                if names := _names_left(hidden):
                    _move_in(hidden, names)
            finally:
                _remove(hidden, lock)


def write_error(name: str, error: OSError) -> WriteError:
    """Return what a person is shown when the operating system refuses to write a file."""
    if is_full(error):
        return WriteError(f"The disk is full: {name} was not written. Free some space, then try again.")
    return WriteError(f"{name} cannot be written ({error.strerror or error}). Choose another place.")


def is_full(error: BaseException | None) -> bool:
    """Whether writing failed for want of space, or for a quota."""
    if isinstance(error, WriteError):
        error = error.__cause__
    return isinstance(error, OSError) and (error.errno in _FULL or "No space left" in str(error))


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain_unreadable(path: Path, error: OSError) -> str:
    """Return what a message says of a file that could not be read."""
    if isinstance(error, FileNotFoundError):
        return f"{path.name}: no such file in {path.absolute().parent.name or 'the root folder'}; check the path"
    return f"{path.name}: cannot be read ({error.strerror or error})"


def _look_now_and_then(folder: Path) -> None:
    began = time.monotonic()
    if began >= _next_look.get(folder, 0):
        remove_leftovers(folder)
        spent = time.monotonic() - began
        _next_look[folder] = began + _SPARING * spent if spent > _QUICK else 0


def _locked_folder(folder: Path) -> tuple[Path, FileLock]:
    while True:
        hidden = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        _own.add(hidden)
        lock = _lock_of(hidden)
        try:
            lock.acquire()
        except Timeout:  # another process took it for a leftover
            pass
        except NotImplementedError:  # a drive without locks: nobody takes its folders for leftovers
            return hidden, lock
        else:
            if (hidden / _LOCK).exists():
                return hidden, lock
            lock.release()
        _own.discard(hidden)


def _lock_of(hidden: Path) -> FileLock:
    return FileLock(hidden / _LOCK, blocking=False, fallback_to_soft=False)


def _remove(hidden: Path, lock: FileLock) -> None:
    shutil.rmtree(hidden, ignore_errors=True)
    lock.release()
    if sys.platform == "win32":  # an open file, the lock's own, cannot be removed there
        shutil.rmtree(hidden, ignore_errors=True)


def _mark_whole(hidden: Path, names: Sequence[str]) -> None:
    """Say that all files are there: from here on a write that is interrupted is finished by the next one."""
    unfinished = hidden / f"{_WHOLE}-names"
    unfinished.write_text(json.dumps(names), encoding="utf-8")
    _sync(unfinished)
    unfinished.replace(hidden / _WHOLE)
    _sync_folder(hidden)


def _names_left(hidden: Path) -> list[str]:
    """Return the files that a killed process had whole; none where they were not, or something newer stands there."""
    try:
        names = json.loads((hidden / _WHOLE).read_text(encoding="utf-8"))
        whole = (hidden / _WHOLE).stat().st_mtime_ns
    except (FileNotFoundError, ValueError):
        return []
    ours = all(isinstance(name, str) and Path(name).name == name and not name.startswith(".") for name in names)
    places = [hidden.parent / name for name in names] if ours else []
    newer = any(place.exists() and place.stat().st_mtime_ns > whole for place in places)
    return names if ours and not newer else []


def _move_in(hidden: Path, names: Sequence[str]) -> None:
    """Move files to their places, those that are there before out of the way; on an error all is as it was."""
    folder, before = hidden.parent, hidden / _BEFORE
    left = [name for name in names if (hidden / name).exists()]  # the others are in: an interrupted move is finished
    for name in left:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
    if len(names) == 1:
        (hidden / names[0]).replace(folder / names[0])
        _sync_folder(folder)
        return
    before.mkdir(exist_ok=True)
    with _alone_in(folder):
        try:
            for name in reversed(left):
                with suppress(FileNotFoundError):
                    (folder / name).replace(before / name)
            for name in left:
                (hidden / name).replace(folder / name)
        except OSError:
            for name in left:
                if not (hidden / name).exists():
                    (folder / name).replace(hidden / name)
            for name in left:
                if (before / name).exists():
                    (before / name).replace(folder / name)
            (hidden / _WHOLE).unlink()
            raise
        _sync_folder(folder)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from moving files into a folder at the same moment, where the system can lock folders."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a drive without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync(file: Path) -> None:
    with file.open("rb+") as written:
        os.fsync(written.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and its rename is already durable enough
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

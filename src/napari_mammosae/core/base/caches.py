"""What the program keeps to save time and could make again: listed with its size, and emptied, in one place.

Nothing that a person made is a cache. Verdicts and drafts of boxes lie in the user's data folder or beside a run.
"""

import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from .errors import RunError, SettingsError

KEPT_BY_HAND = (".sqlite", ".sqlite-wal", ".sqlite-shm")
"""Endings of verdict files: a cache that holds one, put there by hand, is not emptied."""


def cache_folder() -> Path:
    """Return the user's cache folder for this program."""
    from platformdirs import user_cache_path

    return user_cache_path("napari-mammosae", appauthor=False)


def in_cache(path: Path | str) -> bool:
    """Whether a file or folder lies in this program's cache folder."""
    return Path(path).resolve().is_relative_to(cache_folder().resolve())


def is_embedded(path: Path | str) -> bool:
    """Whether a file or folder came with the package, which may lie where nothing can be written."""
    return Path(path).resolve().is_relative_to(Path(__file__).resolve().parents[2])


def folder_beside(run: Path, name: str) -> Path:
    """Return a folder for what comes of a run: in the run, unless that came with the package."""
    return cache_folder() / f"demo-{name}" if is_embedded(run) else run / name


class Cache(Protocol):
    """One cache, on the disk or in the memory of this process."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def holds(self) -> str:
        """What is in it, for people."""
        ...

    def size(self) -> int:
        """Bytes it takes now."""
        ...

    def empty(self) -> None:
        """Remove all of it."""
        ...


@dataclass(frozen=True, slots=True)
class FolderCache:
    """What lies under names of one pattern in the cache folder.

    Attributes
    ----------
    name, holds
        As in `Cache`.
    pattern
        Glob of the entries of the cache folder that belong to it.
    """

    name: str
    holds: str
    pattern: str

    def entries(self) -> list[Path]:
        """Return the files and folders it consists of."""
        return sorted(cache_folder().glob(self.pattern))

    def size(self) -> int:
        """Bytes of all its files; a link counts as itself, not as what it leads to."""
        return sum(map(_size_of, self.entries()))

    def empty(self) -> None:
        """Remove all its files and folders, and of a link the link alone.

        Raises
        ------
        RunError
            A run is being made in it, it holds a verdict file, or a file cannot be removed.
        """
        files = {entry: _files_in(entry) for entry in self.entries()}
        for entry, paths in files.items():
            if kept := next((path for path in paths if path.name.endswith(KEPT_BY_HAND)), None):
                raise RunError(
                    f"{entry.name} holds {kept.name}, which cannot be made again. Move it to another folder first."
                )
        with ExitStack() as held:
            for entry, paths in files.items():
                for lock in (path for path in paths if path.name == ".lock"):
                    held.enter_context(_alone(lock, entry.name))
            if sys.platform == "win32":  # an open file cannot be removed there
                held.close()
            try:
                for entry in files:
                    _remove(entry)
            except OSError as error:
                name = Path(error.filename).name if error.filename else self.name
                raise RunError(f"{name} cannot be removed ({error.strerror or error}).") from error


FOLDERS = (
    FolderCache("demo", "demo runs and their synthetic phantoms", "demo-*"),
    FolderCache("openvino", "networks converted for OpenVINO", "*openvino-*"),
    FolderCache("compiled", "networks compiled by PyTorch", "compiled"),
    FolderCache("downloads", "parts of interrupted downloads of models", "downloads"),
)
_in_memory: WeakSet[Cache] = WeakSet()


def register_cache(cache: Cache) -> None:
    """List a cache in memory with the others for as long as it lives."""
    _in_memory.add(cache)


def all_caches() -> list[Cache]:
    """Return every cache, those on the disk first."""
    return [*FOLDERS, *sorted(_in_memory, key=lambda cache: cache.name)]


def cache_named(name: str) -> Cache:
    """Return the cache of a name.

    Raises
    ------
    SettingsError
        No cache has this name.
    """
    for cache in all_caches():
        if cache.name == name:
            return cache
    known = ", ".join(sorted({cache.name for cache in all_caches()}))
    raise SettingsError(f"{name!r} is not a cache; expected one of: {known}.")


def _alone(lock: Path, folder: str) -> ExitStack:
    """Hold the lock under which a run is made."""
    from filelock import FileLock, Timeout

    stack = ExitStack()
    try:
        stack.enter_context(FileLock(lock, timeout=0, fallback_to_soft=False))
    except Timeout:
        raise RunError(f"A run is being made in {folder}. Wait until it is finished, or stop it.") from None
    except (OSError, NotImplementedError):  # a drive without locks
        pass
    return stack


def _files_in(entry: Path) -> list[Path]:
    """All files of a folder, not following links; of a file or a link itself."""
    if entry.is_symlink() or not entry.is_dir():
        return [entry]
    return [Path(folder, name) for folder, _, names in os.walk(entry) for name in names]


def _size_of(entry: Path) -> int:
    total = 0
    for path in _files_in(entry):
        try:
            total += path.lstat().st_size
        except OSError:  # went meanwhile
            continue
    return total


def _remove(entry: Path) -> None:
    if entry.is_symlink() or not entry.is_dir():
        entry.unlink(missing_ok=True)
    else:
        shutil.rmtree(entry)  # does not follow links

"""Files that are either whole or absent, and the hashes that name them."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it takes the place of `path` when the block ends without error.

    The content is synced before the rename, and the folder after it, so that a crash at any moment leaves the old file
    or the new one. On an error the temporary file is removed and `path` is untouched. The temporary name keeps the
    suffix, because many writers choose their format by it.
    """
    with write_together(path) as (temporary,):
        yield temporary


@contextmanager
def write_together(*paths: Path | str) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary path for each of `paths`, as `write_atomic` does; on an error none of them takes its place.

    For files that mean something only beside each other: all are synced before the first is renamed.
    """
    targets = [Path(path) for path in paths]
    temporaries: list[Path] = []
    try:
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            temporaries.append(Path(name))
        yield tuple(temporaries)
        for temporary in temporaries:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; the result should be an ordinary one
        for temporary, path in zip(temporaries, targets, strict=True):
            temporary.replace(path)
        for folder in {path.parent for path in targets}:
            _sync_folder(folder)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain_unreadable(path: Path, error: OSError) -> str:
    """Return what a message says of a file that could not be read."""
    if isinstance(error, FileNotFoundError):
        return f"{path.name}: no such file in {path.absolute().parent.name or 'the root folder'}; check the path"
    return f"{path.name}: cannot be read ({error.strerror or error})"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and its rename is already durable enough
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

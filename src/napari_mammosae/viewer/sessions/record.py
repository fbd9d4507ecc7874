"""A session as a file: names of files relative to it with their hashes, and choices as plain values. Knows no Qt."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ...core.base.errors import SettingsError
from ...core.base.files import sha256_file, write_atomic
from ...core.base.reading import reads
from ...core.base.structured import read_json

FORMAT, VERSION = "napari-mammosae session", 1
SUFFIX = ".session.json"
_hashes: dict[tuple[str, int, int], str] = {}


def relative_name(path: Path, base: Path) -> str:
    """Name a file as seen from the session's folder, with slashes."""
    try:
        return Path(os.path.relpath(path.absolute(), base.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def named_file(name: str, base: Path) -> Path:
    """Return the file that `relative_name` names."""
    return Path(os.path.normpath(base.absolute() / name))


def entry_of(path: Path, base: Path) -> dict[str, str]:
    """Describe a file beside the session's folder: its relative name and its hash; a run by its `run.json`."""
    return {"path": relative_name(path, base), "sha256": _hash(path)}


def find(entry: dict[str, str], base: Path) -> tuple[Path | None, str]:
    """Return the file that an entry names, None where it is gone, and what to say of it; empty if it is the same."""
    path = named_file(entry["path"], base)
    if not path.exists():
        return None, f"{path.name} was not found"
    return path, "" if _hash(path) == entry["sha256"] else f"{path.name} has changed since"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a session, whole or not at all; WriteError where that cannot be done."""
    with write_atomic(path) as temporary:
        temporary.write_text(
            json.dumps({"format": FORMAT, "version": VERSION, **content}, ensure_ascii=False, indent=1), "utf-8"
        )


def read(path: Path) -> dict[str, Any]:
    """Read a session.

    Raises
    ------
    SettingsError
        It cannot be read, or is not a session of this version.
    """
    content = _parse(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SettingsError(f"{path.name} is not a session of Mammo-SAE. Open a file that Save session… wrote.")
    if content.get("version") != VERSION:
        raise SettingsError(f"{path.name} was saved by another version of Mammo-SAE; expected version {VERSION}.")
    return content


@reads(SettingsError, "a session")
def _parse(path: Path) -> Any:
    return read_json(path, SettingsError)


def _hash(path: Path) -> str:
    file = path / "run.json" if path.is_dir() else path
    try:
        facts = file.stat()
        key = str(file), facts.st_mtime_ns, facts.st_size
        if key not in _hashes:
            _hashes[key] = sha256_file(file)
        return _hashes[key]
    except OSError:
        return ""

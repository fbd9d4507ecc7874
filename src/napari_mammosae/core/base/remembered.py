"""Small things that the program remembers for a person from one start to the next, in that person's own folder.

They hold paths of this computer, so they never go into files that are shared. Nothing depends on them: a file that is
missing, damaged or cannot be written is as good as an empty one.
"""

import json
from pathlib import Path

from .errors import MammoSAEError
from .files import write_atomic

_MOST = 200


def state_folder() -> Path:
    """Return the folder of what is remembered."""
    from platformdirs import user_state_path

    return user_state_path("napari-mammosae", appauthor=False)


def recall(name: str) -> dict[str, str]:
    """Return what is remembered under a name, the oldest entry first; empty where nothing is."""
    try:
        known = json.loads(_file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}


def remember(name: str, key: str, value: str) -> None:
    """Remember a value as the newest; the oldest of many are forgotten."""
    known = recall(name)
    if known.get(key) == value and key == next(reversed(known)):
        return
    known.pop(key, None)
    kept = [*known.items(), (key, value)][-_MOST:]
    _write(name, dict(kept))


def forget(name: str, key: str) -> None:
    """Remember a value no longer."""
    known = recall(name)
    if known.pop(key, None) is not None:
        _write(name, known)


def _file(name: str) -> Path:
    return state_folder() / f"{name}.json"


def _write(name: str, known: dict[str, str]) -> None:
    try:
        _file(name).parent.mkdir(parents=True, exist_ok=True)
        with write_atomic(_file(name)) as temporary:
            temporary.write_text(json.dumps(known, ensure_ascii=False, indent=1), encoding="utf-8")
    except (OSError, MammoSAEError):
        return

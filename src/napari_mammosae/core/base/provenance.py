"""Where a result came from: a small record kept beside every table and figure, free of anything about a person."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, Protocol

from .errors import WriteError
from .files import write_atomic, write_error, write_together
from .tables.cells import write_csv

if TYPE_CHECKING:
    import pandas as pd

SOFTWARE = "napari-mammosae"
NOTICE = "research use only, not for diagnosis"


class ModelIdentity(Protocol):
    """What is recorded of a model: a loaded one has it, and so have its facts alone."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    @property
    def layer(self) -> str:
        """The layer its SAE reads."""
        ...

    @property
    def model_sha256(self) -> str:
        """Hash of its weights."""
        ...

    @property
    def sae_sha256(self) -> str:
        """Hash of its SAE's weights."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    @property
    def precision(self) -> str:
        """In which number format."""
        ...


def provenance(command: str, settings: Mapping[str, Any], model: ModelIdentity | None = None) -> dict[str, Any]:
    """Return what produced a result, ready for JSON.

    Parameters
    ----------
    command : str
        What ran, in the words of the command line ("inspect", "rank").
    settings : mapping
        Everything that shaped the numbers. Paths, and texts that look like paths, become bare file names: folders
        often carry people's names.
    model : ModelIdentity, optional
        The model used: its name, layer, hashes, device and precision are recorded.

    Returns
    -------
    dict
        ``software``, ``version``, ``command``, ``settings``, ``model`` (when given), ``created`` (UTC, ISO 8601) and
        ``notice``.
    """
    from ... import __version__

    record: dict[str, Any] = {
        "software": SOFTWARE,
        "version": __version__,
        "command": command,
        "settings": {key: _nameless(plain(value)) for key, value in settings.items()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "notice": NOTICE,
    }
    if model is not None:
        record["model"] = {
            "name": model.name,
            "layer": model.layer,
            "model_sha256": model.model_sha256,
            "sae_sha256": model.sae_sha256,
            "device": model.device,
            "precision": model.precision,
        }
    return record


@contextmanager
def write_results(note: Path, record: Mapping[str, Any], *results: Path) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary path for each result; these and their record, in `note`, take their places together.

    Parameters
    ----------
    note
        The JSON file that says where the results come from, in their folder.
    record
        What goes into it, as it is when the block ends.
    results
        The files; see `write_together`.

    Raises
    ------
    WriteError
        The disk is full, or a file cannot be written; all that was there before is untouched.
    """
    with write_together(note, *results) as (text, *temporaries):
        yield tuple(temporaries)
        text.write_text(json_text(record), encoding="utf-8")


def check_replaceable(note: Path, *results: Path) -> None:
    """Refuse to write where there is a file that this program has not written, as the record in `note` would say.

    Raises
    ------
    WriteError
        Such a file is there, or its name is not one that the system takes.
    """
    try:
        taken = next((path for path in (*results, note) if path.exists()), None)
    except OSError as error:
        raise write_error(note.name, error) from error
    if taken is not None and not _is_ours(note):
        raise WriteError(
            f"{taken.name} exists and has no record of being a result of napari-mammosae. Choose another name, or "
            "move it away."
        )


def _is_ours(note: Path) -> bool:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    parts = (content, *(content.get(name) for name in ("provenance", "info"))) if isinstance(content, dict) else ()
    return any(isinstance(part, dict) and part.get("software") == SOFTWARE for part in parts)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole; numbers keep full precision, what is not a number becomes null."""
    with write_atomic(path) as temporary:
        temporary.write_text(json_text(content), encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return what `write_json` writes."""
    return json.dumps(plain(content), indent=2, allow_nan=False) + "\n"


def write_table(path: Path, table: pd.DataFrame, record: Mapping[str, Any], *, index: bool = False) -> None:
    """Write a table as CSV and its provenance beside it as ``<path's name>.json``: both or neither."""
    with write_results(beside(path, ".json"), record, path) as (csv,):
        write_csv(csv, table.reset_index() if index else table)


def beside(path: Path, suffix: str) -> Path:
    """Return the path whose name is that of `path` with `suffix` added."""
    return path.with_name(path.name + suffix)


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows: numpy scalars and arrays to numbers and lists, paths to file names."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Enum):
        return plain(value.value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _nameless(value: Any) -> Any:
    if isinstance(value, str):
        return PureWindowsPath(value).name or value  # splits at both kinds of slash
    if isinstance(value, dict):
        return {key: _nameless(item) for key, item in value.items()}
    return [_nameless(item) for item in value] if isinstance(value, list) else value

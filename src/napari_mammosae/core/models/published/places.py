"""Where models that were downloaded or added are listed: a folder each, with a `model.toml`."""

import json
from collections.abc import Mapping
from pathlib import Path

from ...base.errors import ModelError
from ...base.files import write_atomic
from ...base.reading import reads
from ...base.structured import read_toml
from ..files.model_schema import FILE_KINDS, FileEntry, validated
from .address import SCHEME, Address
from .catalogue import PublishedModel
from .hub import find_cached

READY = "ready"


def models_folder() -> Path:
    """Return the folder of the models that were downloaded or added, in the user's data folder."""
    from platformdirs import user_data_path

    return user_data_path("napari-mammosae", appauthor=False) / "models"


def model_toml(name: str) -> Path:
    """Return where the `model.toml` of a published model is, once it is downloaded or added."""
    return models_folder() / name / "model.toml"


@reads(ModelError, "a model.toml")
def read_entries(path: Path) -> dict[str, FileEntry]:
    """Return the weights files that a `model.toml` names: by what they are, heads as "head.1" and so on."""
    table = validated(read_toml(path, ModelError), path.name)
    named = {kind: getattr(table.files, kind) for kind in FILE_KINDS}
    named |= {f"head.{place}": head.file for place, head in enumerate(table.head, start=1)}
    return {kind: entry for kind, entry in named.items() if entry is not None}


def known_entries(name: str) -> dict[str, FileEntry]:
    """Return the files of a published model that was downloaded or added; none where its `model.toml` is damaged."""
    toml = model_toml(name)
    try:
        return read_entries(toml) if toml.is_file() else {}
    except ModelError:
        return {}


def locate(entry: FileEntry, toml: Path) -> Path | None:
    """Return where a file of a `model.toml` is; None where it is not on this machine."""
    if entry.path.startswith(SCHEME):
        return find_cached(Address.parse(entry.path))
    file = toml.parent / entry.path
    return file if file.exists() else None


def is_ready(name: str) -> bool:
    """Whether a published model was downloaded or added, and its files are still there."""
    entries = known_entries(name).values()
    return bool(entries) and all(locate(entry, model_toml(name)) is not None for entry in entries)


def state_of(model: PublishedModel) -> str:
    """Return what a list says of a model: ``ready``, ``ready, no SAE`` or ``not downloaded: ...``."""
    if not is_ready(model.name):
        return f"not downloaded: {model.size}"
    return READY if set(model.files) <= set(known_entries(model.name)) else f"{READY}, no SAE"


def write_model_toml(model: PublishedModel, entries: Mapping[str, FileEntry]) -> Path:
    """Write the `model.toml` of a published model, the last of its files."""
    lines = [f"name = {_quoted(model.name)}", "", "[files]"]
    lines += [
        f"{kind} = {{ path = {_quoted(entry.path)}, sha256 = {_quoted(entry.sha256)} }}"
        for kind, entry in entries.items()
    ]
    if model.classes:
        lines += ["", "[[head]]", f"classes = [{', '.join(map(_quoted, model.classes))}]"]
    path = model_toml(model.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

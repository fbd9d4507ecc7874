"""Trained heads in a folder, with a `model.toml` by which the model has them besides its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...base.errors import ModelError, SettingsError
from ...base.provenance import check_replaceable, write_results
from ...base.reading import reads
from ...base.structured import read_json
from ...base.tables.cells import write_csv
from ...models.files.head_files import write_head
from ...models.files.model_files import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ...models.heads import Head
    from ...runs.run import Run

FOLDER = "heads"
"""Where heads of a run lie by default, in its folder."""


class Trained(Protocol):
    """What is written of a trained head."""

    @property
    def head(self) -> Head:
        """The head itself."""

    @property
    def label(self) -> str:
        """The label it predicts."""

    @property
    def rows(self) -> pd.DataFrame:
        """What it is worth, a row a class."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What produced it."""


class HeadRecord(BaseModel):
    """What `heads.json` says of a head."""

    model_config = ConfigDict(strict=True)

    classes: list[str] = Field(max_length=10_000)
    task: str
    label: str
    provenance: dict[str, Any]

    @classmethod
    def of(cls, trained: Trained) -> HeadRecord:
        """Describe a head."""
        head = trained.head
        return cls(classes=list(head.classes), task=head.task, label=trained.label, provenance=trained.provenance)


class HeadsRecord(BaseModel):
    """What `heads.json` says of the heads in its folder: the model they belong to, and each of them by name."""

    model_config = ConfigDict(strict=True)

    base: str | None = None
    heads: dict[str, HeadRecord] = Field(default_factory=dict, max_length=10_000)


@reads(ModelError, "a record of heads")
def read_record(path: Path) -> HeadsRecord:
    """Read the record of the heads in a folder.

    Raises
    ------
    ModelError
        It is damaged.
    """
    try:
        return HeadsRecord.model_validate(read_json(path, ModelError))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise ModelError(f"{path.name} does not describe heads ({place[:60]}); move it away") from None


def base_of_run(run: Run, model: str | Path | None = None) -> str | Path | None:
    """Return what stands for a run's model in a `model.toml`: what is given, else its name where that is known."""
    if model is not None:
        find_model(model)
        return model
    name = str(run.info["model"])
    try:
        find_model(name)
    except ModelError:
        return None
    return name


def head_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the files that `save_heads` writes, the one that says how they were made first."""
    return [folder / name for name in (f"{FOLDER}.json", f"{FOLDER}.csv", "model.toml", *_file_names(names))]


def save_heads(trained: Sequence[Trained], folder: Path, base: str | Path | None) -> list[Path]:
    """Write heads, and a `model.toml` that adds them to a model; heads that are there already stay.

    Parameters
    ----------
    trained
        The heads; one of a name that is there replaces it.
    folder
        Made if it is not there. `<name>.safetensors` for each head, `heads.csv` with what they are worth, `heads.json`
        with how they were made, and `model.toml`.
    base
        The model they belong to: a name, or the path of its `model.toml`. None writes no `model.toml`.

    Raises
    ------
    WriteError
        The folder holds files of these names that do not come from here, or a file cannot be written.
    ModelError
        The model is not known, or `heads.json` is damaged.
    SettingsError
        The model has such a head already.
    """
    import pandas as pd

    names = [one.head.name for one in trained]
    note, csv, toml, *weights = head_files(folder, names)
    check_replaceable(note, csv, toml, *weights)
    former = read_record(note) if note.exists() else HeadsRecord()
    known = {name: one for name, one in former.heads.items() if name not in names}
    heads = known | {one.head.name: HeadRecord.of(one) for one in trained}
    tables = [one.rows.assign(head=one.head.name) for one in trained]
    if csv.exists():
        rows: pd.DataFrame = pd.read_csv(csv, keep_default_na=False, na_values={"auroc": [""], "auroc_lo": [""]})
        tables = [rows[rows["head"].isin(list(known))], *tables]
    table = pd.concat([part for part in tables if len(part)], ignore_index=True)
    same = base is None or _is_same(base, toml)
    _check_new(names, None if same else base)
    base = former.base if same or base is None else _relative(base, folder)
    described = {name: one.model_dump() for name, one in heads.items()}
    record = {"provenance": trained[0].provenance, "base": base, "heads": described}
    outputs = [csv, *([toml] if base else []), *weights]
    folder.mkdir(parents=True, exist_ok=True)
    with write_results(note, record, *outputs) as temporaries:
        write_csv(temporaries[0], table)
        if base:
            temporaries[1].write_text(_toml(base, heads), encoding="utf-8")
        for one, path in zip(trained, temporaries[-len(trained) :], strict=True):
            write_head(path, one.head, str(one.provenance["made_with"]["model_sha256"]))
    return [*outputs, note]


def _check_new(names: Sequence[str], base: str | Path | None) -> None:
    """Refuse heads that the model has already, beside which no other of the name can be."""
    taken = {head.name for head in find_model(base).extra_heads} if base is not None else set()
    if twice := [name for name in names if name in taken]:
        raise SettingsError(
            f"{Path(str(base)).name} has a head {twice[0]!r} already; write into its folder to replace it, or name a "
            "model without it."
        )


def _toml(base: str, heads: Mapping[str, HeadRecord]) -> str:
    """The heads of a folder as one more `model.toml`."""
    lines = [f"base = {_quoted(base)}"]
    for name, head in heads.items():
        lines += [
            "",
            "[[head]]",
            f"name = {_quoted(name)}",
            f"classes = [{', '.join(map(_quoted, head.classes))}]",
            f"task = {_quoted(head.task)}",
            f"file = {_quoted(_file_names([name])[0])}",
        ]
    return "\n".join([*lines, ""])


def _relative(base: str | Path, folder: Path) -> str:
    """The model as the file in the folder names it."""
    if Path(base).suffix != ".toml":
        return str(base)
    try:
        return Path(os.path.relpath(Path(base).absolute(), folder.absolute())).as_posix()
    except ValueError:  # another drive
        return Path(base).absolute().as_posix()


def _is_same(base: str | Path, toml: Path) -> bool:
    return toml.exists() and Path(base).exists() and toml.samefile(base)


def _file_names(names: Sequence[str]) -> list[str]:
    return [f"{name}.safetensors" for name in names]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

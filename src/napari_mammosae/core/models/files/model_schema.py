"""What a `model.toml` may hold, and the one line that says what is wrong with one."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ...base.errors import ModelError
from ...images.preprocessing import Fit
from ..adapters.kinds import BackboneKind
from ..heads import Task
from ..sae.options import Kind

MOVED: dict[str, tuple[str | int, ...]] = {
    "classifier": ("files", "classifier"),
    "weights": ("files", "classifier"),
    "backbone": ("files", "backbone"),
    "sae": ("files", "sae"),
    "input_size": ("input", "size"),
    "timm": ("backbone", "timm"),
    "torchvision": ("backbone", "torchvision"),
    "classes": ("head", 0, "classes"),
    "task": ("head", 0, "task"),
}
"""Short spellings at the top of the file, and the place each stands for."""


_LONGEST_KEY = 40
"""Characters of a key that is not known which messages show, and which is compared with those that are."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileEntry(_Table):
    """A weights file: its name alone, or a table with its name and hash."""

    path: str = Field(description="a file name, relative to the model.toml")
    sha256: str = Field(default="", pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


_FILE = "a file name, or a table of path and sha256"


FILE_KINDS = ("classifier", "backbone", "sae", "text", "vocabulary")
"""What a `model.toml` names files for, besides heads."""


class FilesTable(_Table):
    """Weights files."""

    backbone: FileEntry | None = Field(default=None, description=_FILE)
    classifier: FileEntry | None = Field(default=None, description=_FILE)
    sae: FileEntry | None = Field(default=None, description=_FILE)
    text: FileEntry | None = Field(default=None, description=_FILE)
    vocabulary: FileEntry | None = Field(default=None, description=_FILE)


class BackboneTable(_Table):
    """What kind of network the backbone is: by its name at timm or torchvision, or by its kind."""

    kind: BackboneKind | None = Field(default=None, description=f"one of {', '.join(get_args(BackboneKind))}")
    timm: str = Field(default="", description="the name of a network of timm")
    torchvision: str = Field(default="", description="the name of a classifier of torchvision")
    member: int = Field(default=0, ge=0, description="a whole number of at least 0")


_Mean = Annotated[float, Field(allow_inf_nan=False)]
_Std = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class InputTable(_Table):
    """What the model expects of its input."""

    size: list[Annotated[int, Field(ge=32)]] | None = Field(
        default=None, min_length=2, max_length=2, description="[height, width] in pixels, at least 32"
    )
    crop: bool | None = Field(default=None, description="true or false")
    fit: Fit | None = Field(default=None, description=f"one of {', '.join(get_args(Fit))}")
    stretch: bool | None = Field(default=None, description="true or false")
    mean: _Mean | list[_Mean] | None = Field(default=None, description="a number, or a list of one a channel")
    std: _Std | list[_Std] | None = Field(default=None, description="a positive number, or a list of one a channel")
    channels: Literal[1, 3] | None = Field(default=None, description="1 or 3")


class SaeTable(_Table):
    """What kind of autoencoder the SAE is, and what its file lacks."""

    kind: Kind | None = Field(default=None, description=f"one of {', '.join(get_args(Kind))}")
    k: int | None = Field(default=None, ge=1, description="a whole number of at least 1")
    threshold: float | None = Field(default=None, allow_inf_nan=False, description="a number")
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a positive number")
    clamp: bool = Field(default=False, description="true or false")


class HeadTable(_Table):
    """A head: with `file` one more, without it the classifier's own."""

    name: str = Field(default="classifier", min_length=1, description="text")
    classes: list[str] = Field(default_factory=list, description="a list of names, one per logit")
    task: Task | None = Field(default=None, description=" or ".join(get_args(Task)))
    file: FileEntry | None = Field(default=None, description=_FILE)


class DomainTable(_Table):
    """What kind of images the model is for, in words."""

    modality: str | None = Field(default=None, description="text")
    body_part: str | None = Field(default=None, description="text")
    words: list[str] = Field(default_factory=list, description="a list of words")


class ModelTable(_Table):
    """A whole `model.toml`."""

    name: str = Field(default="", description="text")
    layer: str = Field(default="head", description="text: head, or blocks.N")
    engine: str = Field(default="auto", description="text")
    files: FilesTable = Field(default_factory=FilesTable, description="a table")
    backbone: BackboneTable = Field(default_factory=BackboneTable, description="a table")
    input: InputTable = Field(default_factory=InputTable, description="a table")
    sae: SaeTable = Field(default_factory=SaeTable, description="a table")
    head: list[HeadTable] = Field(default_factory=list, description="tables, each beginning with [[head]]")
    keys: dict[str, str] = Field(default_factory=dict, description="a table of texts")
    domain: DomainTable = Field(default_factory=DomainTable, description="a table")
    base: str = Field(default="", description="the name of a model, or a model.toml, that heads are added to")
    _short: dict[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)

    def key(self, *place: str | int) -> str:
        """Return a place as the file spells it: in short, or with dots; tables of a list count from 1."""
        return _dotted(place, self._short)

    def keys_in(self, table: str) -> str:
        """Return the first key that the file spells in short for something in a table; else the table's name."""
        return next((short for place, short in self._short.items() if place[0] == table), table)


def validated(content: Mapping[str, Any], file: str) -> ModelTable:
    """Return the content of a `model.toml` with every key in its place.

    Parameters
    ----------
    content
        As `tomllib` reads it.
    file
        Its name, for messages.

    Raises
    ------
    ModelError
        If a key is not known, has a value of another kind, or is given twice; the first such key is named.
    """
    nested, short = _moved(content, file)
    try:
        table = ModelTable.model_validate(nested)
        table._short.update(short)
        return table
    except ValidationError as error:
        raise ModelError(f"{file}: {_problem(error.errors()[0], nested, short)}") from None


def _moved(content: Mapping[str, Any], file: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], str]]:
    """Put short spellings where they belong; also return what each place was called."""
    nested = {key: dict(value) if isinstance(value, dict) else value for key, value in content.items()}
    short: dict[tuple[str | int, ...], str] = {}
    for key, place in MOVED.items():
        if key not in content or (key in ModelTable.model_fields and isinstance(content[key], dict)):
            continue
        value = nested.pop(key)
        if place[0] == "head":
            if "head" in content:
                raise ModelError(f"{file}: {key} belongs in a [[head]]; move it there")
            table = nested.setdefault("head", [{}])[0]
        else:
            table = nested.setdefault(str(place[0]), {})
        if not isinstance(table, dict):
            continue  # the table is refused below
        if place[-1] in table:
            raise ModelError(f"{file}: {key} and {_dotted(place, short)} are both given; keep one of them")
        table[str(place[-1])] = value
        short[place] = key
    return nested, short


def _problem(error: Any, content: Any, short: Mapping[tuple[str | int, ...], str]) -> str:
    """Say what is wrong with one key."""
    place: tuple[str | int, ...] = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return _unknown(place)
    table: type[_Table] | None = ModelTable
    expected, value, depth = "", content, 0
    for part in place:
        if isinstance(part, str):
            if table is None:
                break
            field = table.model_fields[part]
            expected, table = field.description or "", _table_of(field)
        elif table is None:
            break  # an item of a list of plain values: the list is shown
        depth += 1
        if error["type"] != "missing" or depth < len(place):
            value = value[part] if not isinstance(value, str) else value
    key = _dotted(place[:depth], short)
    return f"{key} is {'missing' if error['type'] == 'missing' else _shown(value)}; expected {expected}"


def _unknown(place: tuple[str | int, ...]) -> str:
    """Name the known key that is nearest to one that is not."""
    table: type[_Table] = ModelTable
    for part in place[:-1]:
        if isinstance(part, str):
            table = _table_of(table.model_fields[part]) or table
    known = dict.fromkeys([*table.model_fields, *(MOVED if table is ModelTable else ())])
    inside = [f"{name}.{key}" for name, field in table.model_fields.items() for key in _keys_of(field)]
    key = str(place[-1])[:_LONGEST_KEY]
    near = difflib.get_close_matches(key, known, 1)
    near += [name for name in inside if difflib.get_close_matches(key, [name.partition(".")[2]])]
    return f"unknown key {_dotted(place, {})}; " + (
        f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    )


def _keys_of(field: FieldInfo) -> Sequence[str]:
    table = _table_of(field)
    return [] if table is None else list(table.model_fields)


def _dotted(place: Sequence[str | int], short: Mapping[tuple[str | int, ...], str]) -> str:
    """Name a place as it is written in the file; tables of a list count from 1."""
    for length in range(len(place), 0, -1):
        if tuple(place[:length]) in short:
            return short[tuple(place[:length])]
    return ".".join(str(part + 1) if isinstance(part, int) else part[:_LONGEST_KEY] for part in place)


def _table_of(field: FieldInfo) -> type[_Table] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, _Table)), None)


def _shown(value: Any) -> str:
    """Write a value for a message: short, and without the folders of a path."""
    if isinstance(value, str) and not value.startswith("hf://"):
        value = PurePath(value.replace("\\", "/")).name
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"

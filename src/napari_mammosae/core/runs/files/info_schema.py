"""What a `run.json` must hold, and the one line that says what is wrong with one."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...base.limits import LIMITS

_Side = Annotated[int, Field(ge=1, le=65_536)]


class _Preprocessing(BaseModel):
    model_config = ConfigDict(strict=True)

    size: list[_Side] = Field(min_length=2, max_length=2)


class _Head(BaseModel):
    model_config = ConfigDict(strict=True)

    classes: list[str]
    task: str


class _RunInfo(BaseModel):
    """The keys that readers of a run use; others are kept as they are."""

    model_config = ConfigDict(strict=True)

    grid: list[_Side] = Field(min_length=2, max_length=2, description="two whole numbers above zero")
    latents: int = Field(ge=1, le=1 << 24, description="a whole number above zero")
    classes: list[str] = Field(max_length=10_000, description="a list of names")
    task: str = Field(description="text")
    layer: str = Field(description="text")
    model_sha256: str = Field(description="a hash")
    sae_sha256: str = Field(description="a hash")
    preprocessing: _Preprocessing = Field(description="settings with the size, two whole numbers")
    maps: bool = Field(description="true or false")
    block: int = Field(ge=1, le=LIMITS["rows"], description="a whole number above zero")
    images: int = Field(ge=0, le=LIMITS["rows"], description="a whole number")
    complete: bool = Field(description="true or false")
    model: str = Field(default="", description="text")
    engine: str = Field(default="torch", description="text")
    list_sha256: str = Field(default="", description="a hash")
    labels_sha256: str = Field(default="", description="a hash")
    failed: int = Field(default=0, ge=0, description="a whole number")
    heads: list[_Head] = Field(default_factory=list, description="a list of heads with their classes and task")
    categories: dict[str, list[str]] = Field(default_factory=dict, description="names of each label's categories")


def fault_of(info: Mapping[str, Any]) -> str:
    """Return what is wrong with the content of a `run.json`; empty when nothing is."""
    lacking = [name for name, field in _RunInfo.model_fields.items() if field.is_required() and name not in info]
    if lacking:
        return f"it lacks {', '.join(lacking)}"
    try:
        _RunInfo.model_validate(dict(info))
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        text = repr(info[key])
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        return f"{key} is {shown}, expected {_RunInfo.model_fields[key].description}"
    return ""


def defaults() -> dict[str, Any]:
    """Return what stands for the keys that the first runs did not have."""
    return {"model": "", "list_sha256": "", "labels_sha256": "", "categories": {}, "engine": "torch", "heads": []}

"""Which model a run is made with, in words that another process can load it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from ...base.errors import MammoSAEError, ModelError

if TYPE_CHECKING:
    from ...models.model import MammoSAE
    from ..run import Run

ModelSpec: TypeAlias = Union[str, Path, Mapping[str, Any], Callable[[], "MammoSAE"], "MammoSAE"]
"""A name or `model.toml`, the arguments of `load_model`, something that makes the model, or the model."""


def recipe_of(model: ModelSpec) -> dict[str, Any] | None:
    """Return the arguments of `load_model` that a specification stands for; None where it makes or is a model."""
    if isinstance(model, (str, Path)):
        return {"name": model}
    return dict(model) if isinstance(model, Mapping) else None


def load(model: ModelSpec) -> MammoSAE:
    """Return the model that a specification stands for, loaded unless it is one."""
    from ...models.loading import load_model
    from ...models.model import MammoSAE

    if isinstance(model, MammoSAE):
        return model
    if (recipe := recipe_of(model)) is not None:
        return load_model(**recipe)
    return model()  # type: ignore[operator]


def model_of_run(run: Run, model: str | None, **settings: Any) -> MammoSAE:
    """Load the model of a run: the one named, else the one it says it was made with; `settings` as of `load_model`."""
    from ...models.files.model_files import embedded_models
    from ...models.loading import load_model
    from ...models.published.catalogue import published_models

    name = str(run.info["model"])
    try:
        return load_model(model or name, **({"device": "cpu"} | settings))
    except MammoSAEError as error:
        if model is not None:
            raise
        with_a_name = name in {*embedded_models(), *published_models()}
        why = error if with_a_name else "its model.toml says what it is, name that file"
        raise ModelError(f"{run.path.name} was made with {name}, which needs --model here: {why}") from error

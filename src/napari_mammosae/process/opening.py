"""How a viewer gets its models: from a process that stands by, so that opening one does not wait for torch."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import finalize

from ..core.base.progress import ignore
from .child import Child
from .local import LocalModel
from .remote import ProcessModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core.base.progress import Report
    from ..core.models.facts import ModelFacts
    from ..core.runs.making.model_spec import ModelSpec
    from .handle import ModelHandle


def open_handles(model: ModelSpec) -> tuple[ModelHandle, LocalModel | None]:
    """Return the handle that a viewer is to work with, and one in this process where the model is here anyway.

    The first is in a process of its own wherever the model was made from files; for a model at hand that process starts
    with the first request. A warning says where it is not.

    Raises
    ------
    CheckpointError, ModelError
        As `load_model`.
    """
    from ..core.runs.making.model_spec import load, recipe_of

    if (recipe := recipe_of(model)) is not None:
        return ModelOpener().open(recipe, ignore), None
    from ..core.models.model import MammoSAE

    loaded = load(model)
    local = LocalModel(loaded, lent=isinstance(model, MammoSAE))
    if loaded.recipe is not None:
        return ProcessModel(loaded.recipe, local.facts), local
    warnings.warn(
        f"{loaded.name} was not loaded from files, so it computes in the viewer's process, and the window may pause",
        stacklevel=3,
    )
    return local, local


class ModelOpener:
    """Opens models in processes of their own."""

    def __init__(self) -> None:
        self._spare: Child | None = None
        self._closed = False
        self._lock = Lock()

    def warm_up(self) -> None:
        """Start a process that imports torch and then waits for the first model."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = Child(warm=True)
                self._end = finalize(self, self._spare.kill)

    def open(self, recipe: Mapping[str, Any], report: Report) -> ModelHandle:
        """Load a model.

        Parameters
        ----------
        recipe
            Arguments of `load_model`, as plain values.
        report
            What it raises stops the loading.

        Raises
        ------
        CheckpointError, ModelError
            As `load_model`.
        """
        spare = self._take_spare()
        return ProcessModel.load(recipe, report, spare if spare is not None and spare.alive else Child())

    def know(self, recipe: Mapping[str, Any], facts: ModelFacts) -> ModelHandle:
        """Return a model of which all is known but the weights: they are loaded with the first request."""
        return ProcessModel(recipe, facts, spare=self._take_spare())

    def _take_spare(self) -> Child | None:
        with self._lock:
            spare, self._spare = self._spare, None
            if spare is not None:
                self._end.detach()
        return spare

    def close(self) -> None:
        """End the process that stands by, and start none any more."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()

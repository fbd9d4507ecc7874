"""Several layers of one network open at once: a model and a stack each over the same image, one of them worked with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ..canvas.stack import LatentStack
from ..context import Controller
from . import tasks

if TYPE_CHECKING:
    from napari.layers import Image

    from ...core.models.facts import ModelFacts
    from ...core.models.latents import LatentMaps
    from ...process.handle import ModelHandle
    from .controller import ImageController


@dataclass(slots=True, eq=False)
class OpenLayer:
    """A layer that is open.

    Attributes
    ----------
    handle, loaded
        Its model, and the choice it was loaded for with the stamps of its files.
    maps, current, pins
        What the session had of it when it was set aside; None and nothing where the image is another one since.
    stack
        Its stack in the viewer.
    """

    handle: ModelHandle
    loaded: Any
    maps: LatentMaps | None = None
    current: int | None = None
    pins: tuple[int, ...] = ()
    stack: Image | None = None


class OpenLayers(Controller):
    """Which layers are open; the session, and so every dock, works with the chosen one.

    Attributes
    ----------
    changed
        Emits after a layer was opened, chosen or closed, or has other latents.
    open
        All that are open, the chosen one among them; empty while there is one alone.
    chosen
        Position of the chosen one.
    """

    changed = Signal()

    def __init__(self, images: ImageController) -> None:
        super().__init__(images.context)
        self.images = images
        self.open: list[OpenLayer] = []
        self.chosen = 0
        self._choosing = False
        self.listen(self.session.events.model, self._on_model)
        self.listen(self.session.events.image, self._on_image)
        self.listen(self.session.events.maps, self._on_maps)

    def close(self) -> None:
        """End the models of the layers that are set aside."""
        super().close()
        self.unload_others()

    def unload_others(self) -> None:
        """Give the memory of the layers back that are set aside."""
        for one in self._others():
            one.handle.unload()

    def titles(self) -> list[str]:
        """What to call each open layer: its name, its latents, and how many of them fire where that is known."""
        found = []
        for at, one in enumerate(self.open):
            facts, maps = one.handle.facts, self.session.maps if at == self.chosen else one.maps
            fire = "" if maps is None else f", {maps.latents.size:,} fire"
            found.append(f"{facts.layer}: {facts.n_latents:,} latents{fire}")
        return found

    def add(self) -> None:
        """Open the model that is chosen in the dock beside the ones that are open, and compute its latents."""
        if self.session.handle is None:
            self.images.compute()
            return
        choice = self.images.choice
        stamps = tasks.stamps(choice)
        work, take = partial(tasks.load, self.images.models, choice), partial(self._take, (choice, stamps))
        self.images.jobs.start(f"Loading {choice.title}", work, take, self.images.report_failure)

    def choose(self, at: int) -> None:
        """Work with another open layer, with its latents as they were left; they are computed for another image."""
        if at == self.chosen or not 0 <= at < len(self.open):
            return
        self._set_aside()
        self._bring(at)

    def close_chosen(self) -> None:
        """Close the chosen layer and work with the one before it."""
        if len(self.open) < 2:
            return
        gone = self.chosen
        self._set_aside()
        self._bring(gone - 1 if gone else 1)
        self._drop(self.open.pop(gone))
        self.chosen -= gone < self.chosen
        if len(self.open) == 1:
            self.open.clear()
            self.chosen = 0
        self.changed.emit()

    def close_others(self) -> None:
        """Close all layers but the chosen one."""
        for one in self._others():
            self._drop(one)
        self.open, self.chosen = [], 0
        self.changed.emit()

    def _take(self, loaded: Any, handle: ModelHandle) -> None:
        facts, model = handle.facts, self.session.model
        problem = "" if model is None else _misfit(facts, model, [one.handle.facts for one in self._others()])
        if problem or self.session.handle is None:
            handle.unload()
            self.status.tell(problem or "The model was unloaded meanwhile.", error=True)
            return
        if not self.open:
            self.open, self.chosen = [OpenLayer(self.session.handle, None)], 0
        self._set_aside()
        self.open.append(OpenLayer(handle, loaded))
        self._bring(len(self.open) - 1)

    def _set_aside(self) -> None:
        one, session = self.open[self.chosen], self.session
        one.maps, one.current, one.pins = session.maps, session.current, session.pins
        one.stack = self.scene.set_stack_aside(f"SAE latents {one.handle.facts.layer}")

    def _bring(self, at: int) -> None:
        before, one = self.open[self.chosen], self.open[at]
        self.chosen, self._choosing = at, True
        try:
            before.loaded = self.images.exchange(one.handle, one.loaded)
            self.scene.take_stack(one.stack)
            if one.maps is not None:
                self.session.maps, self.session.pins = one.maps, one.pins
                if one.current is not None:
                    self.session.current = one.current
        finally:
            self._choosing = False
        if (stack := self.scene.stack_layer) is not None:
            stack.name = f"SAE latents {one.handle.facts.layer}"
        if one.maps is None and self.session.image is not None:
            self.images.compute()
        self.changed.emit()

    def _others(self) -> list[OpenLayer]:
        return [one for at, one in enumerate(self.open) if at != self.chosen]

    def _drop(self, one: OpenLayer) -> None:
        one.handle.unload()
        if one.stack is not None and self.scene.owned.role_of(one.stack) == "other latents":
            self.scene.owned.remove(one.stack)

    def _on_model(self, model: ModelFacts | None) -> None:
        """Another model than a layer of this network was loaded, or none is: what is set aside goes as well."""
        if self._choosing or not self.open:
            return
        others, handle = self._others(), self.session.handle
        fits = model is not None and not any(_misfit(model, one.handle.facts) for one in others)
        if handle is not None and fits:
            self.open[self.chosen].handle = handle
            self.changed.emit()
        else:
            self.close_others()

    def _on_image(self, *_: object) -> None:
        """Latents of another image are shown no longer."""
        for one in self._others():
            one.maps = None
            if one.stack is not None and isinstance(one.stack.data, LatentStack):
                one.stack.data.clear()
                one.stack.refresh(extent=False)

    def _on_maps(self, maps: LatentMaps | None) -> None:
        if self.open and not self._choosing:
            if maps is not None and (stack := self.scene.stack_layer) is not None:
                stack.name = f"SAE latents {self.open[self.chosen].handle.facts.layer}"
            self.changed.emit()


def _misfit(facts: ModelFacts, model: ModelFacts, others: list[ModelFacts] | None = None) -> str:
    """Say why a model cannot be open beside another one; empty where it can."""
    if (facts.model_sha256, facts.preprocessing) != (model.model_sha256, model.preprocessing):
        return f"{facts.name} is not the network of {model.name}. Press Compute latents to use it instead."
    for one in (model, *(others or ())):
        if (one.layer, one.sae_sha256) == (facts.layer, facts.sae_sha256):
            return f"{facts.layer} is open already with this SAE. Choose a model whose SAE reads another layer."
    return ""

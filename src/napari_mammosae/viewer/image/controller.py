"""The image and the model of a viewer: choose, read, load, compute, cancel, unload."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from ...core.base.names import image_id_of
from ...core.base.text import counted
from ...core.runs.listed_names import listed_names
from ...process.opening import ModelOpener
from ..app.preferences import preferences
from ..canvas import layers, window
from ..canvas.notes import is_stack, refusal
from ..context import Controller
from . import tasks
from .heads import Heads
from .prompts import Prompts
from .tasks import ModelChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.annotations.boxes import Findings
    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ...process.handle import MemoryUse, ModelHandle
    from ..canvas.actions import CanvasActions
    from ..context import Context


_CHANGED = " (changed)"


class Lost(QObject):
    """Brings the word that the model's process has ended from the thread that noticed it."""

    told = Signal(str)


class ImageController(Controller):
    """Brings an image, a model, and the latents of the one over the other into the session.

    Attributes
    ----------
    models
        Opens models, in processes of their own.
    prompts
        Texts that were asked for.
    heads
        Heads of the model: which are shown, and ones that are trained.
    choice
        The model to compute with; it is loaded when it is needed.
    run_boxes
        The boxes that the open run came with, while others are shown; None otherwise.
    memory
        What the model took of the memory after it last computed an image; None before.
    """

    def __init__(self, context: Context, actions: CanvasActions) -> None:
        super().__init__(context)
        self.jobs, self.actions = context.jobs, actions
        chosen = preferences()
        self.models = ModelOpener()
        self.prompts = Prompts(context)
        self.heads = Heads(context, lambda: self._loaded[0].name if self._loaded is not None else None)
        self.choice = ModelChoice(
            name=chosen.model, device=chosen.device, precision=chosen.precision, engine=chosen.engine
        )
        self._loaded: tuple[ModelChoice, Any] | None = None
        self._stamps: Any = None
        self.run_boxes: Findings | None = None
        self.memory: MemoryUse | None = None
        self._wanted = False  # the user has asked for latents that are not there yet
        self._lost = Lost()
        self.listen(self._lost.told, self._on_lost)
        self.listen(self.jobs.cancelled, self._on_cancelled)
        self.listen(self.session.events.image, self._on_image)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.scene.replaced, self._on_replaced)
        if (viewer := self.scene.viewer) is not None:
            self.listen(viewer.layers.events.inserted, self._on_inserted)

    def close(self) -> None:
        """Stop what runs, give the model's memory back, look at no more layers."""
        self.jobs.cancel()
        super().close()
        self.prompts.close()
        self.heads.close()
        self.models.close()
        if (handle := self.session.handle) is not None:
            self.session.handle = None
            handle.unload()

    def end_processes(self) -> None:
        """Stop what runs and end the model's process: the window is gone."""
        self.jobs.cancel()
        self.models.close()
        if self.session.handle is not None:
            self.session.handle.unload()

    # Image and boxes

    def candidates(self) -> list[Image]:
        """Layers that can be the mammogram."""
        viewer = self.scene.viewer
        return [layer for layer in viewer.layers if layers.may_be_mammogram(layer)] if viewer is not None else []

    def open_image(self, path: Path, *, compute: bool = False) -> None:
        """Read a file as a new layer, and look at it; with `compute`, compute its latents then."""
        self._wanted = self._wanted or compute
        work = partial(tasks.read_image, path)
        self.jobs.start(f"Reading {path.name}", work, self._add_image, self.report_failure)

    def use_layer(self, layer: Image | None) -> None:
        """Take a layer as the mammogram; latents that are being computed will be those of this one."""
        if layer is not None and layer is self.scene.image_layer and self.session.image is not None:
            return
        if self.jobs.busy:
            self.jobs.cancel()
        self.session.image = None
        self.actions.window = window.DEFAULT
        self.scene.look_at(layer)
        if layer is None:
            return
        known = layers.tags(layer)
        if "findings" in known:
            self.session.findings = known["findings"]
        if (image := layers.mammogram_of(layer)) is not None:
            self._look_at(image)
        else:
            self._read_layer(layer)

    @property
    def stack(self) -> Image | None:
        """The topmost visible stack of images, of which a slice can be the mammogram."""
        viewer = self.scene.viewer
        shown = reversed(viewer.layers) if viewer is not None else ()
        return next((layer for layer in shown if layer.visible and is_stack(layer)), None)

    def use_slice(self) -> bool:
        """Take the slice shown of a stack as the mammogram, in a layer of its own; False without a stack."""
        stack, viewer = self.stack, self.scene.viewer
        if stack is None or viewer is None:
            return False
        step = int(viewer.dims.current_step[viewer.dims.ndim - stack.ndim])
        at = min(step, len(stack.data) - 1)  # the slider may be that of the latents, too, which are more
        layer = Image(
            np.asarray(stack.data[at]), name=f"{stack.name} {at + 1}", colormap=stack.colormap,
            contrast_limits=stack.contrast_limits, scale=stack.scale[1:], translate=stack.translate[1:],
            units=stack.units[1:], axis_labels=("row", "column"), rgb=False, multiscale=False,
        )  # fmt: skip
        stack.visible = False
        viewer.add_layer(layer)
        self.use_layer(layer)
        return True

    def load_boxes(self, path: Path) -> None:
        """Read a table of ground-truth boxes; those of the image shown are drawn."""
        work = partial(tasks.read_boxes, path)
        self.jobs.start(f"Reading {path.name}", work, self._take_boxes, self.report_failure, patient=True)

    def show_run_boxes(self) -> None:
        """Show the boxes again that the run came with."""
        boxes, self.run_boxes = self.run_boxes, None
        if boxes is not None:
            self.session.findings = boxes

    # Model and latents

    def compute(self) -> None:
        """Compute every latent of the image, loading the chosen model and reading the image first if need be."""
        if self.scene.image_layer is None and self.stack is not None:
            self._wanted = True
            self.use_slice()  # which computes once it is read
            return
        layer, image = self.scene.image_layer, self.session.image
        if layer is None:
            self.status.tell("Open a mammogram or choose a layer first.", error=True)
            return
        self._wanted = True
        choice, handle = self.choice, self.session.handle
        if image is not None and not layers.shows(layer, image):  # changed in place, which napari does not announce
            self.session.image = image = None
        if image is None:
            self._read_layer(layer)
        elif handle is None or self._loaded != (choice, tasks.stamps(choice)):
            self.load()
        else:
            self.jobs.start(
                f"Computing the latents of {image.image_id}",
                partial(tasks.compute, handle, image),
                partial(self._take_maps, self.session.generation, handle.facts.device),
                self.report_failure,
            )

    def load(self) -> None:
        """Load the chosen model, and compute then if latents were asked for."""
        choice = self.choice
        self._stamps = tasks.stamps(choice)  # of before the loading: files that change meanwhile are read again
        self.jobs.start(
            f"Loading {choice.title}",
            partial(tasks.load, self.models, choice),
            partial(self.take_model, choice),
            self.report_failure,
        )

    def download(self, name: str, accept: Callable[[str, str], bool]) -> None:
        """Download a published model, once `accept`, given its name and its files with licences, returns True."""

        def take(files: str) -> None:
            if accept(name, files):
                self.jobs.start(f"Downloading {name}", partial(tasks.download, name), tell, self.report_failure)

        def tell(_: None) -> None:
            self.status.tell(f"{name} is ready.")

        self.jobs.start(f"Asking for the size of {name}", partial(tasks.plan_download, name), take, self.report_failure)

    def cancel(self) -> None:
        """Stop what runs."""
        self._wanted = False
        self.jobs.cancel()

    def unload(self) -> None:
        """Drop the model and what came from it, and give its memory back."""
        self.cancel()
        handle, self.session.handle, self._loaded = self.session.handle, None, None
        if handle is not None:
            handle.unload()
            self.status.tell(f"{handle.facts.name} unloaded.")

    @property
    def loaded_choice(self) -> ModelChoice | None:
        """What the loaded model was chosen as; None while there is none, or where it came another way."""
        return None if self._loaded is None or self.session.handle is None else self._loaded[0]

    def exchange(self, handle: ModelHandle, loaded: tuple[ModelChoice, Any]) -> tuple[ModelChoice, Any] | None:
        """Work with another loaded model; the one before stays loaded. Return what that one was loaded for, and when.

        `loaded` is what this returned for the other model, or its choice and the `stamps` of its files.
        """
        self.cancel()
        before, self._loaded, self.choice = self._loaded, loaded, loaded[0]
        handle.lost = self._lost.told.emit
        self.memory = None
        self.session.handle = handle
        return before

    # What comes back from the worker thread

    def report_failure(self, error: Exception) -> None:
        """Tell the user what went wrong in a job; nothing is waited for any more."""
        self._wanted = False
        self.status.report_failure(error)

    def _read_layer(self, layer: Image) -> None:
        """Read what a layer shows, under another name where it was read before and shows something else now."""
        pixels, source = layers.pixels_of(layer), layer.source.path
        former = layers.tags(layer).get("mammogram")
        path = Path(source) if source and former is None else None
        image_id = image_id_of(path) if path else layer.name
        if former is not None:
            image_id = f"{former.image_id.removesuffix(_CHANGED)}{_CHANGED}"
        self.jobs.start(
            f"Reading {layer.name}",
            partial(tasks.image_from_pixels, pixels, image_id, path),
            self._look_at,
            self.report_failure,
        )

    def _add_image(self, image: Mammogram) -> None:
        if (viewer := self.scene.viewer) is not None:
            layer = layers.mammogram_layer(image)
            viewer.add_layer(layer)
            self.use_layer(layer)

    def _look_at(self, image: Mammogram) -> None:
        layer = self.scene.image_layer
        if layer is None:
            return
        layers.tag(layer, mammogram=image)
        self.session.image = image
        if self._wanted:
            self.compute()
        else:
            self.status.tell(f"{image.image_id}: {image.shape[0]:,} x {image.shape[1]:,} pixels.")

    def _take_boxes(self, findings: Findings) -> None:
        run = self.session.run
        if run is not None and self.session.findings is not None:
            named = listed_names(run.images)
            if not any(name in findings for name in named):
                what = f"{findings.name} names none of the {counted(len(named), 'image')} of {run.path.name}."
                self.status.tell(f"{what} The boxes stay as they were.", error=True)
                return
        with self.status.telling():
            boxes, images = counted(len(findings.table), "box", "boxes"), counted(len(findings.images), "image")
            self.status.tell(f"{findings.name}: {boxes} of {images}.")
            if (image := self.session.image) is not None:
                notes = findings.for_images({image.full_name: image.shape}).notes
                self.status.tell(" ".join(notes) or self.status.last_told[0])
        if run is not None and self.run_boxes is None:
            self.run_boxes = self.session.findings
        self.session.findings = findings

    def take_model(self, choice: ModelChoice, handle: ModelHandle) -> None:
        """Go on with a model that was loaded for a choice."""
        handle.lost = self._lost.told.emit
        stamps, self._stamps = self._stamps, None
        self._loaded = choice, tasks.stamps(choice) if stamps is None else stamps
        self.memory = None
        before, self.session.handle = self.session.handle, handle
        if before is not None:
            before.unload()
        self.status.tell(f"{handle.facts.name} loaded on {handle.facts.device}.")
        if self._wanted:
            self.compute()

    def _take_maps(self, generation: int, device: str, found: tuple[LatentMaps, MemoryUse]) -> None:
        self._wanted = False
        maps, self.memory = found
        if self.session.is_stale(generation) or self.scene.image_layer is None:
            return
        self.session.maps = maps
        live, model = maps.latents.size, self.session.model
        moved = model is not None and model.device.startswith("cpu") and not device.startswith("cpu")
        left = f" Out of memory on {device}: the model is on the CPU now." if moved else ""
        self.status.tell(f"{maps.shape[0]:,} latents; {live:,} fire{'s' * (live == 1)} on this image.{left}")

    def _on_image(self, image: Mammogram | None) -> None:
        if image is None and self.scene.image_layer is None:
            self.cancel()

    def _on_run(self, *_: object) -> None:
        self.run_boxes = None

    def _on_replaced(self) -> None:
        """The mammogram's layer holds other data: what came from the former ones goes, and these are read."""
        layer, image = self.scene.image_layer, self.session.image
        if layer is None or (image is not None and layers.may_be_mammogram(layer) and layers.shows(layer, image)):
            return
        self.cancel()
        self.session.image = None
        if layers.may_be_mammogram(layer):
            self._read_layer(layer)
        else:
            self.use_layer(None)
            self.status.tell(refusal(layer), error=True)

    def _on_inserted(self, event: Any) -> None:
        """Look at mammograms as they are opened, not at copies of them; at others' images only while there is none."""
        layer, viewer = event.value, self.scene.viewer
        image = layers.tags(layer).get("mammogram")
        known = [layers.tags(other).get("mammogram") for other in viewer.layers if other is not layer] if viewer else []
        opened = image is not None and not any(image is other for other in known)
        wanted = opened or self.scene.image_layer is None
        if wanted and layers.may_be_mammogram(layer):
            self.use_layer(layer)

    def _on_lost(self, why: str) -> None:
        self.status.tell(why, error=True)

    def _on_cancelled(self, title: str) -> None:
        self.status.tell(f"Cancelled: {title}")

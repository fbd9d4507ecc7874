"""What a user can do in a viewer: choose an image and a model, compute, cancel, unload, pin, look."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from psygnal import Signal
from qtpy.QtCore import QCoreApplication

from ...core.base.errors import MammoSAEError
from ...core.base.names import image_id_of
from ..app import keymap
from ..app.jobs import Jobs
from ..app.preferences import preferences
from ..app.session import ContrastMode, session_of
from ..canvas import layers, window
from ..canvas.scene import Scene
from ..runs.browser import RunBrowser
from ..runs.opener import RunDesk
from ..verdicts.controller import Reviewer
from . import tasks
from .tasks import ModelChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image

    from ...core.annotations.boxes import Findings
    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ...core.models.model import MammoSAE

logger = logging.getLogger(__name__)


class Controller:
    """Actions of one viewer; docks, keys, menus and the command line all come here.

    Made by `controller_of`. Docks come and go; the controller and the session stay until the viewer is gone.

    Attributes
    ----------
    session, scene, jobs
        The viewer's state, its layers, and its one heavy job.
    reviewer, browser, runs
        Judging latents, going through the images of a run, and opening and making runs.
    choice
        The model to compute with; it is loaded when it is needed.
    told
        Emits (text, is_error): what a status line should say; `last_told` keeps it.
    windowed
        Emits when the mammogram's window or inversion changed.
    window
        The window preset chosen last.
    """

    told = Signal(str, bool)
    windowed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        chosen = preferences()
        self.session = session_of(viewer)
        self.scene = Scene(viewer, self.session, self.telling, chosen.colormap)
        self.jobs = Jobs()
        self.choice = ModelChoice(name=chosen.model, device=chosen.device, precision=chosen.precision)
        self.session.contrast = chosen.contrast  # type: ignore[assignment]
        self._loaded: ModelChoice | None = None
        self._wanted = False  # the user has asked for latents that are not there yet
        self.window = window.DEFAULT
        self.last_told: tuple[str, bool] = ("Open a mammogram, or a sample from the File menu.", False)
        self._undo = ExitStack()
        self._undo.callback(self.scene.cleanup)
        self._undo.callback(keymap.bind(viewer, self))
        self.reviewer, self.browser, self.runs = Reviewer(self), RunBrowser(self), RunDesk(self)
        for helper in (self.reviewer, self.browser, self.runs):
            self._undo.callback(helper.cleanup)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.session.events.image.connect(self._on_image)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._undo.callback(viewer.layers.events.inserted.disconnect, self._on_inserted)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.cleanup)
            self._undo.callback(self._disconnect_app)

    def cleanup(self) -> None:
        """Stop what runs, give the model's memory back, cut every connection."""
        self.jobs.cancel()
        self._undo.close()
        if (model := self.session.model) is not None:
            self.session.model = None
            model.unload()

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
        self.window = window.DEFAULT
        self.scene.look_at(layer)
        if layer is None:
            return
        known = layers.tags(layer)
        if "findings" in known:
            self.session.findings = known["findings"]
        if "mammogram" in known:
            self._look_at(known["mammogram"])
        else:
            self._read_layer(layer)

    def load_boxes(self, path: Path) -> None:
        """Read a table of ground-truth boxes; those of the image shown are drawn."""
        work = partial(tasks.read_boxes, path)
        self.jobs.start(f"Reading {path.name}", work, self._take_boxes, self.report_failure, patient=True)

    # Model and latents

    def compute(self) -> None:
        """Compute every latent of the image, loading the chosen model and reading the image first if need be."""
        layer, image = self.scene.image_layer, self.session.image
        if layer is None:
            self.tell("Open a mammogram or choose a layer first.", error=True)
            return
        self._wanted = True
        choice, model = self.choice, self.session.model
        if image is None:
            self._read_layer(layer)
        elif model is None or self._loaded != choice:
            self.jobs.start(
                f"Loading {choice.title}",
                partial(tasks.load, choice),
                partial(self.take_model, choice),
                self.report_failure,
            )
        else:
            self.jobs.start(
                f"Computing the latents of {image.image_id}",
                partial(tasks.compute, model, image),
                partial(self._take_maps, self.session.generation, model.device),
                self.report_failure,
            )

    def cancel(self) -> None:
        """Stop what runs."""
        self._wanted = False
        self.jobs.cancel()

    def unload(self) -> None:
        """Drop the model and what came from it, and give its memory back."""
        self.cancel()
        model, self.session.model, self._loaded = self.session.model, None, None
        if model is not None:
            model.unload()
            self.tell(f"{model.name} unloaded.")

    # What is shown

    def toggle_overlays(self) -> None:
        """Hide everything drawn over the mammogram, or show it again."""
        viewer = self.scene.viewer
        together = viewer is not None and layers.find(viewer.layers, "heatmap") is not None
        self._toggle("heatmap" if together else "latents", "pin", "truth", "found", "logit map")

    def toggle_truth(self) -> None:
        """Hide the ground-truth boxes, or show them again, deleted ones too."""
        if self.scene.viewer is not None and layers.find(self.scene.viewer.layers, "truth") is None:
            self.scene.show_boxes()
        else:
            self._toggle("truth")

    def toggle_pin(self) -> None:
        """Keep the current latent as a layer of its own, or let it go."""
        latent, pins = self.session.current, self.session.pins
        if latent is None or self.session.maps is None:
            return
        with self.telling():
            self.session.pins = tuple(p for p in pins if p != latent) if latent in pins else (*pins, latent)

    def next_contrast(self) -> None:
        """Go to the next way of choosing the colour scale; by hand starts from what is shown."""
        modes = get_args(ContrastMode)
        self.set_contrast(modes[(modes.index(self.session.contrast) + 1) % len(modes)])

    def set_contrast(self, mode: ContrastMode) -> None:
        """Choose how the colour scale of the latents is found."""
        if mode == "manual" and (stack := self.scene.stack_layer) is not None:
            low, high = stack.contrast_limits
            self.session.manual_limits = float(low), float(high)
        self.session.contrast = mode

    def invert(self) -> None:
        """Swap dark and bright of the mammogram on the screen."""
        if (layer := self.scene.image_layer) is not None:
            window.invert(layer)
            self.windowed.emit()

    def next_window(self) -> None:
        """Go to the next window preset."""
        names = window.preset_names(self.session.image)
        self.set_window(names[(names.index(self.window) + 1) % len(names) if self.window in names else 0])

    def set_window(self, name: str) -> None:
        """Show the mammogram's grey levels by a preset."""
        if (layer := self.scene.image_layer) is not None:
            self.window = name
            window.apply_preset(layer, self.session.image, name)
            self.windowed.emit()

    # What comes back from the worker thread

    def tell(self, text: str, *, error: bool = False) -> None:
        """Put a line where the user looks for it."""
        self.last_told = text, error
        self.told.emit(text, error)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn this package's errors inside into a line for the user."""
        try:
            yield
        except MammoSAEError as error:
            self.tell(str(error), error=True)

    def report_failure(self, error: Exception) -> None:
        """Tell the user what went wrong in a job; what nobody foresaw goes to the log as well."""
        self._wanted = False
        if isinstance(error, MammoSAEError):
            self.tell(str(error), error=True)
        else:
            logger.error("A job failed", exc_info=error)
            self.tell(f"Unexpected {type(error).__name__}: {error}", error=True)

    def _read_layer(self, layer: Image) -> None:
        pixels, source = layers.pixels_of(layer), layer.source.path
        path = Path(source) if source else None
        image_id = image_id_of(path) if path else layer.name
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
        layers.tags(layer)["mammogram"] = image
        self.session.image = image
        if self._wanted:
            self.compute()
        else:
            self.tell(f"{image.image_id}: {image.shape[0]:,} x {image.shape[1]:,} pixels.")

    def _take_boxes(self, findings: Findings) -> None:
        with self.telling():
            self.tell(f"{findings.name}: {len(findings.table):,} boxes of {len(findings.images):,} images.")
            if (image := self.session.image) is not None:
                self.tell(" ".join(findings.for_images({image.image_id: image.shape}).notes) or self.last_told[0])
        self.session.findings = findings

    def take_model(self, choice: ModelChoice, model: MammoSAE) -> None:
        """Go on with a model that was loaded for a choice."""
        before, self.session.model, self._loaded = self.session.model, model, choice
        if before is not None:
            before.unload()
        self.tell(f"{model.name} loaded on {model.device}.")
        if self._wanted:
            self.compute()

    def _take_maps(self, generation: int, device: str, maps: LatentMaps) -> None:
        self._wanted = False
        if self.session.is_stale(generation) or self.scene.image_layer is None:
            return
        self.session.maps = maps
        live, model = maps.latents.size, self.session.model
        moved = model is not None and model.device != device
        left = f" Out of memory on {device}: the model is on the CPU now." if moved else ""
        self.tell(f"{maps.shape[0]:,} latents; {live:,} fire on this image.{left}")

    def _on_image(self, image: Mammogram | None) -> None:
        if image is None and self.scene.image_layer is None:
            self.cancel()

    def _on_inserted(self, event: Any) -> None:
        """Look at mammograms as they are opened; at other readers' images only while there is none."""
        layer = event.value
        wanted = "mammogram" in layers.tags(layer) or self.scene.image_layer is None
        if wanted and layers.may_be_mammogram(layer) and layers.role_of(layer) is None:
            self.use_layer(layer)

    def _on_cancelled(self, title: str) -> None:
        self.tell(f"Cancelled: {title}")

    def _toggle(self, *roles: layers.Role) -> None:
        viewer = self.scene.viewer
        shown = (
            [layer for role in roles for layer in layers.with_role(viewer.layers, role)] if viewer is not None else []
        )
        visible = any(layer.visible for layer in shown)
        for layer in shown:
            layer.visible = not visible

    def _disconnect_app(self) -> None:
        app = QCoreApplication.instance()
        if app is not None:
            with suppress(TypeError, RuntimeError):  # Qt's way to say: already gone
                app.aboutToQuit.disconnect(self.cleanup)

"""Boxes of the current latent, kept true to the session, and what is asked about them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QTimer

from ..core.errors import MammoSAEError
from . import layers
from .controller import controller_of
from .found import Drawing, draw, drawing_of, found_layer
from .jobs import Jobs
from .localization import (
    ALL_FINDINGS,
    Choice,
    Localization,
    Scope,
    likely_finding,
    localize,
    scope_of,
    truth_of,
)
from .localization_work import look_at_regions, overlaps_with_box
from .session import Order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .controller import Controller

THROTTLE = 15  # ms: how long changes are gathered before the boxes follow


class Localizer:
    """Localisation in one viewer: what was chosen, the boxes of the current latent, and their layer.

    Made by `localizer_of`; it stays while docks come and go, and works only while one is `active`.

    Attributes
    ----------
    changed
        Emits the new `current`: a `Localization`, or None while there is nothing to cut.
    chosen
        Emits the new `choice`.
    jobs
        Longer work asked for in the dock.
    problem
        Why there is no `current`, for the user; empty where nothing is wrong.
    """

    changed = Signal(object)
    chosen = Signal(object)
    toggled = Signal(bool)

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.session = controller.session
        self.jobs = Jobs()
        self.problem = ""
        self.current: Localization | None = None
        self._outlining = Jobs()
        self._choice = Choice()
        self._finding_chosen = False
        self._active = False
        self._drawn = True
        self._scope: Scope | None = None
        self._drawing: Drawing | None = None
        self._regions: tuple[Any, dict[str, Any] | None] = (None, None)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(THROTTLE)
        self._timer.timeout.connect(self.update)
        events = self.session.events
        events.maps.connect(self._on_maps)
        events.findings.connect(self._on_findings)
        events.current.connect(self._on_latent)
        viewer = controller.scene.viewer
        if viewer is not None:
            viewer.layers.events.removed.connect(self._on_removed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.cleanup)
        self._choose_finding()

    def cleanup(self) -> None:
        """Stop what runs."""
        self._timer.stop()
        self.jobs.cancel()
        self._outlining.cancel()

    @property
    def choice(self) -> Choice:
        """How boxes are made and compared."""
        return self._choice

    @choice.setter
    def choice(self, choice: Choice) -> None:
        if choice == self._choice:
            return
        if choice.finding != self._choice.finding:
            self._finding_chosen = True
            self._scope = None
        self._choice = choice
        self.chosen.emit(choice)
        self._later()

    @property
    def active(self) -> bool:
        """Whether somebody looks: without, nothing is computed, and the found boxes go."""
        return self._active

    @active.setter
    def active(self, active: bool) -> None:
        self._active = active
        if active:
            self._on_maps()
        else:
            self._timer.stop()
            self._remove_layer()

    @property
    def drawn(self) -> bool:
        """Whether the boxes are drawn over the image."""
        return self._drawn

    @drawn.setter
    def drawn(self, drawn: bool) -> None:
        if drawn != self._drawn:
            self._drawn = drawn
            self.toggled.emit(drawn)
            if drawn:
                self._draw()
            else:
                self._remove_layer()

    def update(self) -> None:
        """Find the boxes now."""
        self._timer.stop()
        if not self._active:
            return
        self.problem = ""
        try:
            if self._scope is None:
                self._scope = self._new_scope()
            self.current = localize(self._scope, self._choice) if self._scope is not None else None
        except MammoSAEError as error:
            self.problem, self.current = str(error), None
        self._draw()
        self.changed.emit(self.current)

    def order_by_box(self, edges: tuple[float, float, float, float], name: str) -> None:
        """Put the latents first whose boxes overlap most with a box (source edges)."""
        maps = self.session.maps
        if maps is None or maps.frame is None:
            return
        box = maps.frame.boxes_to_input([edges])[0]
        work = partial(overlaps_with_box, maps, box, self._choice)
        done = partial(self._take_order, maps, name)
        self.jobs.start(f"Looking for latents that hit {name}", work, done, self._failed)

    def _take_order(self, maps: Any, name: str, overlaps: NDArray[np.float64]) -> None:
        if maps is not self.session.maps:
            return
        hits = int((overlaps >= self._choice.iou).sum())
        self.session.order = Order.by_score(overlaps, f"IoU with {name}")
        if hits:
            self.session.current = int(self.session.order.latents[0])
        what = f"{hits:,} latents hit {name} at IoU {self._choice.iou:g}" if hits else f"no latent hits {name}"
        self.controller.tell(f"{what}; the stack is in the order of their overlap.")

    def _failed(self, error: Exception) -> None:
        self.controller.tell(str(error) or type(error).__name__, error=True)

    # What the session says

    def _on_maps(self, *_: object) -> None:
        self._scope = None
        session = self.session
        if session.maps is None or session.image is None or session.model is None:
            self._outlining.cancel()
            self.update()
            return
        self._choose_finding()
        if self._regions[0] is session.image:
            self._later()
        elif self._active:
            self._regions = session.image, None
            work = partial(look_at_regions, session.image, session.model)
            take = partial(self._take_regions, session.image)
            self._outlining.start("Outlining the breast", work, take, partial(self._no_regions, session.image))

    def _take_regions(self, image: object, regions: dict[str, Any] | None) -> None:
        if image is self.session.image:
            self._regions = image, regions
            self._scope = None
            self._later()

    def _no_regions(self, image: object, error: Exception) -> None:
        """Everything but the lift can be had without the outline."""
        self._failed(error)
        self._take_regions(image, None)

    def _on_findings(self, *_: object) -> None:
        self._scope = None
        self._choose_finding()
        self._later()

    def _on_latent(self, *_: object) -> None:
        self._scope = None
        self._later()

    def _later(self) -> None:
        if self._active and not self._timer.isActive():
            self._timer.start()

    def _choose_finding(self) -> None:
        """Begin with a finding that is there, until the user chooses."""
        findings, model = self.session.findings, self.session.model
        known = findings.names if findings is not None else ()
        if self._finding_chosen and self._choice.finding in (*known, ALL_FINDINGS):
            return
        finding = likely_finding(findings, self.session.image, model.classes if model is not None else ())
        if finding != self._choice.finding:
            self._choice = replace(self._choice, finding=finding)
            self.chosen.emit(self._choice)

    def _new_scope(self) -> Scope | None:
        session = self.session
        maps, image, latent = session.maps, session.image, session.current
        if maps is None or image is None or latent is None or maps.frame is None:
            return None
        truth = truth_of(session.findings, image, maps.frame, self._choice.finding)
        regions = self._regions[1] if self._regions[0] is image else None
        return scope_of(maps, latent, image, truth, regions)

    # The layer

    def _draw(self) -> None:
        viewer, image_layer = self.controller.scene.viewer, self.controller.scene.image_layer
        if viewer is None or not self._drawn:
            return
        layer = layers.find(viewer.layers, "found")
        if self.current is None or image_layer is None:
            if layer is not None:
                self._show(layer, Drawing([], [], [], [], [], []))
            return
        affine = layers.world_affine(image_layer)
        if layer is None:
            active = viewer.layers.selection.active
            self._drawing = None
            layer = found_layer(affine)
            viewer.add_layer(layer)
            if active is not None:
                viewer.layers.selection.active = active
        elif (layer.affine.affine_matrix != affine).any():
            layer.affine = affine
        line = max(1.0, self.current.scope.frame.source_shape[0] / 300)
        self._show(layer, drawing_of(self.current.rows, line))

    def _show(self, layer: Any, drawing: Drawing) -> None:
        if drawing != self._drawing:
            draw(layer, drawing)
            self._drawing = drawing

    def _remove_layer(self) -> None:
        viewer = self.controller.scene.viewer
        self._drawing = None
        if viewer is not None:
            for layer in layers.with_role(viewer.layers, "found"):
                layers.tags(layer).pop("role")  # so that its going is not taken for the user's wish
                viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        if layers.role_of(event.value) == "found":
            self.drawn = False


_localizers: WeakKeyDictionary[Any, Localizer] = WeakKeyDictionary()


def localizer_of(viewer: Any) -> Localizer:
    """Return the one localizer of a viewer, made on first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _localizers:
        _localizers[viewer] = Localizer(controller_of(viewer))
    return _localizers[viewer]

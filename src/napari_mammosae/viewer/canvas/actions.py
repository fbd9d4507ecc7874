"""What a user does to what is drawn: hide, pin, invert, choose a window or a colour scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from psygnal import Signal

from ..app.history import History
from ..app.session import ContrastMode
from . import window
from .camera import magnify
from .tools.ruler import Ruler
from .tools.views import image_of, view_under_mouse, views

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from ...core.images.mammogram import Mammogram
    from .owned import Role
    from .scene import Scene

CONTRAST_TITLES: dict[ContrastMode, str] = {
    "shared": "shared scale",
    "latent": "own scale",
    "manual": "by hand",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """The grey levels of the mammograms on the screen; their layers by number, so as not to keep them."""

    layers: tuple[int, ...]
    limits: tuple[window.Limits, ...]

    @classmethod
    def of(cls, shown: list[Any]) -> _Shown:
        return cls(tuple(map(id, shown)), tuple(tuple(layer.contrast_limits) for layer in shown))


class CanvasActions:
    """What keys and buttons do to the drawing; `telling` is entered around what the user may ask too much of.

    Attributes
    ----------
    windowed
        Emits when the mammogram's window or inversion changed.
    window
        The window preset chosen last, which the next image of a run gets too.
    ruler
        Lines that are measured.
    """

    windowed = Signal()

    def __init__(self, scene: Scene, telling: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.scene, self.session = scene, scene.session
        self.window = window.DEFAULT
        self._telling = telling
        self.ruler = Ruler(scene)
        self._windows: History[_Shown] | None = None
        self._held: Image | None = None
        self._by_hand: window.Limits | None = None
        self._before_magnifying: tuple[tuple[float, ...], float] | None = None
        self.session.events.image.connect(self._forget)

    def cleanup(self) -> None:
        """Follow the session no longer."""
        self.ruler.cleanup()
        self.session.events.image.disconnect(self._forget)

    def toggle_overlays(self) -> None:
        """Hide everything drawn over the mammogram, or show it again."""
        together = self.scene.owned.find("heatmap") is not None
        self._toggle("heatmap" if together else "latents", "pin", "truth", "found", "logit map")

    def toggle_truth(self) -> None:
        """Hide the ground-truth boxes, or show them again, deleted ones too."""
        if self.scene.owned.find("truth") is None:
            self.scene.show_boxes()
        else:
            self._toggle("truth")

    def toggle_pin(self) -> None:
        """Keep the current latent as a layer of its own, or let it go."""
        latent, pins = self.session.current, self.session.pins
        if latent is None or self.session.maps is None:
            return
        with self._telling():
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
        """Swap dark and bright on the screen, of all views of an exam."""
        if (first := self.layer) is not None:
            inverted = not window.is_inverted(first)
            for layer in self._layers:
                window.set_inverted(layer, inverted)
            self.windowed.emit()

    def next_window(self) -> None:
        """Go to the next window preset."""
        names = window.preset_names(self.session.image)
        self.set_window(names[(names.index(self.window) + 1) % len(names) if self.window in names else 0])

    def set_window(self, name: str) -> None:
        """Show grey levels by a preset, of all views of an exam."""
        if layers := self._layers:
            self._begin()
            self.window = name
            for layer in layers:
                window.apply_preset(layer, image_of(self.scene, layer), name)
            self.settle_window()

    def dress(self, layer: Image, image: Mammogram) -> None:
        """Show another mammogram as the open one is shown: by the preset chosen last, inverted or not."""
        window.apply_preset(layer, image, self.window)
        window.set_inverted(layer, self.scene.image_layer is not None and window.is_inverted(self.scene.image_layer))

    @property
    def layer(self) -> Image | None:
        """The mammogram whose grey levels were changed last by hand, else the first on the canvas."""
        shown = views(self.scene)
        return self._held if self._held in shown else shown[0] if shown else None

    @property
    def is_by_hand(self) -> bool:
        """Whether the grey levels shown are no preset's."""
        layer = self.layer
        return layer is not None and self._by_hand == tuple(layer.contrast_limits)

    def set_limits(self, low: float, high: float, layer: Image | None = None) -> None:
        """Show a mammogram between two grey levels, by default `layer`; `settle_window` ends a move."""
        layer, viewer = layer or self.layer, self.scene.viewer
        if layer is None or viewer is None or not high > low:
            return
        self._begin()
        layer.contrast_limits = low, high
        self._held, self._by_hand = layer, tuple(layer.contrast_limits)
        viewer.status = f"Window: {window.limits_text(self._by_hand)}"
        self.windowed.emit()

    def settle_window(self) -> None:
        """Make what is shown now a step that can be undone."""
        if self._windows is not None:
            now = _Shown.of(self._layers)
            if self._windows.state != now:
                self._windows.take(now)
            self.windowed.emit()

    def undo_window(self) -> None:
        """Take the last change of the window back."""
        if self._is_known and self._windows is not None and self._windows.undo():
            self._show_again(self._windows.state)

    def redo_window(self) -> None:
        """Change the window as before the last undo."""
        if self._is_known and self._windows is not None and self._windows.redo():
            self._show_again(self._windows.state)

    def _show_again(self, state: _Shown) -> None:
        for layer, limits in zip(self._layers, state.limits, strict=True):
            if tuple(layer.contrast_limits) != limits:
                layer.contrast_limits = limits
                self._held, self._by_hand = layer, limits
        self.windowed.emit()

    @property
    def _is_known(self) -> bool:
        """Whether what can be undone was done to the mammograms that are shown."""
        return self._windows is not None and self._windows.state.layers == _Shown.of(self._layers).layers

    @property
    def _layers(self) -> list[Any]:
        """All mammograms on the canvas, and the open one, which comes back after an exam."""
        shown, open_layer = views(self.scene), self.scene.image_layer
        return shown if open_layer is None or open_layer in shown else [*shown, open_layer]

    def _begin(self) -> None:
        """Remember what was shown before the first change."""
        if not self._is_known:
            self._windows = History(_Shown.of(self._layers))

    def _forget(self, *_: object) -> None:
        """Another image has another history, and is looked at as a whole."""
        self._windows = self._held = self._by_hand = self._before_magnifying = None

    def toggle_magnifier(self) -> None:
        """Show what lies under the mouse three times as large, or all as before."""
        if (viewer := self.scene.viewer) is None or self.scene.image_layer is None:
            return
        camera = viewer.scene.camera
        if self._before_magnifying is not None:
            camera.center, camera.zoom = self._before_magnifying
            self._before_magnifying = None
        else:
            self._before_magnifying = tuple(camera.center), float(camera.zoom)
            magnify(viewer, view_under_mouse(self.scene) or self.scene.image_layer)

    def toggle_ruler(self) -> None:
        """Begin to measure, or end it."""
        self.ruler.toggle()

    def _toggle(self, *roles: Role) -> None:
        shown = self.scene.owned.with_role(*roles)
        visible = any(layer.visible for layer in shown)
        for layer in shown:
            layer.visible = not visible

"""What a user does to what is drawn: hide, pin, invert, choose a window or a colour scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, get_args

from psygnal import Signal

from ..app.session import ContrastMode
from . import window

if TYPE_CHECKING:
    from collections.abc import Callable

    from .owned import Role
    from .scene import Scene

CONTRAST_TITLES: dict[ContrastMode, str] = {
    "shared": "shared scale",
    "latent": "own scale",
    "manual": "by hand",
}


class CanvasActions:
    """What keys and buttons do to the drawing; `telling` is entered around what the user may ask too much of.

    Attributes
    ----------
    windowed
        Emits when the mammogram's window or inversion changed.
    window
        The window preset chosen last.
    """

    windowed = Signal()

    def __init__(self, scene: Scene, telling: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.scene, self.session = scene, scene.session
        self.window = window.DEFAULT
        self._telling = telling

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

    def _toggle(self, *roles: Role) -> None:
        shown = self.scene.owned.with_role(*roles)
        visible = any(layer.visible for layer in shown)
        for layer in shown:
            layer.visible = not visible

"""Window and level by dragging with the right button: across for the width, up and down for the brightness."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any
from weakref import ref

from .views import view_under_mouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel

    from ..actions import CanvasActions

RIGHT = 2
_DOUBLES = 220.0
"""Canvas pixels across over which the width doubles, about."""
_WIDTH = 400.0
"""Canvas pixels up or down over which the level moves by one width."""


class WindowDrag:
    """Follows drags with the right button over a mammogram, of an exam over one of its views; all others stay napari's.

    napari zooms with this button. It still does while a tool of the selected layer is in use (drawing shapes, say),
    in 3-D, with Shift or Ctrl held, and where no mammogram is open.
    """

    def __init__(self, viewer: ViewerModel, actions: CanvasActions) -> None:
        self._viewer, self._actions = ref(viewer), actions
        viewer.mouse_drag_callbacks.append(self._drag)

    def cleanup(self) -> None:
        """Leave the button to napari again."""
        if (viewer := self._viewer()) is not None:
            viewer.mouse_drag_callbacks.remove(self._drag)

    def _is_ours(self, viewer: Any, event: Any) -> bool:
        layer, active = view_under_mouse(self._actions.scene), viewer.layers.selection.active
        in_use = active is not None and getattr(active, "mode", "pan_zoom") != "pan_zoom"
        return (
            event.button == RIGHT
            and not event.modifiers
            and layer is not None
            and viewer.dims.ndisplay == 2
            and not in_use
        )

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = view_under_mouse(self._actions.scene)
        if layer is None or not self._is_ours(viewer, event):
            return
        camera = viewer.scene.camera
        pan, camera.mouse_pan = camera.mouse_pan, False  # else napari zooms
        try:
            (left, top), (low, high) = event.pos, layer.contrast_limits
            width, level = high - low, (high + low) / 2
            yield
            while event.type == "mouse_move":
                x, y = event.pos
                moved = level + (y - top) / _WIDTH * width
                half = width * exp(0.7 * (x - left) / _DOUBLES) / 2
                self._actions.set_limits(moved - half, moved + half, layer)
                yield
        finally:
            camera.mouse_pan = pan
        self._actions.settle_window()


def follow_right_button(viewer: ViewerModel, actions: CanvasActions) -> Callable[[], None]:
    """Have the right button set the window; return what undoes it."""
    return WindowDrag(viewer, actions).cleanup

"""The layers of localisation in a viewer: found boxes, and the heatmap of several latents in the stack's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Vectors

from ..canvas import colors
from ..canvas.layers import line_width
from .found_boxes import Drawing, draw, drawing_of, found_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..canvas.scene import Scene
    from .result import Localization

_HID, _OPACITY = "hid_stack", "opacity"
NOTHING = Drawing([], [], [], [], [], [])


class FoundLayers:
    """Keeps both layers; they go with `remove` and `show_heatmap(None, "")`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._drawing: Drawing | None = None

    # Found boxes

    def draw(self, current: Localization | None) -> None:
        """Draw the boxes; None draws none."""
        owned = self._scene.owned
        layer = owned.find("found")
        if current is None or self._scene.image_layer is None or not owned.is_flat:
            if layer is not None:
                self._show(layer, NOTHING)
            return
        line = line_width(current.scope.frame.source_shape[0])
        drawing = drawing_of(current.rows, line)
        if layer is not None and drawing.many is not isinstance(layer, Vectors):
            self.remove()
            layer = None
        if layer is None:
            self._drawing = None
            layer = found_layer(line, many=drawing.many)
            owned.add(layer, "found")
        self._show(layer, drawing)

    def hide(self) -> None:
        """Let the boxes not be seen until others are drawn."""
        if (layer := self._scene.owned.find("found")) is not None and layer.opacity:
            self._scene.owned.facts(layer)[_OPACITY] = layer.opacity  # a step has no time to take them away
            layer.opacity = 0.0

    def remove(self) -> None:
        """Take the boxes away."""
        self._drawing = None
        for layer in self._scene.owned.with_role("found"):
            self._scene.owned.remove(layer)

    def _show(self, layer: Any, drawing: Drawing) -> None:
        if drawing != self._drawing:
            draw(layer, drawing)
            self._drawing = drawing
        if (opacity := self._scene.owned.facts(layer).pop(_OPACITY, None)) is not None:
            layer.opacity = opacity

    # The heatmap of several latents

    def show_heatmap(self, current: Localization | None, name: str) -> None:
        """Draw what is above zero; the stack is hidden when the layer appears, and shown again when it goes."""
        owned = self._scene.owned
        layer = owned.find("heatmap")
        if current is None or self._scene.image_layer is None:
            if layer is not None:
                facts = owned.facts(layer)
                owned.remove(layer)
                self.bring_back(facts)
            return
        values, cells = np.maximum(current.scope.cells, 0.0), _cells(current)
        if layer is None:
            self._add(values, cells, name)
            return
        if not np.array_equal(layer.data, values):
            layer.data = values
            layer.contrast_limits_range = layer.contrast_limits = _limits(values)
        owned.lay(layer, cells)
        layer.name = name

    def bring_back(self, facts: dict[str, Any]) -> None:
        """Show the stack again if it was hidden for a heatmap that is gone; `facts` are the heatmap's."""
        stack = self._scene.stack_layer
        if stack is not None and facts[_HID]:
            stack.visible = True

    def _add(self, values: NDArray[np.float32], cells: NDArray[np.float64], name: str) -> None:
        viewer, stack = self._scene.viewer, self._scene.stack_layer
        layer = Image(
            values,
            name=name,
            rgb=False,
            multiscale=False,
            contrast_limits=_limits(values),
            colormap=colors.heat_colormap(self._scene.colormap),
            blending="translucent",
            interpolation2d="linear",
            axis_labels=("row", "column"),
        )
        hid = stack is not None and stack.visible
        if stack is not None:
            stack.visible = False
        at = viewer.layers.index(stack) + 1 if stack is not None and viewer is not None else None
        self._scene.owned.add(layer, "heatmap", cells, at=at, **{_HID: hid})


def _cells(current: Localization) -> NDArray[np.float64]:
    """3 x 3 matrix from cells to the image's pixels."""
    from ...core.images.geometry import cell_affine

    rows, columns = current.scope.cells.shape
    return cell_affine(current.scope.frame, (rows, columns))


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    return 0.0, float(values.max(initial=0.0)) or 1.0

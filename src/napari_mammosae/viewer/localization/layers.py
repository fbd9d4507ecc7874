"""The layers of localisation in a viewer: found boxes, and the heatmap of several latents in the stack's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ..canvas import colors, layers
from .found_boxes import Drawing, draw, drawing_of, found_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..canvas.scene import Scene
    from .result import Localization

_HID = "hid the stack"


class FoundLayers:
    """Keeps both layers; they go with `remove` and `show_heatmap(None, "")`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._drawing: Drawing | None = None

    # Found boxes

    def draw(self, current: Localization | None) -> None:
        """Draw the boxes; None draws none."""
        viewer, image_layer = self._scene.viewer, self._scene.image_layer
        if viewer is None:
            return
        layer = layers.find(viewer.layers, "found")
        if current is None or image_layer is None:
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
        line = max(1.0, current.scope.frame.source_shape[0] / 300)
        self._show(layer, drawing_of(current.rows, line))

    def remove(self) -> None:
        """Take the boxes away."""
        self._drawing = None
        if (viewer := self._scene.viewer) is not None:
            for layer in layers.with_role(viewer.layers, "found"):
                layers.tags(layer).pop("role")  # so that its going is not taken for the user's wish
                viewer.layers.remove(layer)

    def _show(self, layer: Any, drawing: Drawing) -> None:
        if drawing != self._drawing:
            draw(layer, drawing)
            self._drawing = drawing

    # The heatmap of several latents

    def show_heatmap(self, current: Localization | None, name: str) -> None:
        """Draw what is above zero; the stack is hidden when the layer appears, and shown again when it goes."""
        viewer, image_layer = self._scene.viewer, self._scene.image_layer
        if viewer is None:
            return
        layer = layers.find(viewer.layers, "heatmap")
        if current is None or image_layer is None:
            if layer is not None:
                layers.tags(layer).pop("role")
                viewer.layers.remove(layer)
                self.bring_back(layer)
            return
        values = np.maximum(current.scope.cells, 0.0)
        affine = layers.world_affine(image_layer) @ _cells(current)
        if layer is None:
            self._add(viewer, values, affine, name)
            return
        if not np.array_equal(layer.data, values):
            layer.data = values
            layer.contrast_limits_range = layer.contrast_limits = _limits(values)
        if not np.array_equal(layer.affine.affine_matrix, affine):
            layer.affine = affine
        layer.name = name

    def bring_back(self, heatmap: Any) -> None:
        """Show the stack again if it was hidden for a heatmap that is gone."""
        stack = self._scene.stack_layer
        if stack is not None and layers.tags(heatmap).get(_HID):
            stack.visible = True

    def _add(self, viewer: Any, values: NDArray[np.float32], affine: NDArray[np.float64], name: str) -> None:
        stack, active = self._scene.stack_layer, viewer.layers.selection.active
        layer = Image(
            values,
            name=name,
            rgb=False,
            multiscale=False,
            contrast_limits=_limits(values),
            colormap=colors.heat_colormap(self._scene.colormap),
            blending="translucent",
            interpolation2d="linear",
            affine=affine,
            axis_labels=("row", "column"),
            metadata={layers.KEY: {"role": "heatmap", _HID: stack is not None and stack.visible}},
        )
        if stack is not None:
            stack.visible = False
        viewer.layers.insert(viewer.layers.index(stack) + 1 if stack is not None else len(viewer.layers), layer)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active


def _cells(current: Localization) -> NDArray[np.float64]:
    """3 x 3 matrix from cells to the image's pixels."""
    from ...core.images.geometry import cell_affine

    rows, columns = current.scope.cells.shape
    return cell_affine(current.scope.frame, (rows, columns))


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    return 0.0, float(values.max(initial=0.0)) or 1.0

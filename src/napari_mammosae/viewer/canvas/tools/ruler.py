"""Lines that are measured: in millimetres in the breast, in pixels where the file does not say how large they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from ..layers import line_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....core.images.mammogram import Mammogram
    from ..scene import Scene

COLOR = "#ff5cf4"


class Ruler:
    """Draws and measures lines on the mammogram; they go with the image."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._session = scene, scene.session
        self._undo = ExitStack()
        self._session.events.image.connect(self.clear)
        self._undo.callback(self._session.events.image.disconnect, self.clear)

    def cleanup(self) -> None:
        """Follow the image no longer."""
        self._undo.close()

    @property
    def is_drawing(self) -> bool:
        """Whether the next drag draws a line."""
        layer, viewer = self._scene.owned.find("ruler"), self._scene.viewer
        return layer is not None and viewer is not None and viewer.layers.selection.active is layer

    def toggle(self) -> None:
        """Begin to measure; once more ends it, and leaves the lines there."""
        viewer, image = self._scene.viewer, self._session.image
        if viewer is None or image is None or self._scene.image_layer is None:
            return
        if self.is_drawing:
            self._leave()
            return
        layer = self._scene.owned.find("ruler")
        if layer is None:
            layer = _layer(image)
            self._scene.owned.add(layer, "ruler")
            layer.events.data.connect(self._measure)
        layer.visible = True
        viewer.layers.selection.active = layer
        layer.mode = "add_line"
        viewer.status = "Drag along what you want to measure. Press the key again when you are done."

    def clear(self, *_: object) -> None:
        """Take the lines away: they belong to the image of before."""
        for layer in self._scene.owned.with_role("ruler"):
            self._scene.owned.remove(layer)

    def _leave(self) -> None:
        viewer, layer = self._scene.viewer, self._scene.owned.find("ruler")
        if viewer is not None and layer is not None:
            layer.mode = "pan_zoom"
            viewer.layers.selection.active = self._scene.stack_layer or self._scene.image_layer

    def _measure(self, event: Any) -> None:
        layer, image = event.source, self._session.image
        if image is None or len(layer.features) != len(layer.data):
            return
        layer.features = {"length": [length_text(line, image) for line in layer.data]}
        layer.refresh_text()


def length_text(line: NDArray[np.float64], image: Mammogram) -> str:
    """Length of a line between its ends (2, 2), in source pixels, as it is written beside it."""
    start, end = np.asarray(line, np.float64)[[0, -1], -2:]
    if image.scale is None:
        return f"{float(np.hypot(*(end - start))):.0f} px"
    return f"{image.scale.length(start.tolist(), end.tolist()):.1f} mm"


def _layer(image: Mammogram) -> Shapes:
    layer = Shapes(
        [np.array([[0.0, 0.0], [1.0, 1.0]])],  # napari takes no text for no shapes: make one, and take it away
        shape_type="line",
        name="ruler",
        features={"length": [""]},
        edge_color=COLOR,
        edge_width=line_width(image.shape[0]),
        opacity=1.0,
        text={"string": "{length}", "color": COLOR, "size": 12, "anchor": "center"},
        axis_labels=("row", "column"),
    )
    layer.data = []
    layer.features = {"length": []}
    return layer

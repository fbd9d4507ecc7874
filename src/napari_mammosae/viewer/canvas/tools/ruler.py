"""Lines that are measured: in millimetres in the breast, in pixels where the file does not say how large they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from psygnal import Signal

from ..layers import line_width
from .views import layers_under_mouse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ....core.images.mammogram import Mammogram
    from ..owned import Role
    from ..scene import Scene

COLOR = "#ff5cf4"


class Ruler:
    """Draws and measures lines on the mammogram, or on each view of an exam; they go with the image.

    Attributes
    ----------
    wanted
        Emits when an exam is shown whose views have no layer to measure in yet.
    drawn
        Emits when lines were drawn, moved or deleted.
    """

    wanted = Signal()
    drawn = Signal()

    def __init__(self, scene: Scene) -> None:
        self._scene, self._session = scene, scene.session
        self._undo = ExitStack()
        self._session.events.image.connect(self.clear)
        self._undo.callback(self._session.events.image.disconnect, self.clear)
        if (viewer := scene.viewer) is not None:
            viewer.cursor.events.viewbox.connect(self._follow)
            self._undo.callback(viewer.cursor.events.viewbox.disconnect, self._follow)

    def cleanup(self) -> None:
        """Follow the image no longer."""
        self._undo.close()

    @property
    def _layers(self) -> list[Any]:
        """What is drawn on now: of an exam one layer a view, else one at most."""
        return self._of("exam" if self._scene.owned.find("exam") is not None else "ruler")

    def _of(self, role: Role) -> list[Any]:
        owned = self._scene.owned
        return [one for one in owned.with_role(role) if "measures" in owned.facts(one)]

    def lines(self, role: Role) -> dict[str, list[Any]]:
        """Image id -> the lines on it, each its points (n, 2) in source pixels.

        Those on the image are a "ruler"; those on the views of an exam are "exam".
        """
        facts = self._scene.owned.facts
        return {
            facts(layer)["measures"].image_id: [np.asarray(line)[:, -2:].tolist() for line in layer.data]
            for layer in self._of(role)
            if len(layer.data)
        }

    def put(self, lines: Mapping[str, Sequence[Any]]) -> None:
        """Draw lines, as `lines` returns them, on those of their images that are shown."""
        self._prepare()
        for layer in self._layers:
            if known := lines.get(self._scene.owned.facts(layer)["measures"].image_id):
                layer.add([np.asarray(line, np.float64) for line in known], shape_type="line")

    @property
    def is_drawing(self) -> bool:
        """Whether the next drag draws a line."""
        viewer = self._scene.viewer
        return viewer is not None and viewer.layers.selection.active in self._layers

    def toggle(self) -> None:
        """Begin to measure; once more ends it, and leaves the lines there."""
        viewer = self._scene.viewer
        if viewer is None or self._session.image is None or self._scene.image_layer is None:
            return
        if self.is_drawing:
            self._leave()
            return
        self._prepare()
        for layer in self._layers:
            layer.visible, layer.mode = True, "add_line"
        viewer.layers.selection.active = self._under_mouse() or self._layers[0]
        viewer.status = "Drag along what you want to measure. Press the key again when you are done."

    def _prepare(self) -> None:
        """Make what is drawn on, where it is not there yet."""
        image = self._session.image
        if self._layers or image is None:
            return
        if self._scene.owned.find("exam") is not None:
            self.wanted.emit()
        else:
            self._scene.owned.add(self.new_layer(image), "ruler", measures=image)

    def new_layer(self, image: Mammogram) -> Shapes:
        """Make a layer whose lines are measured; to be added with the image as its fact `measures`."""
        layer = _layer(image)
        layer.events.data.connect(self._measure)
        return layer

    def clear(self, *_: object) -> None:
        """Take the lines away: they belong to the image of before."""
        for layer in self._scene.owned.with_role("ruler"):
            self._scene.owned.remove(layer)

    def _under_mouse(self) -> Any:
        return next((layer for layer in layers_under_mouse(self._scene) if layer in self._layers), None)

    def _follow(self, *_: object) -> None:
        """Draw on the view that the mouse has come to."""
        viewer, here = self._scene.viewer, self._under_mouse()
        if viewer is not None and here is not None and self.is_drawing:
            viewer.layers.selection.active = here

    def _leave(self) -> None:
        viewer = self._scene.viewer
        for layer in self._layers:
            layer.mode = "pan_zoom"
        if viewer is not None:
            viewer.layers.selection.active = self._scene.stack_layer or self._scene.image_layer

    def _measure(self, event: Any) -> None:
        layer = event.source
        if self._scene.owned.role_of(layer) is None or len(layer.features) != len(layer.data):
            return
        image = self._scene.owned.facts(layer)["measures"]
        layer.features = {"length": [length_text(line, image) for line in layer.data]}
        layer.refresh_text()
        self.drawn.emit()


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

"""Lines that are measured: in millimetres in the breast, in pixels where the file does not say how large they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Shapes
from psygnal import Signal

from ..layers import line_width
from .views import image_of, layers_under_mouse, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ....core.images.mammogram import Mammogram
    from ..owned import Role
    from ..scene import Scene

COLOR = "#ff5cf4"
_SPACES = 2.2
"""Of vispy's font, as wide as one of its digits."""


class Measured(NamedTuple):
    """Which image lines belong to: its file, empty for an image that comes from none, and its identifier."""

    file: str
    image_id: str

    @classmethod
    def of(cls, image: Mammogram) -> Measured:
        """Identify an image."""
        return cls("" if image.path is None else str(image.path.resolve()), image.image_id)


class Ruler:
    """Draws and measures lines on the mammogram, or on each view of an exam.

    Lines belong to their image: they go with it, and come back with it, alone or in its exam. Those of an image that
    comes from no file are forgotten with it, since another one may be called the same.

    Attributes
    ----------
    lines
        The lines of each image that has some, each its ends (2, 2) in source pixels.
    wanted
        Emits when an exam is shown whose views have no layer to measure in yet.
    drawn
        Emits when lines were drawn, moved or deleted.
    """

    wanted = Signal()
    drawn = Signal()

    def __init__(self, scene: Scene) -> None:
        self._scene, self._session = scene, scene.session
        self.lines: dict[Measured, list[NDArray[np.float64]]] = {}
        self._undo = ExitStack()
        for event, callback in ((self._session.events.image, self._on_image), (scene.owned.deleted, self._on_deleted)):
            event.connect(callback)
            self._undo.callback(event.disconnect, callback)
        if (viewer := scene.viewer) is not None:
            viewer.cursor.events.viewbox.connect(self._follow)
            self._undo.callback(viewer.cursor.events.viewbox.disconnect, self._follow)

    def cleanup(self) -> None:
        """Follow the image no longer."""
        self._undo.close()

    @property
    def _layers(self) -> list[Any]:
        """What is drawn on now: of an exam one layer a view, else one at most."""
        owned = self._scene.owned
        role: Role = "exam" if owned.find("exam") is not None else "ruler"
        return [one for one in owned.with_role(role) if "measures" in owned.facts(one)]

    def put(self, lines: Mapping[Measured, Iterable[Any]]) -> None:
        """Take over lines, as `lines` holds them, in place of all others, and draw those of what is shown."""
        self.lines = {key: [np.asarray(line, np.float64) for line in known] for key, known in lines.items()}
        self.show()

    def show(self) -> None:
        """Draw the lines of the images that are shown, where there are some."""
        layers = self._layers
        for layer in layers:
            self.fill(layer, self._scene.owned.facts(layer)["measures"])
        images = [] if layers else [image_of(self._scene, layer) for layer in views(self._scene)]
        if any(Measured.of(image) in self.lines for image in images if image is not None):
            self._prepare()

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
        viewer.status = "Drag along what you want to measure. Press Measure again when you are done."

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
        """Make a layer with the lines of an image; to be added with the image as its fact `measures`."""
        layer = _layer(image)
        self.fill(layer, image)
        layer.events.data.connect(self._measure)
        layer.events.affine.connect(_on_affine)
        return layer

    def fill(self, layer: Shapes, image: Mammogram) -> None:
        """Draw the lines of an image in a layer, in place of those of another."""
        lines = self.lines.get(Measured.of(image), [])
        with layer.events.data.blocker():
            layer.data = []
            if lines:
                layer.add(lines, shape_type="line")
        _write_lengths(layer, image)

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
        _write_lengths(layer, image)
        self._take(image, [np.asarray(line, np.float64)[:, -2:] for line in layer.data])

    def _take(self, image: Mammogram, lines: list[NDArray[np.float64]]) -> None:
        """Remember the lines of an image."""
        self.lines.pop(Measured.of(image), None)
        if lines:
            self.lines[Measured.of(image)] = lines
        self.drawn.emit()

    def _on_image(self, *_: object) -> None:
        """Draw the lines of the image that is open now, in place of those of the image before."""
        image = self._session.image
        here = None if image is None else Measured.of(image)
        self.lines = {key: lines for key, lines in self.lines.items() if key.file or key == here}
        for layer in self._scene.owned.with_role("ruler"):
            self._scene.owned.remove(layer)
        if image is not None:
            self.show()

    def _on_deleted(self, _layer: Any, _role: str, facts: dict[str, Any]) -> None:
        """Somebody removed a layer of lines."""
        if "measures" in facts:
            self._take(facts["measures"], [])


def _write_lengths(layer: Shapes, image: Mammogram) -> None:
    lengths = [length_text(line, image) for line in layer.data]
    layer.features = {"length": lengths, "label": lengths}
    _write_beside(layer)


def _on_affine(event: Any) -> None:
    """The layer may be mirrored now."""
    _write_beside(event.source)


def _write_beside(layer: Shapes) -> None:
    """Write the lengths of a layer on the side of each line where it is free."""
    lengths = list(layer.features["length"])
    if len(lengths) == len(layer.data):
        ends = [[layer.data_to_world(end)[-2:] for end in line[[0, -1]]] for line in layer.data]
        layer.features["label"] = [beside(text, start, end) for text, (start, end) in zip(lengths, ends, strict=True)]
        layer.refresh_text()


def beside(text: str, start: Sequence[float], end: Sequence[float]) -> str:
    """Pad a text that is centred on a line, so that it stands at the line's right, above or below, and not on it.

    `start` and `end` are (row, column) as they lie on the screen. napari has one place for the texts of all shapes.
    """
    padded = " " * round(_SPACES * len(text) + 2) + text
    falls = (end[0] - start[0]) * (end[1] - start[1]) >= 0
    return f"{padded}\n " if falls else f" \n{padded}"


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
        features={"length": [""], "label": [""]},
        edge_color=COLOR,
        edge_width=line_width(image.shape[0]),
        opacity=1.0,
        text={"string": "{label}", "color": COLOR, "size": 12, "anchor": "center"},
        axis_labels=("row", "column"),
    )
    layer.data = []
    layer.features = {"length": [], "label": []}
    return layer

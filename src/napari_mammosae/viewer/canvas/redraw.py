"""Everything that is done only because drawing can be slow: with OpenGL in software one drawing takes some 25 ms.

`drawn_once`
    Left to itself, napari draws a step two or three times: once with what changed; again because it places the texts
    over the canvas at the end of a drawing; and again because its list of layers is laid out after that.
`fit_plate`
    A text's own box is made anew, shaders and all, whenever the text changes, which is at every step.
`Colorbars`
    The box behind a colourbar is made anew several times whenever the colour scale changes, by default at every step:
    a fifth of the step. Beside the image there is nothing to cover. Making a colourbar takes as long as making the
    stack.
`replaced_at_once`
    Each property of a layer of shapes that is set makes napari draw, and work out extents and a thumbnail.
`garbage_later`
    napari collects garbage at each layer it removes, and goes through every object there is each time. Python does so
    as well while many layers are made.
`controls_later`
    napari makes the controls of a layer, some 60 widgets, when it is added, and they are seen once it is selected: a
    fifth of the time in which an exam is opened.
`remember_shaders`
    vispy looks for the variables of the same shaders anew for each visual, by an expression that takes 15 ms: a sixth
    of the time in which an exam is opened.
"""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager
from functools import wraps
from math import ceil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.components.overlays import TextOverlay
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QListView, QWidget

from .camera import extent_shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from .owned import OwnedLayers, Role

FONT = 8
"""Points: as large as the texts of the docks. Large letters hide the image, and take their time to draw."""
PLATE = "mammosae_plate"
"""Key of what lies behind the latent's text: an empty text with a box that stays as it is while the lines fit on it."""
_EM_SPACE, _HARD_SPACE = "\u2003", "\u00a0"  # blanks at the end of a line have no width, but a hard one has
_STEP = 6  # ems by which it grows, so that it stays as it is at most steps
_EM_PER_LETTER = 0.54  # wide for a letter, about right for a digit
_PLACES: dict[Role, str] = {
    "latents": "top_right",
    "heatmap": "top_right",
    "logit map": "middle_right",
    "pin": "bottom_right",
}
"""Layers that have a colour scale to read, and where on the canvas it is drawn."""
_SHADERS = 64  # of some 10 kB
_PINS = 2  # more would lie over the breast
_AREA = (200.0, 90.0)
"""Height and width in canvas pixels, from the top right corner, of a colourbar with its numbers."""


@contextmanager
def drawn_once(viewer: ViewerModel) -> Iterator[None]:
    """While entered, change layers and texts; all of it is drawn together afterwards."""
    canvas = viewer.canvas
    if canvas.events.blocked():  # entered already
        yield
        return
    with canvas.events.blocker_all():  # among them the one that has texts placed while drawing
        yield
    canvas.overlay_tiling.events(type_name="top_left")  # texts are placed at once when their tiling changes
    _lay_out_layer_list(viewer)


def _lay_out_layer_list(viewer: ViewerModel) -> None:
    """Have the list of layers lay itself out before the drawing; asking where a row lies makes it.

    There is no public way from a viewer to its window; without one, or without the list, it is laid out later.
    """
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is None:
        return
    directly = Qt.FindChildOption.FindDirectChildrenOnly  # far faster than looking through all widgets
    for dock in window.findChildren(QDockWidget, "layer list", directly):
        for rows in dock.widget().findChildren(QListView, "", directly):
            rows.visualRect(rows.model().index(0, 0))


def fit_plate(viewer: ViewerModel, text: str) -> None:
    """Have a plate in the corner that is large enough for a text, and not much larger."""
    overlays = viewer.canvas.overlays
    if PLATE not in overlays:
        overlays.text.font_size = FONT
        # Without a tile of its own it lies in the corner itself, below what is tiled there.
        overlays[PLATE] = plate = TextOverlay(position="corner", visible=overlays.text.visible, font_size=FONT)
        plate.order = overlays.text.order - 10
        overlays.text.events.visible.connect_setattr(plate, "visible", maxargs=1)
        overlays.text.events.font_size.connect_setattr(plate, "font_size", maxargs=1)
    lines = text.split("\n")
    ems, rows = _STEP * ceil((1 + _EM_PER_LETTER * max(map(len, lines))) / _STEP), 1 + len(lines)
    there = overlays[PLATE].text.split("\n")
    if (ems, rows) != (len(there[0]), len(there)):  # the same for the same text, whatever stood there before
        overlays[PLATE].text = _EM_SPACE * (ems - 1) + _HARD_SPACE + "\n" * (rows - 1)


class Colorbars:
    """Shows the colourbar of each map, with a box behind it only while a layer reaches below it."""

    def __init__(self, viewer: ViewerModel, owned: OwnedLayers) -> None:
        self._viewer, self._owned = ref(viewer), owned
        self._undo = ExitStack()
        camera = viewer.scene.camera.events
        for event in (camera.zoom, camera.center, viewer.canvas.events.size, viewer.canvas.grid.events.enabled):
            event.connect(self.update)
            self._undo.callback(event.disconnect, self.update)
        viewer.layers.events.connect(self._on_list)
        self._undo.callback(viewer.layers.events.disconnect, self._on_list)

    def cleanup(self) -> None:
        """Follow the view no longer."""
        self._undo.close()

    def _on_list(self, event: Any) -> None:
        if event.type in ("inserted", "removed", "visible"):
            self.show_later()

    def show_later(self) -> None:
        """Show them apart from the stack, so that the window does not stall for both."""
        QTimer.singleShot(0, self.show)

    def show(self) -> None:
        """Show those of the maps that are there, each in its place; of pins the first two."""
        pins = [layer for layer in self._owned.with_role("pin") if layer.visible]
        for role, place in _PLACES.items():
            for layer in self._owned.with_role(role):
                bar, wanted = layer.colorbar, role != "pin" or layer in pins[:_PINS]
                if layer.visible and bar.visible != wanted:  # that of a hidden layer is hidden with it
                    bar.position, bar.box = place, self._covers()
                    bar.visible = wanted

    def update(self, *_: object) -> None:
        """Cover what lies behind, or nothing."""
        if maps := self._owned.with_role(*_PLACES):
            covers = self._covers()
            for layer in maps:
                if layer.colorbar.box != covers:
                    layer.colorbar.box = covers

    def _covers(self) -> bool:
        viewer = self._viewer()
        if viewer is None or viewer.canvas.grid.enabled:
            return True
        camera, (height, width) = viewer.scene.camera, viewer.canvas.size
        row, col = camera.center[-2:]
        bottom = row + (_AREA[0] - height / 2) / camera.zoom
        left = col + (width / 2 - _AREA[1]) / camera.zoom
        top, right = row - height / 2 / camera.zoom, col + width / 2 / camera.zoom
        for layer in viewer.layers:
            if layer.visible:
                (row_min, col_min), (row_max, col_max) = extent_shown(viewer, layer)
                if row_min < bottom and row_max > top and col_max > left and col_min < right:
                    return True
        return False


@contextmanager
def replaced_at_once(layer: Any) -> Iterator[None]:
    """While entered, set what a layer of shapes holds; it is drawn afterwards."""
    with layer.events.blocker_all(), layer.block_thumbnail_update():
        yield
    layer.refresh(extent=False)


@contextmanager
def garbage_later() -> Iterator[None]:
    """While entered, add or remove layers; what is frozen is left out of collections until it is thawed."""
    collects = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        gc.unfreeze()


@contextmanager
def controls_later(viewer: ViewerModel) -> Iterator[None]:
    """While entered, add layers; each gets its controls when it is selected, which is not to be before the end."""
    container: Any = getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "controls", None)
    if not hasattr(container, "_add") or not isinstance(getattr(container, "widgets", None), dict):
        yield  # without a window, or with another one than napari's of today
        return
    if not isinstance(container.widgets, _Controls):
        container.widgets = _Controls(container)
    inserted = viewer.layers.events.inserted
    inserted.disconnect(container._add)
    try:
        yield
    finally:
        inserted.connect(container._add)


class _Controls(dict[Any, Any]):
    """Controls by layer, made when they are asked for."""

    def __init__(self, container: Any) -> None:
        super().__init__(container.widgets)
        self._container = ref(container)

    def __missing__(self, layer: Any) -> Any:
        container = self._container()
        if container is not None and layer in container.viewer.layers:
            container._add(SimpleNamespace(value=layer))
        return self.setdefault(layer, QWidget())  # it was removed, and napari takes away what it never had


def remember_shaders() -> None:
    """Have vispy find the variables of the same shaders once, not for each visual."""
    from vispy.gloo import Program

    find = getattr(Program, "_parse_variables_from_code", None)
    if find is None or hasattr(find, "__wrapped__"):
        return
    known: dict[tuple[str, ...], dict[str, Any]] = {}

    @wraps(find)
    def recall(program: Any, update_variables: bool = True) -> None:
        code = tuple(shader.code for shader in program._shaders)
        if code not in known:
            find(program, update_variables=False)
            if len(known) >= _SHADERS:
                known.clear()
            known[code] = program._code_variables
        program._code_variables = known[code].copy()
        if update_variables:
            program._process_pending_variables()

    Program._parse_variables_from_code = recall

"""Everything that is done only because drawing can be slow: with OpenGL in software one drawing takes some 25 ms.

`drawn_once`
    Left to itself, napari draws a step two or three times: once with what changed; again because it places the texts
    over the canvas at the end of a drawing; and again because its list of layers is laid out after that.
`Colorbars`
    The box behind a colourbar is made anew several times whenever the colour scale changes, by default at every step:
    a fifth of the step; that behind a text whenever the text changes. Beside the image there is nothing to cover.
    Making a colourbar takes as long as making the stack.
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
`remember_cells`
    napari works out which layers lie in a cell of the grid layer by layer, and for each of these from all of them: in
    an exam at every step, to place the texts.
`sliced_once`
    At each step napari slices every layer twice: for the point that changed, and for the step that follows from it.
`refilled`
    A layer whose data changed is sliced and laid out anew, though it stays the same where an array is only filled with
    other values: a fifth of a step in an exam of four views.
`pictured_later`
    A thumbnail is made, and the list of layers painted, at each change of a colour scale: a tenth of a step.
`drawn_whole`
    For every drawing napari works out which part of each layer is in sight: a twentieth of a step in an exam.
"""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.components.grid import GridCanvas
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QListView, QWidget
from superqt.utils import qdebounced

from ..app.listening import call_while_alive
from .sides import back_texts, corner, is_covered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

    from .owned import OwnedLayers, Role
    from .sides import Row

_PLACES: dict[Role, Row] = {"latents": "top", "heatmap": "top", "logit map": "middle", "pin": "bottom"}
"""Layers that have a colour scale to read, and where on the side of the chest wall it is drawn."""
_PLACES_IN_COLUMNS: dict[Role, Row] = {"latents": "middle", "heatmap": "middle", "logit map": "bottom", "pin": "bottom"}
"""The same where cells of a grid lie side by side: the canvas' own text reaches from one to the next at the top."""
_SHADERS = 64  # of some 10 kB
_THUMBNAIL_WAIT = 1000
"""Milliseconds."""
_PINS = 2  # more would lie over the breast
_AREA = (200.0, 90.0)
"""Height and width in canvas pixels of a colourbar with its numbers."""


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


class Colorbars:
    """Shows the colourbar of each map, with a box behind it and the texts only while a layer reaches below them."""

    def __init__(self, viewer: ViewerModel, owned: OwnedLayers) -> None:
        self._viewer, self._owned = ref(viewer), owned
        self._undo = ExitStack()
        camera = viewer.scene.camera.events
        for event, callback in (
            (camera.zoom, self.update),
            (camera.center, self.update),
            (viewer.canvas.events.size, self.update),
            (viewer.canvas.grid.events, self.show_later),
            (viewer.layers.events, self._on_list),
        ):
            event.connect(callback)
            self._undo.callback(event.disconnect, callback)

    def cleanup(self) -> None:
        """Follow the view no longer."""
        self._undo.close()

    def _on_list(self, event: Any) -> None:
        if event.type in ("inserted", "removed", "visible"):
            self.show_later()

    def show_later(self, *_: object) -> None:
        """Show them apart from the stack, so that the window does not stall for both."""
        QTimer.singleShot(0, self.show)

    def show(self) -> None:
        """Show those of the maps that are there, each in its place; of pins the first two, and one for an exam."""
        pins = [layer for layer in self._owned.with_role("pin") if layer.visible]
        if (viewer := self._viewer()) is None:
            return
        grid = viewer.canvas.grid
        in_columns = grid.enabled and grid.actual_shape(viewer.layers)[1] > 1
        for role, row in (_PLACES_IN_COLUMNS if in_columns else _PLACES).items():
            place = corner(viewer, row, air=False)
            for layer in self._owned.with_role(role):
                if layer.visible:  # a hidden layer's is hidden too
                    self._put(viewer, layer, place, role != "pin" or layer in pins[:_PINS])
        self._show_for_exam(viewer)
        self.update()

    def _show_for_exam(self, viewer: ViewerModel) -> None:
        """Show one for all views, which share their scale: beside the images, else over the air in one of them."""
        place, maps = corner(viewer, "top", air=False), [one for one in self._maps_of_exam() if one.visible]

        def is_hiding(layer: Any) -> tuple[bool, bool]:
            return is_covered(viewer, place, *_AREA, with_layer=layer), self._owned.facts(layer)["air"] not in place

        chosen = min(maps, key=is_hiding, default=None)
        for layer in maps:
            self._put(viewer, layer, place, layer is chosen)

    def _maps_of_exam(self) -> list[Any]:
        return [layer for layer in self._owned.with_role("exam") if "air" in self._owned.facts(layer)]

    def _put(self, viewer: ViewerModel, layer: Any, place: str, wanted: bool) -> None:
        bar = layer.colorbar
        if (bar.visible, bar.position) != (wanted, place):
            bar.position, bar.box = place, is_covered(viewer, place, *_AREA, with_layer=layer)  # made once, then seen
            bar.visible = wanted

    def update(self, *_: object) -> None:
        """Cover what lies behind, or nothing."""
        if (viewer := self._viewer()) is None:
            return
        for layer in (*self._owned.with_role(*_PLACES), *self._maps_of_exam()):
            covers = is_covered(viewer, str(layer.colorbar.position), *_AREA, with_layer=layer)
            if layer.colorbar.box != covers:
                layer.colorbar.box = covers
        back_texts(viewer, self._owned.with_role("exam", "comparison"))


@contextmanager
def replaced_at_once(layer: Any) -> Iterator[None]:
    """While entered, set what a layer of shapes holds; it is drawn afterwards."""
    with layer.events.blocker_all(), layer.block_thumbnail_update():
        yield
    layer.refresh(extent=False)


_OWN = 10_000
"""Objects that Python itself may have frozen at its start, and more."""


@contextmanager
def garbage_later() -> Iterator[None]:
    """While entered, add or remove layers; what is frozen is left out of collections until it is thawed.

    Where a program keeps its objects frozen, they stay so: to thaw is to thaw all.
    """
    collects, frozen = gc.isenabled(), gc.get_freeze_count() > _OWN
    if not frozen:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        if not frozen:
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


def sliced_once(viewer: ViewerModel) -> None:
    """Have napari slice its layers for the point alone; no slice depends on the number of the step."""
    if hasattr(viewer, "_update_layers"):
        viewer.dims.events.current_step.disconnect(viewer._update_layers)


def pictured_later(layer: Any) -> None:
    """Have napari make the thumbnail of an image once it stays the same for a moment, not at every step."""
    layer._update_thumbnail = qdebounced(call_while_alive(layer._update_thumbnail), timeout=_THUMBNAIL_WAIT)


def drawn_whole(layer: Any) -> None:
    """Have napari not look for the part of an image in sight at every drawing, which matters for pyramids alone."""
    layer._update_draw = _do_nothing


def _do_nothing(*_: object, **__: object) -> None:
    pass


def refilled(viewer: ViewerModel, layer: Any) -> None:
    """Draw what the array of a 2-D image holds now, which napari shows as it is, without a copy."""
    canvas: Any = getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "canvas", None)
    visual: Any = getattr(canvas, "layer_to_visual", {}).get(layer)
    shown: Any = getattr(layer, "_data_view", None)
    if visual is not None and viewer.dims.ndisplay == 2 and np.shares_memory(shown, layer.data):
        visual.node.set_data(shown)  # which has it drawn
        is_clear = layer.colormap.colors[0][-1] == 0 and shown.max() <= layer.contrast_limits[0]
        visual.node.visible = layer.visible and not is_clear
        if is_clear:  # it would take as long as any other
            for event in (layer.events.colormap, layer.events.contrast_limits):
                event.connect(visual._on_visible_change)
    else:
        layer.refresh(thumbnail=False, highlight=False, extent=False)


def remember_cells() -> None:
    """Have napari find the layers of the grid's cells once, until the grid or what is visible is another."""
    find = GridCanvas.iter_viewboxes
    if hasattr(find, "__wrapped__"):
        return
    known: dict[tuple[Any, ...], list[Any]] = {}

    @wraps(find)
    def recall(grid: GridCanvas, layers: Sequence[Layer]) -> Iterator[Any]:
        key = (grid.enabled, grid.shape, grid.stride, *(layer.visible for layer in layers))
        if key not in known:
            known.clear()
            known[key] = list(find(grid, layers))
        return iter(known[key])

    GridCanvas.iter_viewboxes = recall  # type: ignore[method-assign]


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

"""One drawing of the window for everything that a step changes.

Left to itself, napari draws a step two or three times: once with what changed; again because it places the texts over
the canvas at the end of a drawing; and again because its list of layers is laid out after that. With OpenGL in
software each drawing takes some 25 ms.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QListView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel


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

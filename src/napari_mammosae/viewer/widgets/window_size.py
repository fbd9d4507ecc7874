"""The size of napari's window: on a screen with its title bar, whatever docks are in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QStyle

if TYPE_CHECKING:
    from qtpy.QtCore import QRect, QSize
    from qtpy.QtWidgets import QWidget

WIDTH, HEIGHT = 1600, 1000
"""As large as it gets by itself."""
_CANVAS = 150
"""Least width that docks leave to the canvas, beside what napari keeps for it."""


def room_on(window: QWidget, screen: QRect) -> QSize:
    """Return how large a window's content can be on a screen, its frame and title bar left out."""
    style = window.style()
    frame = window.frameGeometry().size() - window.size()  # nothing until the window is shown
    side = style.pixelMetric(QStyle.PixelMetric.PM_DefaultFrameWidth)
    title = style.pixelMetric(QStyle.PixelMetric.PM_TitleBarHeight)
    room = screen.size()
    room.setWidth(room.width() - max(frame.width(), 2 * side))
    room.setHeight(room.height() - max(frame.height(), title + side))
    return room


def fit_window(window: QWidget, screen: QRect) -> None:
    """Give a window the size to begin with."""
    room = room_on(window, screen)
    window.resize(min(WIDTH, room.width()), min(HEIGHT, room.height()))
    window.move(screen.topLeft())


def keep_on_screen(window: QWidget) -> None:
    """Make a window smaller that docks have made larger than its screen.

    Where there is no room for the canvas beside them, as on a small screen with large letters, napari's own docks at
    the left are hidden; its *Window* menu shows them again.
    """
    if (screen := window.screen()) is None or window.isMaximized() or window.isFullScreen() or not window.isVisible():
        return
    room = room_on(window, screen.availableGeometry())
    inner = getattr(window, "_qt_viewer", None)
    if window.minimumSizeHint().width() + _CANVAS > room.width() and inner is not None:
        for dock in (inner.dockLayerControls, inner.dockLayerList):
            dock.hide()
        window.layout().activate()  # else the window would keep the room for them
    if window.width() > room.width() or window.height() > room.height():
        window.resize(min(window.width(), room.width()), min(window.height(), room.height()))

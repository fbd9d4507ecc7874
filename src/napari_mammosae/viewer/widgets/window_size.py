"""The size of napari's window: on a screen with its title bar, whatever docks are in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStyle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtCore import QRect, QSize
    from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

WIDTH, HEIGHT = 1600, 1000
"""As large as it gets by itself."""
_CANVAS = 150
"""Least width that docks leave to the canvas, beside what napari keeps for it."""
_TAB = 8
"""What a tab is longer than its text."""


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


def keep_on_screen(window: QMainWindow, docks: Sequence[QDockWidget] = ()) -> None:
    """Make a window smaller that docks have made larger than its screen.

    Where there is no room for the canvas beside them, as on a small screen with large letters, napari's own docks at
    the left are hidden; its *Window* menu shows them again. Where that is not enough, those of `docks` at the left
    become tabs beside those at the right.
    """
    if (screen := window.screen()) is None or window.isMaximized() or window.isFullScreen() or not window.isVisible():
        return
    room = room_on(window, screen.availableGeometry())
    inner = getattr(window, "_qt_viewer", None)
    if _is_tight(window, room) and inner is not None:
        for dock in (inner.dockLayerControls, inner.dockLayerList):
            dock.hide()
        window.layout().activate()  # else the window would keep the room for them
    if _is_tight(window, room):
        _put_together(window, docks)
        window.layout().activate()
    if window.width() > room.width() or window.height() > room.height():
        window.resize(min(window.width(), room.width()), min(window.height(), room.height()))


def has_room_for_tabs(window: QMainWindow, docks: Sequence[QDockWidget]) -> bool:
    """Whether the names of docks can be read on tabs at the side of a window as high as its screen lets it be."""
    if (screen := window.screen()) is None:
        return True
    others = sum(bar.sizeHint().height() for bar in (window.menuBar(), window.statusBar()))
    letters = window.fontMetrics()
    needed = sum(letters.horizontalAdvance(dock.windowTitle()) + _TAB for dock in docks)
    return bool(needed <= room_on(window, screen.availableGeometry()).height() - others)


def _is_tight(window: QMainWindow, room: QSize) -> bool:
    return bool(window.minimumSizeHint().width() + _CANVAS > room.width())


def _put_together(window: QMainWindow, docks: Sequence[QDockWidget]) -> None:
    """Add docks of the left to the tabs at the right; the one that is seen there stays in front."""
    area = Qt.DockWidgetArea
    left, right = (
        [dock for dock in docks if dock.isVisible() and window.dockWidgetArea(dock) == side]
        for side in (area.LeftDockWidgetArea, area.RightDockWidgetArea)
    )
    front = next((dock for dock in right if not dock.visibleRegion().isEmpty()), None)
    for dock in left if right else ():
        window.tabifyDockWidget(right[-1], dock)
    if front is not None:
        front.raise_()

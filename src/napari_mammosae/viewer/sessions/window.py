"""napari's window as far as a session knows it: its size, which docks are in it, and where."""

from __future__ import annotations

from functools import cache
from typing import Any

from qtpy.QtCore import QByteArray
from qtpy.QtWidgets import QDockWidget, QMainWindow

from ..app.preferences import PLUGIN
from ..widgets.parts import Dock


def window_of(viewer: Any) -> QMainWindow | None:
    """Return the window of a viewer, or of napari's proxy of it; None where it has none."""
    window = getattr(getattr(getattr(viewer, "__wrapped__", viewer), "window", None), "_qt_window", None)
    return window if isinstance(window, QMainWindow) else None


def docks_in(window: QMainWindow) -> list[str]:
    """Commands of the docks that are open in a window, the one that is seen last."""
    docks = [dock for dock in window.findChildren(QDockWidget) if isinstance(dock.widget(), Dock) and dock.isVisible()]
    docks.sort(key=lambda dock: not dock.visibleRegion().isEmpty())
    return [_commands()[type(dock.widget()).__name__] for dock in docks if type(dock.widget()).__name__ in _commands()]


def open_docks(window: QMainWindow | None, commands: list[str]) -> None:
    """Open those docks that are not open."""
    from napari._app_model import get_app_model

    for command in commands if window is not None else ():
        if command in _commands().values() and command not in docks_in(window):
            get_app_model().commands.execute_command(command).result()


def raise_dock(window: QMainWindow | None, command: str) -> Dock | None:
    """Bring a dock to the front, opened first where it is not open; None without a window."""
    if window is None:
        return None
    open_docks(window, [command])
    for dock in window.findChildren(QDockWidget):
        widget = dock.widget()
        if isinstance(widget, Dock) and _commands().get(type(widget).__name__) == command:
            dock.raise_()
            return widget
    return None


def open_commands(window: QMainWindow | None) -> None:
    """Open every dock."""
    open_docks(window, list(_commands().values()))


def arrange(window: QMainWindow, size: list[int], layout: bytes) -> None:
    """Give a window its size, and the docks their places."""
    window.resize(*size)
    window.restoreState(QByteArray(layout))


@cache
def _commands() -> dict[str, str]:
    """Class of each dock -> the command that opens it."""
    from npe2 import PluginManager

    commands = PluginManager.instance().get_manifest(PLUGIN).contributions.commands or []
    return {str(one.python_name).rpartition(":")[2]: one.id for one in commands if str(one.id).endswith("_dock")}

"""The button for sessions in the *Model & image* dock, and the dialogs of the menu."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QInputDialog, QMenu, QWidget

from ..widgets import ui
from ..widgets.parts import Part, row
from ..workspace import workspace_of
from .controller import SessionKeeper, keeper_of, kept_session, recent_sessions
from .record import SUFFIX
from .window import window_of

if TYPE_CHECKING:
    from napari import Viewer

FILES = f"Sessions of Mammo-SAE (*{SUFFIX});;All files (*)"


class SessionPart(Part):
    """Save, open, list; and go on where one was, as long as nothing is open."""

    def __init__(self, keeper: SessionKeeper) -> None:
        super().__init__(keeper.context)
        self.keeper = keeper
        self.back_button = ui.button(
            "Continue where you were", "Open image, run, ranking, latent and docks as they were left", keeper.go_back
        )
        self.button = ui.button("Session", "Save all that is open as one file, or open such a file")
        self.menu = QMenu(self.button)
        self.menu.aboutToShow.connect(self._fill)
        self.button.setMenu(self.menu)
        ui.column(self, row(self.back_button, self.button))
        self.listen(self.session.events.image, self._refresh)
        self.listen(self.session.events.run, self._refresh)
        self.listen(keeper.turned, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        begun = self.session.image is not None or self.session.run is not None
        self.back_button.setVisible(not begun and not self.keeper.busy and kept_session().is_file())
        self.button.setEnabled(not self.keeper.busy)

    def _fill(self) -> None:
        self.menu.clear()
        self.menu.addAction("Save session…").triggered.connect(lambda: choose_and_save(self.keeper, self))
        self.menu.addAction("Open session…").triggered.connect(lambda: choose_and_open(self.keeper, self))
        if recent := recent_sessions():
            self.menu.addSeparator()
            for path in recent:
                self.menu.addAction(path.name.replace("&", "&&")).triggered.connect(partial(self._open, path))

    def _open(self, path: Path, *_: object) -> None:
        self.keeper.open(path)


def choose_and_save(keeper: SessionKeeper, parent: QWidget | None) -> None:
    """Ask for a file, and save the session in it."""
    name, _ = QFileDialog.getSaveFileName(parent, "Save session", f"case{SUFFIX}", FILES)
    if name:
        path = Path(name)
        keeper.save(path if path.suffix else path.with_name(f"{path.name}{SUFFIX}"))


def choose_and_open(keeper: SessionKeeper, parent: QWidget | None) -> None:
    """Ask for a file, and open the session in it."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open session", "", FILES)
    if name:
        keeper.open(Path(name))


# Commands of the menu File > IO Utilities > Mammo-SAE


def save_session(viewer: Viewer) -> None:
    """Save session…."""
    choose_and_save(keeper_of(workspace_of(viewer)), window_of(viewer))


def open_session(viewer: Viewer) -> None:
    """Open session…."""
    choose_and_open(keeper_of(workspace_of(viewer)), window_of(viewer))


def open_recent_session(viewer: Viewer) -> None:
    """Recent sessions…."""
    names = {f"{path.name} in {path.parent.name}": path for path in recent_sessions()}
    keeper, window = keeper_of(workspace_of(viewer)), window_of(viewer)
    if not names:
        keeper.status.tell("No session was saved yet.", error=True)
        return
    name, chosen = QInputDialog.getItem(window, "Recent sessions", "Session", list(names), editable=False)
    if chosen:
        keeper.open(names[name])

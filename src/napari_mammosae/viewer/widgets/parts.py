"""What every part of a dock shares: connections that end with it, and small pieces of layout."""

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QTabBar,
    QTabWidget,
    QWidget,
)

from ..app.listening import connect_until, debounce_until, new_undo
from ..context import Context
from .focus import FocusRing, name_controls
from .plain import unmarked
from .window_size import has_room_for_tabs, keep_on_screen

NOTICE = "Research use only, not for diagnosis."
_WAIT = 100
"""Milliseconds without a change until docks out of sight follow."""


class Part(QWidget):
    """A piece of a dock. What it `listen`s to is disconnected when the widget is destroyed.

    It owns no data: closing a dock changes nothing but what is seen. Closing sends no close event, and a signal that
    reached a destroyed widget would raise.

    Attributes
    ----------
    missed
        Whether it has still to `refresh`, because it lay out of sight when it was asked to `follow`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.session = context, context.session
        self.missed = False
        self._undo = new_undo()
        self._follow_soon = self.debounced(self.catch_up, _WAIT)
        self.destroyed.connect(self._undo.close)

    def listen(self, event: Any, callback: Callable[..., None]) -> None:
        """Connect an event of psygnal, napari or Qt for as long as the widget lives."""
        connect_until(self._undo, event, callback)

    def debounced(self, function: Callable[..., object], timeout: int) -> Any:
        """Return a function that calls `function` once its own calls pause for `timeout` ms, while the widget lives."""
        return debounce_until(self._undo, function, timeout)

    def refresh(self) -> None:
        """Show what there is now."""

    def follow(self, *_: object) -> None:
        """Refresh now; in a dock that lies behind another one once nothing more comes, or when it is looked at."""
        dock = self.parentWidget()
        while dock is not None and not isinstance(dock, Dock):
            dock = dock.parentWidget()
        self.missed = isinstance(dock, Dock) and dock.is_behind
        if self.missed:
            self._follow_soon()
        else:
            self.refresh()

    def catch_up(self) -> None:
        """Show what was missed out of sight."""
        if self.missed:
            self.missed = False
            self.refresh()

    def cleanup(self) -> None:
        """Stop listening."""
        self._undo.close()


class Dock(Part):
    """What every dock is: parts that end with it, a tab that reads as its own name, a place among the others.

    napari adds the plugin's name in brackets, which leaves no room for the dock's own where several share an area, and
    Qt takes an ampersand on a tab for the mark of a shortcut. The title bar keeps napari's name. A dock from napari's
    menu would lie below the others, and four of them are higher than a laptop's screen: they share a place as tabs.

    Attributes
    ----------
    short_title
        What its tab says where the screen is too low for the names of all docks; empty: its name.
    """

    short_title = ""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._ring: FocusRing | None = None
        self._docked, self._seen = False, True
        if (app := QApplication.instance()) is not None:
            self.listen(app.focusChanged, self._on_focus)

    def own(self, *parts: Part) -> None:
        """Have parts stop listening with the dock."""
        for part in parts:
            self._undo.callback(part.cleanup)

    def event(self, event: Any) -> bool:
        """Name the window's dock as soon as this lies in it, and go with it.

        napari takes a widget out of the dock that it closes. Python would delete it, its models and its timers when it
        next collects garbage, in whichever thread that is; one deleted in another thread than its own ends the program.
        """
        if event.type() == QEvent.Type.ParentChange:
            if isinstance(dock := self.parent(), QDockWidget):
                self._docked = True
                dock.setWindowTitle(unmarked(dock.windowTitle().partition(" (")[0].replace("&&", "&")))
                dock.dockLocationChanged.connect(self._join)
                dock.visibilityChanged.connect(self._on_seen)
            elif dock is None and self._docked:
                self.deleteLater()
                QTimer.singleShot(0, gc.collect)
        return bool(super().event(event))

    def showEvent(self, event: Any) -> None:
        """Name all controls, those that were added meanwhile too."""
        name_controls(self)
        super().showEvent(event)

    @property
    def is_behind(self) -> bool:
        """Whether the window is seen, and this is not: another dock lies over it."""
        return not self._seen and self.window().isVisible()

    def _on_seen(self, seen: bool) -> None:
        """Show what was missed out of sight; Qt neither hides nor shows docks that lie behind each other."""
        self._seen = seen
        for part in self.findChildren(Part) if seen else ():
            part.catch_up()

    def _on_focus(self, _: object, now: QWidget | None) -> None:
        if self._ring is not None:
            with suppress(RuntimeError):  # gone with its control
                self._ring.deleteLater()
        self._ring = FocusRing(now) if now is not None and self.isAncestorOf(now) else None

    def _join(self, area: Any) -> None:
        """Become a tab beside the other docks of this kind, once: from then on the user says where it lies."""
        dock = self.parent()
        if not isinstance(dock, QDockWidget) or not isinstance(window := dock.parent(), QMainWindow):
            return
        dock.dockLocationChanged.disconnect(self._join)
        if area == Qt.DockWidgetArea.RightDockWidgetArea:  # at the side, where all of the tabs' names can be read
            window.setTabPosition(area, QTabWidget.TabPosition.East)
        others = [one for one in _docks_of(window) if one is not dock and window.dockWidgetArea(one) == area]
        if others:
            window.tabifyDockWidget(others[-1], dock)
            QTimer.singleShot(0, dock.raise_)
        QTimer.singleShot(0, lambda: settle(window))


def _docks_of(window: QMainWindow) -> list[QDockWidget]:
    """Return the docks of this plugin in a window."""
    return [dock for dock in window.findChildren(QDockWidget) if isinstance(dock.widget(), Dock)]


def settle(window: QMainWindow) -> None:
    """Fit docks that came into a window onto its screen."""
    docks = _docks_of(window)
    keep_on_screen(window, docks)
    for bar in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
        bar.setDrawBase(False)  # a bright line beside the tabs
    if not has_room_for_tabs(window, docks):
        for dock in docks:
            if short := dock.widget().short_title:
                dock.setWindowTitle(short)


def row(*widgets: QWidget, stretch: int = 0) -> QWidget:
    """Widgets side by side without margins; the one at `stretch` takes the room that is left."""
    box = QWidget()
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if index == stretch else 0)
    return box


def hint(label: QLabel) -> QLabel:
    """Set a label back against what matters more: italic, not greyed, which is too pale in napari's light theme."""
    font = label.font()
    font.setItalic(True)
    label.setFont(font)
    return label


def flatten(tabs: QTabWidget) -> None:
    """Take the frame off a tab widget, which costs a narrow dock room, and the bright line beside its tabs."""
    tabs.setDocumentMode(True)
    tabs.tabBar().setDrawBase(False)


class Scrolled(QScrollArea):
    """Scrolls its content up and down, so that a tall dock fits a laptop's screen; never narrower than the content."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it is scrolled by what has the focus in it
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Ask for the width anew when the content's changes: a label that got longer, a row that was shown."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def minimumSizeHint(self) -> QSize:
        """Width of the content and its scroll bar; a little height."""
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(width, 120)

    def sizeHint(self) -> QSize:
        """All of the content, if there is room."""
        return QSize(self.minimumSizeHint().width(), self.widget().sizeHint().height())


class Squeezed(QWidget):
    """Content of a `Scrolled` that takes the height there is, down to its least, before it is scrolled.

    Qt gives content with wrapped labels all the height that it would like to have.
    """

    def heightForWidth(self, width: int) -> int:
        """Least height at a width."""
        return int(self.layout().minimumHeightForWidth(width))


class PageTabs(QTabWidget):
    """A tab widget whose hidden pages ask for no height: a tall one would make the dock scroll behind a short one."""

    def __init__(self) -> None:
        super().__init__()
        flatten(self)
        self.currentChanged.connect(self._follow)

    def add(self, page: QWidget, title: str, tip: str = "") -> None:
        """Add a page, and what its tab says when pointed at."""
        self.addTab(page, title)
        self.setTabToolTip(self.count() - 1, tip)
        self._follow()

    def _follow(self, *_: object) -> None:
        for at in range(self.count()):
            page = self.widget(at)
            policy = page.sizePolicy()
            shown = at == self.currentIndex()
            policy.setVerticalPolicy(QSizePolicy.Policy.Preferred if shown else QSizePolicy.Policy.Ignored)
            page.setSizePolicy(policy)
        self.updateGeometry()

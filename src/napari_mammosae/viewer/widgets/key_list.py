"""The map of keys: a window with all of them, opened with `?` wherever the keyboard is."""

from weakref import ref

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDialog, QGridLayout, QShortcut, QWidget

from ..app.keymap import HELP, help_rows
from . import ui
from .parts import Scrolled
from .plain import Label
from .window_size import room_on


class KeyList(QDialog):
    """Every key and what it does; another `?` or Escape closes it. It scrolls where the screen is too low for all."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys of Mammo-SAE")
        listed = QWidget()
        grid = QGridLayout(listed)
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(3)
        for line, texts in enumerate(help_rows()):
            for column, text in enumerate(texts):
                grid.addWidget(Label(text), line, column)
        scrolled = Scrolled(listed)
        scrolled.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # for the arrow keys
        ui.column(self, scrolled)
        self.resize(scrolled.sizeHint())
        if (screen := parent.screen()) is not None:
            self.resize(self.size().boundedTo(room_on(self, screen.availableGeometry())))
        QShortcut(QKeySequence(HELP), self).activated.connect(self.close)


def show_keys(parent: QWidget) -> None:
    """Open the list, which leaves the window usable."""
    KeyList(parent).show()


def open_with_key(window: QWidget) -> None:
    """Have the key open the list in a window; where a text is typed it stays a letter."""
    weak = ref(window)  # the shortcut belongs to the window, and must not keep it

    def show() -> None:
        if (there := weak()) is not None:
            show_keys(there)

    QShortcut(QKeySequence(HELP), window).activated.connect(show)

"""A bar that stays for as long as what it says holds."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..canvas.colors import AMBER

_ROOM = 6


class Banner(QWidget):
    """Black words on amber in every theme; painted, since the window's style sheet overrules palettes."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setVisible(False)

    @property
    def text(self) -> str:
        """What it says; empty while it is hidden."""
        return self._text

    def show_text(self, text: str) -> None:
        """Say something, or go away."""
        self._text = text
        self.setAccessibleName(text)
        self.setVisible(bool(text))
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """Text wraps."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Room for the wrapped text."""
        bounds = self.fontMetrics().boundingRect(
            0, 0, max(width - 2 * _ROOM, 1), 1_000, int(Qt.TextFlag.TextWordWrap), self._text
        )
        return int(bounds.height()) + 2 * _ROOM

    def sizeHint(self) -> QSize:
        """Two lines of a usual dock."""
        return QSize(240, self.heightForWidth(240))

    def minimumSizeHint(self) -> QSize:
        """One line at least."""
        return QSize(120, self.fontMetrics().height() + 2 * _ROOM)

    def paintEvent(self, event: Any) -> None:
        """Fill and write."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(AMBER))
        painter.setPen(QColor("black"))
        flags = int(Qt.TextFlag.TextWordWrap) | int(Qt.AlignmentFlag.AlignVCenter.value)
        painter.drawText(self.rect().adjusted(_ROOM, 0, -_ROOM, 0), flags, self._text)
        painter.end()

"""Small plots for docks, in the colours of the theme."""

from __future__ import annotations

from html import escape
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QSizePolicy

from ..canvas.colors import PIN_COLORS

_SMALL = 8  # point size of axis labels


class SmallPlot(pg.PlotWidget):
    """A plot without menus, mouse or frame, that takes its colours from the widgets around it."""

    def __init__(self, height: int = 130) -> None:
        super().__init__(background=None)
        self._height = height
        self.setFrameShape(self.Shape.NoFrame)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.plotItem.setDefaultPadding(0.0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # without this the plot would swallow the wheel that scrolls the dock
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        for name in ("left", "bottom"):
            axis = self.getAxis(name)
            font = self.font()
            font.setPointSize(_SMALL)
            axis.setTickFont(font)
            axis.setStyle(tickLength=-3, maxTickLevel=0)
            axis.enableAutoSIPrefix(False)
        self._recolor()

    def setLabel(self, axis: str, text: str, **style: Any) -> None:
        """Name an axis; pyqtgraph would take the text for HTML."""
        self.plotItem.setLabel(axis, escape(text), **style)

    def sizeHint(self) -> QSize:
        """Small, but readable."""
        return QSize(180, self._height)

    def minimumSizeHint(self) -> QSize:
        """As small as it can be read."""
        return QSize(120, 90)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if self.plotItem is None:  # the widget is being destroyed
            return
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._recolor()

    def _recolor(self) -> None:
        self.resetCachedContent()  # the background that was drawn under the former theme
        color = self.palette().color(QPalette.ColorRole.WindowText)
        for name in ("left", "bottom"):
            axis = self.getAxis(name)
            axis.setPen(color)
            axis.setTextPen(color)
        self._on_color(color)

    def _on_color(self, color: Any) -> None:
        """For plots that draw in the text's colour themselves."""


def class_colors(count: int) -> list[str]:
    """Colours of classes, the same in every plot."""
    return [PIN_COLORS[(i * 6 + 1) % 7] if i < 7 else PIN_COLORS[i % len(PIN_COLORS)] for i in range(count)]

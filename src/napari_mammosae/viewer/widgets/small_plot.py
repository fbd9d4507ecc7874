"""Small plots for docks, in the colours of the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QSizePolicy

from ..canvas.layers import PIN_COLORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..latents.facts import ClassMean, Histogram

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
        color = self.palette().color(QPalette.ColorRole.WindowText)
        for name in ("left", "bottom"):
            axis = self.getAxis(name)
            axis.setPen(color)
            axis.setTextPen(color)
        self._on_color(color)

    def _on_color(self, color: Any) -> None:
        """For plots that draw in the text's colour themselves."""


class HistogramPlot(SmallPlot):
    """Images by how strongly a latent fires on them, the classes stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.getAxis("left").setWidth(30)
        self.setLabel("bottom", "mean activation", **{"font-size": f"{_SMALL}pt"})

    def show_bars(self, bars: Histogram | None) -> None:
        """Draw a histogram, or nothing."""
        self.clear()
        if bars is None:
            return
        width, base = np.diff(bars.edges), np.zeros(bars.counts.shape[1])
        for counts, color in zip(bars.counts, class_colors(len(bars.names)), strict=True):
            self.addItem(
                pg.BarGraphItem(x0=bars.edges[:-1], width=width, y0=base, height=counts, brush=color, pen=None)
            )
            base = base + counts
        self.setXRange(0, bars.edges[-1], padding=0)
        self.setYRange(0, max(1.0, float(base.max())) * 1.05, padding=0)


class ClassMeansPlot(SmallPlot):
    """Mean activation of every class with its interval, one line a class."""

    def __init__(self) -> None:
        super().__init__()
        self.setLabel("bottom", "mean, 95 % interval", **{"font-size": f"{_SMALL}pt"})
        self.getAxis("left").setStyle(tickLength=0)

    def show_means(self, means: Sequence[ClassMean]) -> None:
        """Draw the means, the first at the top."""
        self.clear()
        self.getAxis("left").setTicks([[(-i, f"{one.name} ({one.images:,})") for i, one in enumerate(means)]])
        for i, (one, color) in enumerate(zip(means, class_colors(len(means)), strict=True)):
            if not np.isnan(one.low):
                self.addItem(pg.PlotDataItem([one.low, one.high], [-i, -i], pen=pg.mkPen(color, width=3)))
            self.addItem(pg.ScatterPlotItem([one.mean], [-i], size=9, brush=color, pen=None))
        if means:
            ends = [value for one in means for value in (one.mean, one.low, one.high) if not np.isnan(value)]
            low, high = min(0.0, *ends), max(ends) or 1.0
            self.setXRange(low, high + 0.05 * (high - low), padding=0)
            self.setYRange(-len(means) + 0.4, 0.6, padding=0)


def class_colors(count: int) -> list[str]:
    """Colours of classes, the same in every plot."""
    return [PIN_COLORS[(i * 6 + 1) % 7] if i < 7 else PIN_COLORS[i % len(PIN_COLORS)] for i in range(count)]

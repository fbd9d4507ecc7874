"""Small plots of one latent over the open run."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg

from ...core.ranking.latent_facts import ClassMean, Histogram
from ..widgets.small_plot import _SMALL, SmallPlot, class_colors


class ActivationPlot(SmallPlot):
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
        self.setLabel("bottom", "mean, 95 % CI", **{"font-size": f"{_SMALL}pt"})
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

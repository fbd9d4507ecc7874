"""Mean activation of every latent of one model, one colour a class."""

from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg

from ...core.comparison.models import ModelSide
from ..widgets.small_plot import SmallPlot, class_colors


class MeansPlot(SmallPlot):
    """Lines from zero, the rest behind and the class in front; the largest difference is marked by its number.

    Attributes
    ----------
    top
        The largest mean.
    """

    def __init__(self) -> None:
        super().__init__(height=110)
        self.top = 0.0
        self._legend = self.addLegend(offset=(-5, 2), labelTextSize="8pt", colCount=2)
        self._recolor()

    def show_side(self, side: ModelSide, label: int, name: str) -> None:
        """Draw the means of a model."""
        rest, own = side.statistics.rest(label).means
        self.clear()
        for means, title, color in zip((rest, own), ("rest", name), class_colors(2)[::-1], strict=True):
            latents = np.flatnonzero(means)
            x = np.repeat(latents, 2)
            y = np.stack([np.zeros(latents.size), means[latents]], axis=1).ravel()
            self.addItem(pg.PlotDataItem(x, y, connect="pairs", pen=pg.mkPen(color, width=1), name=escape(title)))
        self.top = float(max(own.max(initial=0.0), rest.max(initial=0.0))) or 1.0
        best = int(np.argmax(np.abs(own - rest)))
        text = pg.TextItem(str(best), anchor=(0.5, 1.0), color=class_colors(2)[0])
        text.setPos(best, 0.9 * max(own[best], rest[best]))  # the tallest would end up above the plot
        self.addItem(text)
        self.setLabel("bottom", f"latent of {side.name}", **{"font-size": "8pt"})
        self._recolor()
        self.setXRange(0, own.size, padding=0.01)

    def _on_color(self, color: Any) -> None:
        if hasattr(self, "_legend"):
            self._legend.setLabelTextColor(color)
            for _, label in self._legend.items:  # it draws a label anew only when its text is set
                label.setText(label.text)

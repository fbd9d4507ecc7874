"""Plots of the *Localise* dock: the heatmap's histogram with the threshold, measures with intervals, curves."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal

from ...core.localization.matching import Froc, PrecisionRecall
from ...core.localization.one_image import HeatmapValues
from ..widgets.small_plot import SmallPlot
from .found_boxes import STYLES

BARS = "#8a93a6"  # a grey that is seen on dark and on light
LINE = STYLES["hit"].color
_FONT = {"font-size": "8pt"}


class ThresholdPlot(SmallPlot):
    """How many pixels of the heatmap have which activation (zeros aside), and a threshold line to drag."""

    dragged = Signal(float)
    """The line was dragged to an activation."""

    def __init__(self) -> None:
        super().__init__(height=84)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        self.setToolTip("Pixels of the heatmap by activation, logarithmic; drag the line to move the threshold")
        self.hideAxis("left")
        self.setLabel("bottom", "activation", **_FONT)
        self._bars = pg.BarGraphItem(x0=[0.0], width=[1.0], height=[0.0], brush=BARS, pen=None)
        self.addItem(self._bars)
        self.line = pg.InfiniteLine(
            0.0, angle=90, movable=True, pen=pg.mkPen(LINE, width=3), hoverPen=pg.mkPen(STYLES["false"].color, width=4)
        )
        self.line.setZValue(10)
        self.line.sigDragged.connect(self._on_drag)
        self.addItem(self.line)
        self._values: HeatmapValues | None = None

    def minimumSizeHint(self) -> QSize:
        """Lower than other plots: it stands above everything else."""
        return QSize(120, 70)

    def wheelEvent(self, event: Any) -> None:
        """Let the wheel scroll the dock."""
        event.ignore()

    def show_values(self, values: HeatmapValues | None, name: str = "activation") -> None:
        """Draw the histogram of a heatmap, or nothing; `name` is what its values are."""
        if values is self._values:
            return
        self._values = values
        silent = values is None or values.maximum <= 0
        self._bars.setVisible(not silent)
        self.line.setVisible(not silent)
        if values is None or silent:
            return
        below = " or below" if values.values[0] < 0 else ""
        zeros = f" (not drawn: {100 * values.zeros:.0f} % at 0{below})" if values.zeros else ""
        self.setLabel("bottom", f"{name}{zeros}", **_FONT)
        self._recolor()
        edges, counts = values.histogram()
        height = np.log10(1.0 + counts)
        self._bars.setOpts(x0=edges[:-1], width=np.diff(edges), height=height)
        self.line.setBounds((0.0, float(edges[-1])))
        self.setXRange(0.0, float(edges[-1]), padding=0.02)
        self.setYRange(0.0, max(1.0, float(height.max())) * 1.05, padding=0)

    def show_level(self, level: float) -> None:
        """Put the line at an activation, NaN hides it; not while the user holds it."""
        if not self.line.moving:
            self.line.setVisible(self._bars.isVisible() and bool(np.isfinite(level)))
            if np.isfinite(level):
                self.line.setValue(level)

    def _on_drag(self) -> None:
        self.dragged.emit(float(self.line.value()))


class MeasuresPlot(SmallPlot):
    """Measures from 0 to 1 as bars, each with its interval."""

    def __init__(self) -> None:
        super().__init__(height=120)
        self.getAxis("left").setStyle(tickLength=0)
        self.setXRange(0.0, 1.0, padding=0.02)

    def show_measures(self, measures: list[tuple[str, float, float, float]]) -> None:
        """Draw (title, value, low, high), the first at the top; NaN for what is not known."""
        self.clear()
        self.getAxis("left").setTicks([[(-i, title) for i, (title, *_) in enumerate(measures)]])
        self.setYRange(-len(measures) + 0.4, 0.6, padding=0)
        for i, (_, value, low, high) in enumerate(measures):
            if np.isfinite(value):
                self.addItem(pg.BarGraphItem(x0=[0.0], y0=[-i - 0.3], width=[value], height=0.6, brush=BARS, pen=None))
            if np.isfinite([low, high]).all():
                self.addItem(pg.PlotDataItem([low, high], [-i, -i], pen=pg.mkPen(LINE, width=3)))


class DetectionCurvePlot(SmallPlot):
    """A curve of one latent over a run."""

    def __init__(self, bottom: str, left: str) -> None:
        super().__init__(height=130)
        self.setLabel("bottom", bottom, **_FONT)
        self.setLabel("left", left, **_FONT)
        self.getAxis("left").setWidth(38)
        self._curve = pg.PlotDataItem(pen=pg.mkPen(LINE, width=2))
        self._point = pg.ScatterPlotItem(size=7, brush=STYLES["false"].color, pen=None)
        self.addItem(self._curve)
        self.addItem(self._point)
        self.setYRange(0.0, 1.0, padding=0.03)

    def show_precision_recall(self, curve: PrecisionRecall | None) -> None:
        """Draw precision over recall as steps; the dot is where every found box counts."""
        if curve is None or not curve.recall.size:
            self._show(np.zeros(0), np.zeros(0), 1.0)
            return
        recall = np.repeat(np.concatenate([[0.0], curve.recall]), 2)[1:-1]
        self._show(recall, np.repeat(curve.precision, 2), 1.0)

    def show_froc(self, curve: Froc | None) -> None:
        """Draw sensitivity over false positives per image; the dot is where every found box counts."""
        if curve is None or not curve.sensitivity.size:
            self._show(np.zeros(0), np.zeros(0), 1.0)
            return
        false = np.concatenate([[0.0], curve.false_positives])
        self._show(false, np.concatenate([[0.0], curve.sensitivity]), max(float(false[-1]), 1e-3))

    def _show(self, x: Any, y: Any, right: float) -> None:
        self._curve.setData(x, y)
        self._point.setData(x[-1:], y[-1:])
        self.setXRange(0.0, right, padding=0.03)

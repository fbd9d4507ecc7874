"""The waterfall of one logit, and the curve of a run over k."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPalette
from superqt.utils import signals_blocked

from ...core.base.text import shorten
from ...core.intervention.sweep import Curve
from ..widgets.small_plot import SmallPlot
from .result import Term
from .run_effects import Bands

UP, DOWN, PLAIN, EDIT = "#f2663b", "#4a8cf7", "#8a8f98", "#ffb000"
_UNNAMED, _ROOM = 72, 16  # pixels beside the bars
_LONGEST = 22  # characters there
BAND = (138, 143, 152, 70)


class WaterfallPlot(SmallPlot):
    """Addends of a logit from top to bottom, each bar beginning where the one above ends; the edit is the last.

    `picked` emits the latent whose bar, or line, was clicked.
    """

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(height=190)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.scene().sigMouseClicked.connect(self._on_click)
        self.getAxis("left").setWidth(_UNNAMED)
        self.getAxis("left").setStyle(tickLength=0)
        self.setLabel("bottom", "logit", **{"font-size": "8pt"})
        self._bars = pg.BarGraphItem(x0=[0], x1=[0], y=[0], height=0.7)
        self._edited = pg.BarGraphItem(x0=[0], x1=[0], y=[0], height=0.7)
        self._before = pg.InfiniteLine(0, pen=pg.mkPen(PLAIN, style=Qt.PenStyle.DotLine))
        self._zero = pg.InfiniteLine(0, pen=pg.mkPen(PLAIN))
        for item in (self._zero, self._before, self._bars, self._edited):
            self.addItem(item)
        self.terms: Sequence[Term] = ()
        self.remarks: list[pg.TextItem] = []

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the dock, which it scrolls."""
        event.ignore()

    def show_terms(
        self,
        terms: Sequence[Term],
        called: Callable[[int], str] = lambda _: "",
        remarks: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Draw the terms, latents with what they are called and a remark beside the bar; none hides everything."""
        self.terms = terms
        while self.remarks:
            self.removeItem(self.remarks.pop())
        titles = [_titled(term, called) for term in terms]
        # wider labels than the axis are not drawn at all
        widest = max(map(self.fontMetrics().horizontalAdvance, titles), default=0)
        self.getAxis("left").setWidth(max(_UNNAMED, widest + _ROOM))
        for item in (self._bars, self._edited, self._before, self._zero):
            item.setVisible(bool(terms))
        if not terms:
            self.getAxis("left").setTicks([[]])
            return
        values = np.array([term.value for term in terms])
        ends = np.cumsum(values)
        starts = ends - values
        rows = -np.arange(values.size, dtype=float)
        edited = np.array([term.edited for term in terms])
        colors = np.array([_color(term) for term in terms])
        for item, chosen in ((self._bars, ~edited), (self._edited, edited)):
            item.setVisible(bool(chosen.any()))
            if chosen.any():
                hollow = item is self._edited
                item.setOpts(
                    x0=starts[chosen],
                    x1=ends[chosen],
                    y=rows[chosen],
                    height=0.7,
                    brushes=[pg.mkBrush(None) if hollow else pg.mkBrush(c) for c in colors[chosen]],
                    pens=[pg.mkPen(c, width=1.5) if hollow else pg.mkPen(None) for c in colors[chosen]],
                )
        self._before.setValue(float(starts[-1]))
        self.getAxis("left").setTicks([[(-i, title) for i, title in enumerate(titles)]])
        low, high = min(0.0, starts.min(), ends.min()), max(0.0, starts.max(), ends.max())
        for row, term in enumerate(terms):
            if text := remarks.get(term.latent):
                left, right = sorted((float(starts[row]), float(ends[row])))
                outside = right < (low + high) / 2  # where there is room
                item = pg.TextItem(shortened(text), color=self._ink, anchor=(0.0 if outside else 1.0, 0.5))
                item.setPos(right if outside else left, -row)
                self.addItem(item)
                self.remarks.append(item)
        room = 0.05 * (high - low) or 1.0
        self.setXRange(low - room, high + room, padding=0)
        self.setYRange(-values.size + 0.4, 0.6, padding=0)

    def _on_click(self, event: Any) -> None:
        row = round(-self.plotItem.vb.mapSceneToView(event.scenePos()).y())
        if event.button() == Qt.MouseButton.LeftButton and 0 <= row < len(self.terms):
            latent = self.terms[row].latent
            if latent >= 0:
                self.picked.emit(latent)

    @property
    def _ink(self) -> Any:
        return self.palette().color(QPalette.ColorRole.WindowText)

    def _on_color(self, color: Any) -> None:
        for item in getattr(self, "remarks", ()):
            item.setColor(color)


class SweepPlot(SmallPlot):
    """A measure over k on a logarithmic axis; the line at the current k can be dragged, or brought with a click.

    `dragged` emits k while the line moves, `released` when it is let go.
    """

    dragged = Signal(int)
    released = Signal()

    def __init__(self) -> None:
        super().__init__(height=150)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # for undo; the box beside the slider has the arrow keys
        self.setLabel("bottom", "k", **{"font-size": "8pt"})
        self._most = 1
        self._low, self._high = pg.PlotDataItem(), pg.PlotDataItem()
        self._band = pg.FillBetweenItem(self._low, self._high, brush=pg.mkBrush(BAND))
        self._line = pg.PlotDataItem(stepMode="right")
        self.marker = pg.InfiniteLine(0, movable=True, pen=pg.mkPen(EDIT, width=2), hoverPen=pg.mkPen(EDIT, width=4))
        for item in (self._band, self._line, self.marker):
            self.addItem(item)
        self.marker.sigDragged.connect(self._on_drag)
        self.marker.sigPositionChangeFinished.connect(lambda *_: self.released.emit())
        self.scene().sigMouseClicked.connect(self._on_click)
        self._recolor()

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the dock, which it scrolls."""
        event.ignore()

    def show_curve(self, curve: Curve | None, measure: str) -> None:
        """Draw a curve, or nothing."""
        self._line.setVisible(curve is not None)
        self.marker.setVisible(curve is not None)
        self.show_bands(None)
        if curve is None:
            return
        self._most = curve.union_size.size - 1
        values = curve.measures[measure]
        x = _place(np.append(curve.steps, self._most))
        y = np.append(values, values[-1])
        self._line.setData(x, y)
        self.marker.setBounds((0, float(_place(self._most))))
        self.setLabel("left", measure.upper() if measure in ("auroc", "auprc") else measure, **{"font-size": "8pt"})
        self._recolor()
        ticks = [k for k in (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000) if k < 0.7 * self._most] + [self._most]
        self.getAxis("bottom").setTicks([[(float(_place(k)), f"{k:,}") for k in ticks]])
        self.setXRange(0, float(_place(self._most)), padding=0.02)
        self._fit(y)

    def show_bands(self, bands: Bands | None) -> None:
        """Draw intervals behind the curve, or none."""
        shown = bands is not None and bands.ks.size > 0
        self._band.setVisible(shown)
        if bands is not None and shown:
            x = _place(bands.ks)
            self._low.setData(x, bands.low)
            self._high.setData(x, bands.high)
            self._fit(np.concatenate([bands.low, bands.high, self._line.getData()[1]]))

    def show_k(self, k: int) -> None:
        """Mark a k."""
        with signals_blocked(self.marker):
            self.marker.setValue(float(_place(k)))

    def _fit(self, values: Any) -> None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        room = 0.06 * (high - low) or 0.05
        self.setYRange(low - room, high + room, padding=0)

    def _on_drag(self, *_: object) -> None:
        self._emit(self.marker.value())

    def _on_click(self, event: Any) -> None:
        """A click beside the line brings it there."""
        if self.marker.isVisible() and event.button() == Qt.MouseButton.LeftButton:
            self._emit(self.plotItem.vb.mapSceneToView(event.scenePos()).x())
            self.released.emit()

    def _emit(self, place: float) -> None:
        self.dragged.emit(min(max(round(float(np.expm1(place))), 0), self._most))

    def _on_color(self, color: Any) -> None:
        if hasattr(self, "_line"):
            self._line.setPen(pg.mkPen(self.palette().color(QPalette.ColorRole.WindowText), width=1.5))


def shortened(text: str, most: int = 22) -> str:
    """A remark short enough for a bar."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _place(k: Any) -> Any:
    """Where k stands on the axis: logarithmic, with room for 0."""
    return np.log1p(k)


def _titled(term: Term, called: Callable[[int], str]) -> str:
    name = called(int(term.name)) if term.kind == "latent" else ""
    return shorten(f"{term.name} {name}", _LONGEST) if name else term.name


def _color(term: Term) -> str:
    if term.kind == "edit":
        return EDIT
    if term.kind in ("bias", "error"):
        return PLAIN
    return UP if term.value >= 0 else DOWN

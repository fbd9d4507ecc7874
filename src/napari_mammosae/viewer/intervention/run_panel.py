"""What the edit does to the open run: the curve over k, and what comes of the present edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QListView, QVBoxLayout

from ...core.ranking.titles import SCORES
from ..widgets.parts import Part, hint, row
from ..widgets.plain import Label
from .plots import SweepPlot

if TYPE_CHECKING:
    from ...core.intervention.sweep import Curve
    from ..runs.browser import RunBrowser
    from .over_run import EditOverRun
    from .run_effects import Bands
    from .run_move import RunMove

RANKINGS = ("diff", "mean", "standardised", "auroc", "attribution")


class EditOverRunPart(Part):
    """The run's curve with the current k on it, and below it what the present edit does."""

    def __init__(self, over_run: EditOverRun, browser: RunBrowser) -> None:
        super().__init__(over_run.context)
        self.over_run, self.intervention = over_run, over_run.intervention
        self._curve: Curve | None = None
        self._bands: Bands | None = None
        self.label_box, self.score_box = QComboBox(), QComboBox()
        self.label_box.setToolTip("Label of the run that predictions are scored by")
        self.score_box.setToolTip("Score that ranks the latents of each class")
        for box in (self.label_box, self.score_box):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(7)
        for name in RANKINGS:
            self.score_box.addItem(SCORES[name][0], name)
            self.score_box.setItemData(self.score_box.count() - 1, SCORES[name][1], Qt.ItemDataRole.ToolTipRole)
        self.choosers = row(self.label_box, self.score_box)
        self.plot, self.move_part, self.note = SweepPlot(), MovePart(over_run.move, browser), Label()
        self._undo.callback(self.move_part.cleanup)
        self.note.setWordWrap(True)
        hint(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.choosers, self.plot, self.move_part, self.note):
            layout.addWidget(widget, 1 if widget is self.move_part else 0)
        self.label_box.activated.connect(lambda: over_run.choose(label=self.label_box.currentData()))
        self.score_box.activated.connect(lambda: over_run.choose(score=self.score_box.currentData()))
        self.plot.dragged.connect(self._on_drag)
        self.plot.released.connect(self.intervention.settle)
        self.plot.show_curve(None, "")
        self.listen(over_run.changed, self.refresh)
        self.listen(self.session.events.blind, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the run."""
        one = self.over_run
        if [self.label_box.itemData(at) for at in range(self.label_box.count())] != one.labels:
            self.label_box.clear()
            for label in one.labels:
                self.label_box.addItem(label.replace("_", " "), label)
        self.label_box.setCurrentIndex(self.label_box.findData(one.label))
        self.score_box.setCurrentIndex(self.score_box.findData(one.score))
        self.choosers.setVisible(self.session.run is not None and bool(one.labels))
        for widget in (self.plot, self.move_part):
            widget.setVisible(one.effects is not None and not self.session.blind)
        if one.curve is not self._curve:
            self._curve, self._bands = one.curve, None
            self.plot.show_curve(one.curve, one.measure)
        if one.bands is not None and one.bands is not self._bands:
            self._bands = one.bands
            self.plot.show_bands(one.bands)
        self.plot.marker.setVisible(one.marked_k is not None)
        if one.marked_k is not None:
            self.plot.show_k(one.marked_k)
        self.note.setText(one.note)
        self.note.setVisible(bool(one.note))

    def _on_drag(self, k: int) -> None:
        self.intervention.change(k=k)


class MovePart(Part):
    """What the edit does to the run, in words; a click on an image opens it."""

    def __init__(self, move: RunMove, browser: RunBrowser) -> None:
        super().__init__(move.context)
        self.run_move, self.browser = move, browser
        self.measures, self.intervals = Label(), hint(Label())
        for label in (self.measures, self.intervals):
            label.setWordWrap(True)
        self.intervals.setToolTip("Bootstrap by patient, 1,000 resamples; before, after and change use the same ones")
        self.list = _Flips()
        self.list.setModel(move.flips)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.measures, self.intervals, self.list):
            layout.addWidget(widget, 1 if widget is self.list else 0)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.listen(move.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow what the edit does."""
        self.measures.setText(self.run_move.measures)
        self.intervals.setText(self.run_move.intervals)
        self.intervals.setVisible(bool(self.run_move.intervals))

    def _open(self, index: QModelIndex) -> None:
        if self.session.run is not None and (rows := self.run_move.flip_rows()):
            self.browser.show(rows[index.row()][0])


class _Flips(QListView):
    def __init__(self) -> None:
        super().__init__()
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setToolTip("Images whose decision the edit changes. Click one to open it.")
        self.setMinimumHeight(60)

    def sizeHint(self) -> QSize:
        """A few lines: it takes what room is left, but does not make the dock scroll."""
        return QSize(super().sizeHint().width(), 80)

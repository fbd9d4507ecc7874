"""What the edit does to the open run: the curve over k, and what comes of the present edit."""

from qtpy.QtCore import QModelIndex, QSize
from qtpy.QtWidgets import QAbstractItemView, QListView
from superqt.utils import signals_blocked

from ...core.intervention.sweep import Curve
from ...core.ranking.titles import SCORES
from ..runs.browser import RunBrowser
from ..widgets import ui
from ..widgets.parts import Part, hint, row
from .over_run import EditOverRun
from .plots import SweepPlot
from .run_effects import Bands
from .run_move import RunMove

RANKINGS = ("diff", "mean", "standardised", "auroc", "attribution")


class EditOverRunPart(Part):
    """The run's curve with the current k on it, and below it what the present edit does."""

    _curve: Curve | None = None
    _bands: Bands | None = None

    def __init__(self, over_run: EditOverRun, browser: RunBrowser) -> None:
        super().__init__(over_run.context)
        self.over_run, self.intervention = over_run, over_run.intervention
        self.label_box = ui.chooser(7, "Label of the run that predictions are scored by")
        scores = {name: SCORES[name] for name in RANKINGS}
        self.score_box = ui.chooser(7, "Score that ranks the latents of each class", scores)
        self.protocol_box = ui.protocol_box()
        self.choosers = row(self.label_box, self.score_box)
        self.plot, self.move_part, self.note = SweepPlot(), MovePart(over_run.move, browser), hint(ui.wrapped())
        self.other_set = hint(
            ui.wrapped("The curve over k belongs to the set “best of the run”. Choose it to see the curve.")
        )
        self._undo.callback(self.move_part.cleanup)
        ui.column(
            self, self.choosers, self.protocol_box, self.plot, self.other_set, self.move_part, self.note,
            grow=self.move_part, spacing=3,
        )  # fmt: skip
        self.label_box.activated.connect(lambda: over_run.choose(label=self.label_box.currentData()))
        self.score_box.activated.connect(lambda: over_run.choose(score=self.score_box.currentData()))
        self.protocol_box.toggled.connect(lambda on: over_run.choose_protocol("paper" if on else None))
        self.plot.dragged.connect(lambda k: self.intervention.change(k=k))
        self.plot.released.connect(self.intervention.settle)
        self.plot.show_curve(None, "")
        self.listen(over_run.changed, self.follow)
        self.listen(self.session.events.blind, self.follow)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the run."""
        one = self.over_run
        ui.offer(self.label_box, [(label.replace("_", " "), label) for label in one.labels], one.label)
        with signals_blocked(self.protocol_box):
            self.protocol_box.setChecked(one.protocol is not None)
        self.score_box.setCurrentIndex(self.score_box.findData(one.score))
        for chooser in (self.choosers, self.protocol_box):
            chooser.setVisible(self.session.run is not None and bool(one.labels))
        ready = one.effects is not None and not self.session.blind
        self.move_part.setVisible(ready)
        self.plot.setVisible(ready and one.marked_k is not None)
        self.other_set.setVisible(ready and one.curve is not None and one.marked_k is None)
        if one.curve is not self._curve:
            self._curve, self._bands = one.curve, None
            self.plot.show_curve(one.curve, one.measure)
        if one.bands is not None and one.bands is not self._bands:
            self._bands = one.bands
            self.plot.show_bands(one.bands)
        self.plot.marker.setVisible(one.marked_k is not None)
        if one.marked_k is not None:
            self.plot.show_k(one.marked_k)
        ui.show_text(self.note, one.note)


class MovePart(Part):
    """What the edit does to the run, in words; a click on an image opens it."""

    def __init__(self, move: RunMove, browser: RunBrowser) -> None:
        super().__init__(move.context)
        self.run_move, self.browser = move, browser
        self.measures, self.intervals = ui.wrapped(), hint(ui.wrapped())
        self.intervals.setToolTip("Bootstrap by patient, 1,000 resamples; before, after and change use the same ones")
        self.list = _Flips()
        self.list.setModel(move.flips)
        ui.column(self, self.measures, self.intervals, self.list, grow=self.list, spacing=3)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.listen(move.changed, self.follow)
        self.refresh()

    def refresh(self) -> None:
        """Follow what the edit does."""
        self.measures.setText(self.run_move.measures)
        ui.show_text(self.intervals, self.run_move.intervals)

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

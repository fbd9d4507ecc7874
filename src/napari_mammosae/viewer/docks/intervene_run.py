"""What the edit does to the open run: the curve over k, measures before and after, images whose prediction flips."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QLabel, QListView, QVBoxLayout

from ...core.errors import MammoSAEError
from .. import run_effects
from ..jobs import Jobs
from ..run_effects import RunChoice
from ..run_images import show_image
from .base import Part, hint, row
from .columns import SCORES
from .intervene_plots import CurvePlot

if TYPE_CHECKING:
    from ...core.intervention import Curve
    from ..controller import Controller
    from ..edits import EditState
    from ..intervening import Intervention
    from ..jobs import Progress
    from ..run_effects import Bands, RunEffects, Scored

NO_RUN = "Open a run to see what the edit does to many images."
RANKINGS = ("diff", "mean", "standardised", "auroc", "attribution")
_BANDS_WAIT = 600  # milliseconds without a change before intervals are worked out
_CURVES_KEPT = 24


class RunPart(Part):
    """The run's curve with the current k on it, and the images whose decision the edit changes.

    Attributes
    ----------
    effects
        The run, ready for edits; None until it is.
    curve, bands
        What is drawn.
    moved
        Predictions of the run under the present edit; None where it cannot be said.
    """

    def __init__(self, controller: Controller, intervention: Intervention) -> None:
        super().__init__(controller)
        self.intervention = intervention
        self.effects: RunEffects | None = None
        self.curve: Curve | None = None
        self.bands: Bands | None = None
        self.moved: Scored | None = None
        self._logit = -1
        self._start: dict[str, Scored] = {}
        self._curves: dict[tuple[Any, ...], Curve] = {}
        self._drawn: tuple[Any, ...] | None = None
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self._later = QTimer(self, singleShot=True, interval=_BANDS_WAIT)
        self._later.timeout.connect(self._bootstrap)
        self.label_box, self.score_box = QComboBox(), QComboBox()
        self.label_box.setToolTip("Label of the run that predictions are scored by")
        self.score_box.setToolTip("What ranks the latents of each class")
        for box in (self.label_box, self.score_box):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(7)
        for name in RANKINGS:
            self.score_box.addItem(SCORES[name][0], name)
            self.score_box.setItemData(self.score_box.count() - 1, SCORES[name][1], Qt.ItemDataRole.ToolTipRole)
        self.choosers = row(self.label_box, self.score_box)
        self.plot, self.measures, self.note = CurvePlot(), QLabel(), QLabel()
        for label in (self.measures, self.note):
            label.setWordWrap(True)
        hint(self.note)
        self.flips, self.list = FlipModel(), QListView()
        self.list.setModel(self.flips)
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setToolTip("Click to open the image")
        self.list.setMinimumHeight(60)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.choosers, self.plot, self.measures, self.list, self.note):
            layout.addWidget(widget, 1 if widget is self.list else 0)
        self.label_box.activated.connect(self._prepare)
        self.score_box.activated.connect(self._prepare)
        self.plot.dragged.connect(self._on_drag)
        self.plot.released.connect(intervention.settle)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.listen(intervention.changed, self.refresh)
        self.listen(self.session.events.blind, self.refresh)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.model, self._on_run)
        self.listen(self.jobs.progressed, self._on_progress)
        self._on_run()

    # Preparing

    def _on_run(self, *_: object) -> None:
        self.jobs.cancel()
        run, model = self.session.run, self.session.model
        self._drop()
        self.label_box.clear()
        if run is None or model is None:
            self._say(NO_RUN if run is None else "Load the model of the run to edit its predictions.")
            self.refresh()
            return
        self._fill_labels()
        self._prepare()

    def _fill_labels(self) -> None:
        run, model = self.session.run, self.session.model
        assert model is not None
        self._logit = self.intervention.state.logit
        name = model.classes[self._logit] if self._logit < len(model.classes) else ""
        self.label_box.clear()
        if name in run.classes:
            for label in run_effects.labels_for(run, name):
                self.label_box.addItem(label.replace("_", " "), label)

    def _prepare(self, *_: object) -> None:
        run, model = self.session.run, self.session.model
        label, score = self.label_box.currentData(), self.score_box.currentData()
        self._drop()
        assert model is not None
        if not label:
            self._say(f"{run.path.name} has no label for this prediction, so it cannot be scored.")
            self.refresh()
            return
        work = partial(run_effects.prepare_run, run, model, RunChoice(label, score))
        self.jobs.start(f"Preparing {run.path.name}", work, partial(self._take, run, model), self._failed)

    def _drop(self) -> None:
        self.effects = self.curve = self.bands = self.moved = None
        self._start.clear()
        self._curves.clear()
        self._drawn = None
        self.plot.show_curve(None, "")
        if self.intervention.sources.run_entry is not None:
            self.intervention.sources.run_entry = None

    def _take(self, run: Any, model: Any, effects: RunEffects) -> None:
        if run is not self.session.run or model is not self.session.model:
            return
        self.effects = effects
        self._start = {form: run_effects.before_edit(effects, form) for form in ("replace", "delta")}  # type: ignore[arg-type]
        entries: dict[tuple[Any, int], Any] = {}

        def entry(direction: Any, logit: int) -> Any:
            key = direction, logit if len(effects.logits) > 1 else 0
            if key not in entries:
                entries[key] = effects.entry(direction, logit)
            return entries[key]

        self.intervention.sources.run_entry = entry
        self._say("")
        state = self.intervention.state
        if state.source == "image" and state.k == 0 and not self.intervention.can_undo:
            self.intervention.use_run()
        else:
            self.intervention.update()

    # Following

    def refresh(self, *_: object) -> None:
        """Follow the intervention: look the present k up, predict the run, list the flips."""
        run, effects, state = self.session.run, self.effects, self.intervention.state
        if run is not None and self.session.model is not None and state.logit != self._logit:
            self._fill_labels()
            place = self.label_box.findData(effects.choice.label) if effects is not None else -1
            if effects is None or place < 0 or state.logit not in effects.logits:
                self._prepare()
                return
            self.label_box.setCurrentIndex(place)
        for widget in (self.plot, self.measures, self.list):
            widget.setVisible(effects is not None and not self.session.blind)
        self.choosers.setVisible(run is not None and self.label_box.count() > 0)
        if effects is None:
            return
        self._show_curve(state)
        self._show_move()

    def _show_curve(self, state: EditState) -> None:
        key = _curve_key(state)
        if state.source == "run" and not state.without_spurious:
            self.plot.show_k(state.k)
            self.plot.marker.setVisible(self.curve is not None)
        else:
            self.plot.marker.setVisible(False)
        if key == self._drawn:
            return
        self._drawn, self.bands = key, None
        if key in self._curves:
            self._take_curve(key, self._curves[key])
            return
        assert self.effects is not None
        work = partial(run_effects.curve_of, self.effects, state)
        self.jobs.start("Sweeping over every k", work, partial(self._take_curve, key), self._failed)

    def _take_curve(self, key: tuple[Any, ...], curve: Curve) -> None:
        while len(self._curves) >= _CURVES_KEPT:
            self._curves.pop(next(iter(self._curves)))
        self._curves[key] = curve
        if key != self._drawn or self.effects is None:
            return
        self.curve = curve
        self.plot.show_curve(curve, self.measure)
        state = self.intervention.state
        self.plot.marker.setVisible(state.source == "run" and not state.without_spurious)
        self.plot.show_k(state.k)
        self._say("")
        self._later.start()

    def _bootstrap(self) -> None:
        if self.effects is not None and self.curve is not None and not self.jobs.busy:
            work = partial(run_effects.bands_of, self.effects, self.intervention.state, self.measure)
            self.jobs.start("Intervals", work, partial(self._take_bands, self._drawn), self._failed)

    def _take_bands(self, key: tuple[Any, ...] | None, bands: Bands) -> None:
        if key == self._drawn and self.curve is not None:
            self.bands = bands
            self.plot.show_bands(bands)
            self._say(f"No intervals: {bands.note}." if bands.note else "Grey: 95 % intervals by patient.")

    @property
    def measure(self) -> str:
        """The measure that is drawn."""
        return "auroc" if self.effects is not None and self.effects.cohort.constant.size == 1 else "accuracy"

    def _show_move(self) -> None:
        effects, view = self.effects, self.intervention.view
        assert effects is not None
        self.moved = None
        if view is None:
            self.measures.setText("")
            self.flips.show([])
            return
        try:
            self.moved = run_effects.after_edit(effects, view.edit)
        except MammoSAEError as error:
            self.measures.setText(f"The run cannot say: {error}")
            self.flips.show([])
            return
        before, after = self._start[view.edit.form], self.moved
        flipped = (before.decided != after.decided).nonzero()[0]
        name = self.measure.upper() if self.measure == "auroc" else self.measure
        self.measures.setText(
            f"{name} {before.measures[self.measure]:.4f} → {after.measures[self.measure]:.4f}; "
            f"{flipped.size:,} of {effects.cohort.n_images:,} predictions flip"
        )
        self.flips.show([*zip(flipped, before.decided[flipped], after.decided[flipped], strict=True)], self._describe)

    def _describe(self, flip: Any) -> str:
        place, before, after = flip
        effects, run = self.effects, self.session.run
        assert effects is not None
        image = run.images["image_id"].iloc[effects.rows[place]]
        words = ("negative", "positive") if effects.cohort.constant.size == 1 else run.classes
        truth = int(effects.cohort.labels[place]) if effects.cohort.labels is not None else -1
        right = " (right)" if after == truth else " (wrong)"
        return f"{image}: {words[before]} → {words[after]}{right}"

    def flip_rows(self) -> list[tuple[int, int, int]]:
        """Rows of the run's table whose decision changes, with the decisions before and after."""
        effects = self.effects
        return [(int(effects.rows[place]), int(a), int(b)) for place, a, b in self.flips.rows] if effects else []

    def _open(self, index: QModelIndex) -> None:
        if self.effects is not None:
            show_image(self.controller, self.session.run, int(self.effects.rows[self.flips.rows[index.row()][0]]))

    def _on_drag(self, k: int) -> None:
        self.intervention.change(k=k)

    def _failed(self, error: Exception) -> None:
        text = str(error)
        self._say(text[:1].upper() + text[1:])
        self.refresh()

    def _on_progress(self, progress: Progress) -> None:
        share = f" {progress.done} of {progress.total}" if progress.total else ""
        self._say(f"{progress.text}{share} …")

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setVisible(bool(text))


class FlipModel(QAbstractListModel):
    """Images whose decision changes; each line is worded only when it comes into sight."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []
        self._describe: Any = str

    def show(self, rows: list[Any], describe: Any = str) -> None:
        """List other images."""
        if rows == self.rows:
            return
        self.beginResetModel()
        self.rows, self._describe = rows, describe
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many there are."""
        return len(self.rows)

    def data(self, index: QModelIndex, role: int = 0) -> str | None:
        """Text of a line."""
        return self._describe(self.rows[index.row()]) if role == Qt.ItemDataRole.DisplayRole else None


def _curve_key(state: EditState) -> tuple[Any, ...]:
    factor = state.factor if state.mode == "scale" else None
    return state.mode, state.form, state.direction, factor, state.logit

"""What the edit does to the open run: the curve over k, and what comes of the present edit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout

from ...core.ranking.titles import SCORES
from ..app.jobs import Jobs
from ..widgets.parts import Part, hint, row
from . import run_effects
from .flips_panel import MovePart
from .plots import CurvePlot
from .run_effects import RunChoice

if TYPE_CHECKING:
    from ...core.base.progress import Progress
    from ...core.intervention.sweep import Curve
    from ...core.models.model import MammoSAE
    from ...core.runs.run import Run
    from ..image.controller import Controller
    from .controller import Intervention
    from .run_effects import Bands, RunEffects, RunRanking
    from .state import EditState

NO_RUN = "Open a run to see what the edit does to many images."
NO_SWEEP = (
    "The SAE reads {layer}: every edit needs a pass of every image through the network, so there is no curve here, and "
    "no prediction of the run. Its ranking gives sets for the image shown. In Python: core.intervention.masked_logits."
)
RANKINGS = ("diff", "mean", "standardised", "auroc", "attribution")
_BANDS_WAIT = 600  # milliseconds without a change before intervals are worked out
_CURVES_KEPT = 24


class RunPart(Part):
    """The run's curve with the current k on it, and below it what the present edit does.

    Attributes
    ----------
    ranking
        The run's latents in order; None until they are.
    effects
        The run, ready for edits; None until it is, and where what follows the SAE is not linear.
    curve, bands
        What is drawn.
    move
        Measures before and after the present edit, and the images whose decision it changes.
    """

    def __init__(self, controller: Controller, intervention: Intervention) -> None:
        super().__init__(controller)
        self.intervention = intervention
        self.ranking: RunRanking | None = None
        self.effects: RunEffects | None = None
        self.curve: Curve | None = None
        self.bands: Bands | None = None
        self._logit = -1
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
        self.plot, self.move, self.note = CurvePlot(), MovePart(controller), QLabel()
        self._undo.callback(self.move.cleanup)
        self.note.setWordWrap(True)
        hint(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.choosers, self.plot, self.move, self.note):
            layout.addWidget(widget, 1 if widget is self.move else 0)
        self.label_box.activated.connect(self._prepare)
        self.score_box.activated.connect(self._prepare)
        self.plot.dragged.connect(self._on_drag)
        self.plot.released.connect(intervention.settle)
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
        choice, title = RunChoice(label, score), f"Preparing {run.path.name}"
        if model.layer == "head":
            work = partial(run_effects.prepare_run, run, model, choice)
            self.jobs.start(title, work, partial(self._take, run, model), self._failed)
        else:
            rank = partial(run_effects.rank_run, run, model, choice)
            self.jobs.start(title, rank, partial(self._take_ranking, run, model), self._failed)

    def _drop(self) -> None:
        self.ranking = self.effects = self.curve = self.bands = None
        self.move.forget()
        self._curves.clear()
        self._drawn = None
        self.plot.show_curve(None, "")
        if self.intervention.sources.run_entry is not None:
            self.intervention.sources.run_entry = None

    def _take(self, run: Run, model: MammoSAE, effects: RunEffects) -> None:
        if run is self.session.run and model is self.session.model:
            self.effects = effects
            self._take_ranking(run, model, effects.ranking)

    def _take_ranking(self, run: Run, model: MammoSAE, ranking: RunRanking) -> None:
        if run is not self.session.run or model is not self.session.model:
            return
        self.ranking = ranking
        entries: dict[tuple[Any, int], Any] = {}

        def entry(direction: Any, logit: int) -> Any:
            key = direction, logit if len(ranking.logits) > 1 else 0
            if key not in entries:
                entries[key] = ranking.entry(direction, logit)
            return entries[key]

        self.intervention.sources.run_entry = entry
        self._say("" if model.layer == "head" else NO_SWEEP.format(layer=model.layer))
        state = self.intervention.state
        if state.source == "image" and state.k == 0 and not self.intervention.can_undo:
            self.intervention.use_run()
        else:
            self.intervention.update()

    # Following

    def refresh(self, *_: object) -> None:
        """Follow the intervention: look the present k up, predict the run, list the flips."""
        run, effects, state = self.session.run, self.effects, self.intervention.state
        ranking = self.ranking
        if run is not None and self.session.model is not None and state.logit != self._logit:
            self._fill_labels()
            place = self.label_box.findData(ranking.choice.label) if ranking is not None else -1
            if ranking is None or place < 0 or state.logit not in ranking.logits:
                self._prepare()
                return
            self.label_box.setCurrentIndex(place)
        for widget in (self.plot, self.move):
            widget.setVisible(effects is not None and not self.session.blind)
        self.choosers.setVisible(run is not None and self.label_box.count() > 0)
        if effects is None:
            return
        self._show_curve(state)
        self.move.show_edit(effects, self.intervention.view)

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
        return self.effects.measure if self.effects is not None else "accuracy"

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


def _curve_key(state: EditState) -> tuple[Any, ...]:
    factor = state.factor if state.mode == "scale" else None
    return state.mode, state.form, state.direction, factor, state.logit

"""The edit over the open run: the ranking that sets come from, the curve over k, and what the edit does to the run."""

from functools import partial
from typing import Any

from psygnal import Signal

from ...core.base.progress import Progress
from ...core.base.text import counted, readable
from ...core.intervention.sweep import Curve
from ...core.ranking.scores import Score
from ...core.runs.positive import undecided
from ...core.runs.protocol import ProtocolName
from ...core.runs.run import Run
from ...process.handle import ModelHandle
from ..context import Controller
from . import run_effects
from .controller import Intervention
from .run_effects import Bands, RunChoice, RunEffects, RunRanking
from .run_move import RunMove
from .state import EditState

NO_RUN = "Open a run to see what the edit does to many images."
NO_SWEEP = (
    "{why}: every edit needs a pass of every image through the network. Its ranking gives sets for the image shown; "
    "the command `intervene` makes the curve over a sample of images."
)
_BANDS_WAIT = 600  # milliseconds without a change before intervals are worked out
_CURVES_KEPT = 24


class EditOverRun(Controller):
    """Ranks the run for the intervention and follows its edits.

    An edit whose set is the best of a run's ranking never outlives that ranking: with another run the set is taken
    from that one's ranking as soon as it is there, without a run the edit ends, and either is said.

    Attributes
    ----------
    changed
        Emits when anything below changed.
    jobs
        Ranking, sweeping, and the intervals of the curve.
    labels, label, score
        Labels that can score the prediction and what its class is then called (see `labels_for`), the chosen one (empty
        for none), and the score that ranks the latents.
    protocol
        The protocol that is followed; None for all images.
    ranking
        The run's latents in order; None until they are.
    effects
        The run, ready for edits; None until it is, and where what follows the SAE is not linear.
    curve, bands
        The measure over k, and its intervals; None until they are there.
    move
        Measures before and after the present edit, and the images whose decision it changes.
    note
        What there is to say.
    """

    changed = Signal()

    def __init__(self, intervention: Intervention) -> None:
        super().__init__(intervention.context)
        self.intervention = intervention
        self.jobs = self.new_jobs()
        self.move = RunMove(self.context)
        self._undo.callback(self.move.close)
        self.labels: dict[str, str | None] = {}
        self.label, self.score = "", "diff"
        self.protocol: ProtocolName | None = None
        self.ranking: RunRanking | None = None
        self.effects: RunEffects | None = None
        self.curve: Curve | None = None
        self.bands: Bands | None = None
        self.note = ""
        self._of: Run | None = None  # the run whose ranking it is
        self._rested: Run | None = None  # a run that is gone, while an edit still has to leave its ranking
        self._logit = -1
        self._curves: dict[tuple[Any, ...], Curve] = {}
        self._drawn: tuple[Any, ...] | None = None
        self._later = self.debounced(self._bootstrap, _BANDS_WAIT)
        self.listen(intervention.changed, self.follow)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.model, self._on_run)
        self.jobs.progressed.connect(self._on_progress)
        self._on_run()

    @property
    def measure(self) -> str:
        """The measure that is drawn."""
        return self.effects.measure if self.effects is not None else "accuracy"

    @property
    def _used(self) -> str:
        return f"{self.effects.used}." if self.effects is not None else ""

    @property
    def marked_k(self) -> int | None:
        """The k that is marked on the curve; None where the set is not the best of the run."""
        state = self.intervention.state
        marked = state.source == "run" and not state.without_spurious and self.curve is not None
        return state.k if marked else None

    def choose_protocol(self, protocol: ProtocolName | None) -> None:
        """Rank and score on the images of a protocol, or on all."""
        self.protocol = protocol
        self._prepare()

    def choose(self, *, label: str | None = None, score: Score | None = None) -> None:
        """Score predictions by another label, or rank the latents by another score."""
        self.label = self.label if label is None else label
        self.score = self.score if score is None else score
        self._prepare()

    # The run and its ranking

    def _on_run(self, *_: object) -> None:
        self.jobs.cancel()
        self.session.afterwards(self._follow_run)

    def _follow_run(self) -> None:
        run, model = self.session.run, self.session.model
        if self._of is not None and self._of is not run and self.intervention.rests_on_run:
            self._rested = self._of
        self._drop()
        self.labels, self.label = {}, ""
        if run is None or model is None:
            self._say(NO_RUN if run is None else "Load the model of the run to edit its predictions.")
            if run is None:
                self._end_edit("was closed")
            return
        self._find_labels()
        self._prepare()

    def _find_labels(self) -> None:
        run, model = self.session.run, self.session.model
        assert model is not None
        self._logit = self.intervention.state.logit
        self.labels = run_effects.labels_for(run, model, self._logit) if self._logit < len(model.classes) else {}
        self.label = next(iter(self.labels), "")

    def _prepare(self) -> None:
        run, handle = self.session.run, self.session.handle
        self._drop()
        assert handle is not None
        model = handle.facts
        if not self.label:
            names = ", ".join(map(readable, undecided(run.labels, run.info["categories"])))
            choose = f" Choose the positive value of {names} in the Images dock to score it by that." if names else ""
            self._say(f"{run.path.name} has no label for this prediction, so it cannot be scored.{choose}")
            self._give_up()
            return
        title = f"Preparing {run.path.name}"
        choice = RunChoice(self.label, self.score, self.protocol, self.labels[self.label])  # type: ignore[arg-type]
        if model.linear:
            work = partial(run_effects.prepare_run, run, model, choice)
            self.jobs.start(title, work, partial(self._take, run, handle), self._not_prepared)
        else:
            rank = partial(run_effects.rank_run, run, model, choice)
            self.jobs.start(title, rank, partial(self._take_ranking, run, handle), self._not_prepared)

    def _drop(self) -> None:
        """Nothing that was worked out holds; the edit does without the ranking."""
        self.ranking = self.effects = self.curve = self.bands = self._of = None
        self.move.forget()
        self._curves.clear()
        self._drawn = None
        if self.intervention.sources.run_entry is not None:
            self.intervention.sources.run_entry = None
            self.intervention.update()
        self.changed.emit()

    def _take(self, run: Run, handle: ModelHandle, effects: RunEffects) -> None:
        if run is self.session.run and handle is self.session.handle:
            self.effects = effects
            self._take_ranking(run, handle, effects.ranking)

    def _take_ranking(self, run: Run, handle: ModelHandle, ranking: RunRanking) -> None:
        if run is not self.session.run or handle is not self.session.handle:
            return
        facts = handle.facts
        self.ranking, self._of = ranking, run
        entries: dict[tuple[Any, int], Any] = {}

        def entry(direction: Any, logit: int) -> Any:
            key = direction, logit if ranking.scored.numbers else 0
            if key not in entries:
                entries[key] = ranking.entry(direction, logit)
            return entries[key]

        self.intervention.sources.run_entry = entry
        no_effect = facts.layer == "head" and facts.tail == "token"
        why = facts.pass_note if no_effect else NO_SWEEP.format(why=facts.obstacle.partition(":")[0])
        self._say("" if facts.linear else why)
        state = self.intervention.state
        if state.source == "image" and state.k == 0 and not self.intervention.can_undo:
            self.intervention.use_run()
        else:
            self.intervention.update()
        if self._rested is not None and self._rested is not run and self.intervention.rests_on_run:
            self.status.tell(f"The edit now takes the best {counted(state.k, 'latent')} of {run.path.name}.")
        self._rested = None

    def _not_prepared(self, error: Exception) -> None:
        self._failed(error)
        self._give_up()

    def _give_up(self) -> None:
        """There will be no ranking: an edit that had one of a run before cannot go on."""
        if self._rested is not None:
            self._end_edit(f"was replaced by {self.session.run.path.name}, which cannot be ranked for this prediction")
        elif self.intervention.state.source == "run" and not self.intervention.state.k:
            self.intervention.leave_run()

    def _end_edit(self, why: str) -> None:
        rested, self._rested = self._rested, None
        tell = rested is not None and self.intervention.rests_on_run
        self.intervention.leave_run()
        if tell and rested is not None:
            self.status.tell(f"The edit has ended: it used the ranking of {rested.path.name}, which {why}.")

    # Following the edit

    def follow(self, *_: object) -> None:
        """Look up the present k, predict the run, list the flips."""
        run, state, ranking = self.session.run, self.intervention.state, self.ranking
        if run is not None and self.session.model is not None and state.logit != self._logit:
            self._find_labels()
            if ranking is None or ranking.choice.label not in self.labels or state.logit not in ranking.scored.places:
                self._prepare()
                return
            self.label = ranking.choice.label
        if self.effects is not None:
            self._follow_curve(state)
            self.move.follow(self.effects, self.intervention.view)
        self.changed.emit()

    def _follow_curve(self, state: EditState) -> None:
        key = _curve_key(state)
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
        self._say(self._used)
        self._later()

    def _bootstrap(self) -> None:
        if self.effects is not None and self.curve is not None and not self.jobs.busy:
            work = partial(run_effects.bands_of, self.effects, self.intervention.state, self.measure)
            self.jobs.start("Intervals", work, partial(self._take_bands, self._drawn), self._failed)

    def _take_bands(self, key: tuple[Any, ...] | None, bands: Bands) -> None:
        if key == self._drawn and self.curve is not None:
            self.bands = bands
            about = f"No intervals: {bands.note}." if bands.note else "Grey: 95 % intervals by patient."
            self._say(f"{about} {self._used}")

    def _failed(self, error: Exception) -> None:
        text = str(error)
        self._say(text[:1].upper() + text[1:])

    def _on_progress(self, progress: Progress) -> None:
        share = f" {progress.done} of {progress.total}" if progress.total else ""
        self._say(f"{progress.text}{share} …")

    def _say(self, text: str) -> None:
        self.note = text
        self.changed.emit()


def _curve_key(state: EditState) -> tuple[Any, ...]:
    factor = state.factor if state.mode == "scale" else None
    return state.mode, state.form, state.direction, factor, state.logit

"""The ranking of the open run's latents: for which label, which class, by which score; made in a thread and kept."""

from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from numpy.typing import NDArray
from psygnal import Signal

from ...core.base.text import sentence
from ...core.ranking.of_run import NO_LABEL_SCORES, RankingChoice, attribution_of
from ...core.ranking.titles import SCORES, in_words
from ...core.runs.classes import classes_of
from ..context import Context, Controller
from .tasks import rank

NO_RUN = "Open a run to rank the latents over many images. Until then, the table covers this image only."


class LatentRanking(Controller):
    """Ranks the latents of the open run.

    Attributes
    ----------
    chosen
        Emits when `choice` or `note` changed.
    ranked
        Emits when `columns` changed.
    choice
        What the latents are ranked by.
    columns
        Column key -> (h,) values of the chosen ranking; empty while there are none.
    jobs
        The ranking.
    note
        What there is to say.
    """

    chosen = Signal()
    ranked = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.choice = RankingChoice()
        self.columns: dict[str, NDArray[Any]] = {}
        self.note = NO_RUN
        self._kept: WeakKeyDictionary[Any, dict[tuple[RankingChoice, bool], dict[str, NDArray[Any]]]]
        self._kept = WeakKeyDictionary()
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.model, self._on_model)
        self.jobs.progressed.connect(self._on_progress)
        self._on_run()

    @property
    def sort_key(self) -> str:
        """Column that the chosen ranking is the order of."""
        choice = self.choice
        return "run.mean_all" if choice.score == "mean" and not choice.label else f"run.{choice.score}"

    @property
    def classes(self) -> list[tuple[int, str]]:
        """Classes of the chosen label, number and name; empty without a label."""
        run, label = self.session.run, self.choice.label
        known = run is not None and label in run.labels  # not while the label is still that of the run before
        return list(classes_of(run, label)) if known else []

    @property
    def scores(self) -> list[str]:
        """Scores that can be asked for."""
        return list(SCORES) if self.choice.label else list(NO_LABEL_SCORES)

    def choose(self, **changes: Any) -> None:
        """Rank by another label, class (`category`) or score; what another label does not have falls back."""
        self.choice = replace(self.choice, **changes)
        if "label" in changes:
            numbers = [number for number, _ in self.classes]
            score = self.choice.score if self.choice.score in self.scores else self.scores[0]
            self.choice = replace(self.choice, category=numbers[0] if numbers else 1, score=score)  # type: ignore[arg-type]
        self._rank()

    def _on_run(self, *_: object) -> None:
        run = self.session.run
        self.jobs.cancel()
        self.columns = {}
        if run is None:
            self._say(NO_RUN)
            self.ranked.emit()
            return
        model = self.session.model
        classes = model.classes if model is not None else run.classes
        labels = [*(name for name in run.labels if name in classes), *run.labels]
        self.choose(label=labels[0] if labels else "")

    def _on_model(self, *_: object) -> None:
        """Attributions come from the model: rank again when one was loaded."""
        run, model = self.session.run, self.session.model
        if run is not None and attribution_of(model, run, self.choice) is not None:
            self._rank()

    def _rank(self) -> None:
        run, choice = self.session.run, self.choice
        attribution = attribution_of(self.session.model, run, choice)
        if choice.score == "attribution" and attribution is None:
            self.jobs.cancel()
            self._say("Load the model to rank by contribution to the logit; it must have one for this label.")
            return
        key = choice, attribution is not None
        kept = self._kept.setdefault(run, {}).get(key)
        if kept is not None:
            self.jobs.cancel()
            self._take(run, key, kept)
            return
        self._say(f"Ranking over {run.path.name} …")
        work = partial(rank, run, choice, attribution)
        self.jobs.start(f"Ranking {run.path.name}", work, partial(self._take, run, key), self._failed)

    def _take(self, run: Any, key: tuple[RankingChoice, bool], columns: dict[str, NDArray[Any]]) -> None:
        self._kept.setdefault(run, {})[key] = columns
        if run is not self.session.run or key[0] != self.choice:
            return
        self.columns = columns
        missing = "" if self.sort_key in columns else f" {sentence(f'{in_words(key[0].score)} is not defined here')}"
        self._say(f"{run.path.name}: {key[0].sample(run).used}.{missing}")
        self.ranked.emit()

    def _failed(self, error: Exception) -> None:
        self.columns = {}
        text = str(error)
        self._say(text[:1].upper() + text[1:])
        self.ranked.emit()

    def _on_progress(self, progress: Any) -> None:
        self._say(f"{progress.text} …")

    def _say(self, text: str) -> None:
        self.note = text
        self.chosen.emit()

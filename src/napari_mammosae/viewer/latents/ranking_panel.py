"""The ranking of the open run: which label, which class, by which score; computed beside the window and kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout

from ...core.ranking.of_run import NO_LABEL_SCORES, RankingChoice, attribution_of
from ...core.ranking.titles import SCORES
from ...core.runs.classes import classes_of
from ..app.jobs import Jobs
from ..widgets.parts import Part, hint, row
from .tasks import rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..image.controller import Controller

NO_RUN = "Open a run to rank the latents over many images; until then the table knows this image."
ALL_IMAGES = "all images"

_kept: WeakKeyDictionary[Any, dict[tuple[RankingChoice, bool], dict[str, NDArray[Any]]]] = WeakKeyDictionary()


class RankingPart(Part):
    """Choose a ranking; `columns` holds its values once they are there.

    Attributes
    ----------
    columns
        Column key -> (h,) values of the chosen ranking; empty while there are none.
    """

    ranked = Signal()
    """`columns` changed."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.columns: dict[str, NDArray[Any]] = {}
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self.label_box, self.class_box, self.score_box = QComboBox(), QComboBox(), QComboBox()
        for box, tip, width in (
            (self.label_box, "Label of the run's images", 8),
            (self.class_box, "The class that is asked about, against the rest", 6),
            (self.score_box, "What to rank the latents by", 7),
        ):
            box.setToolTip(tip)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(width)
        self.choosers = row(self.label_box, self.class_box, self.score_box)
        self.note = QLabel(NO_RUN)
        self.note.setWordWrap(True)
        hint(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.choosers)
        layout.addWidget(self.note)

        self.label_box.activated.connect(self._on_label)
        self.class_box.activated.connect(self._rank)
        self.score_box.activated.connect(self._rank)
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.model, self._on_model)
        self.listen(self.jobs.progressed, self._on_progress)
        self._on_run()

    @property
    def choice(self) -> RankingChoice:
        """What the choosers say."""
        category = self.class_box.currentData()
        return RankingChoice(
            self.label_box.currentData() or "",
            1 if category is None else category,
            self.score_box.currentData() or "diff",
        )

    @property
    def sort_key(self) -> str:
        """Column that the chosen ranking is the order of."""
        choice = self.choice
        return "run.mean_all" if choice.score == "mean" and not choice.label else f"run.{choice.score}"

    def _on_run(self, *_: object) -> None:
        run = self.session.run
        self.jobs.cancel()
        self.choosers.setVisible(run is not None)
        self.label_box.clear()
        self.columns = {}
        if run is None:
            self._say(NO_RUN)
            self.ranked.emit()
            return
        for name in run.labels:
            self.label_box.addItem(name.replace("_", " "), name)
        self.label_box.addItem(ALL_IMAGES, "")
        model = self.session.model
        classes = model.classes if model is not None else run.classes
        self.label_box.setCurrentIndex(next((i for i, name in enumerate(run.labels) if name in classes), 0))
        self._on_label()

    def _on_label(self, *_: object) -> None:
        label, score = self.label_box.currentData(), self.score_box.currentData()
        self.class_box.clear()
        if label:
            for number, name in classes_of(self.session.run, label):
                self.class_box.addItem(name, number)
        self.class_box.setVisible(bool(label))
        scores = list(SCORES) if label else list(NO_LABEL_SCORES)
        self.score_box.clear()
        for key in scores:
            title, tip = SCORES[key]
            self.score_box.addItem(title, key)
            self.score_box.setItemData(self.score_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.score_box.setCurrentIndex(scores.index(score) if score in scores else 0)
        self._rank()

    def _on_model(self, *_: object) -> None:
        """Attributions come from the model: rank again when one was loaded."""
        run, model = self.session.run, self.session.model
        if run is not None and attribution_of(model, run, self.choice) is not None:
            self._rank()

    def _rank(self, *_: object) -> None:
        run, choice = self.session.run, self.choice
        attribution = attribution_of(self.session.model, run, choice)
        if choice.score == "attribution" and attribution is None:
            self.jobs.cancel()
            self._say("Load the model to rank by contribution to the logit; it must have one for this label.")
            return
        key = choice, attribution is not None
        kept = _kept.setdefault(run, {}).get(key)
        if kept is not None:
            self.jobs.cancel()
            self._take(run, key, kept)
            return
        self._say(f"Ranking over {run.path.name} …")
        work = partial(rank, run, choice, attribution)
        self.jobs.start(f"Ranking {run.path.name}", work, partial(self._take, run, key), self._failed)

    def _take(self, run: Any, key: tuple[RankingChoice, bool], columns: dict[str, NDArray[Any]]) -> None:
        _kept.setdefault(run, {})[key] = columns
        if run is not self.session.run or key[0] != self.choice:
            return
        self.columns = columns
        missing = "" if self.sort_key in columns else f" {SCORES[key[0].score][0]} is not defined here."
        self._say(f"{len(run):,} images of {run.path.name}.{missing}")
        self.ranked.emit()

    def _failed(self, error: Exception) -> None:
        self.columns = {}
        text = str(error)
        self._say(text[:1].upper() + text[1:])
        self.ranked.emit()

    def _on_progress(self, progress: Any) -> None:
        self._say(f"{progress.text} …")

    def _say(self, text: str) -> None:
        self.note.setText(text)

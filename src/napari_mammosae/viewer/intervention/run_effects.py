"""What an edit does to all images of a run: worked out in a worker, looked up at every move. Knows no Qt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.base.errors import SettingsError
from ...core.base.progress import Report
from ...core.intervention.cohort import Cohort
from ...core.intervention.edit import Edit
from ...core.intervention.sweep import Curve
from ...core.models.facts import ModelFacts
from ...core.ranking.orders import Ranking
from ...core.ranking.scores import Score
from ...core.runs.protocol import ProtocolName, choose
from ...core.runs.run import Run
from ...core.runs.sample import Used
from ...core.stats.measures import FloatArray, IntArray
from .state import Direction, EditState

if TYPE_CHECKING:
    import pandas as pd

BANDS = 16
"""Values of k that get an interval."""


@dataclass(frozen=True, slots=True)
class RunChoice:
    """What a run is asked: the label that scores predictions, the score that ranks latents, and which images count.

    `logit` names a class that the run was not made with, such as a prompt's.
    """

    label: str
    score: Score = "diff"
    protocol: ProtocolName | None = None
    logit: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunRanking:
    """The latents of a run in order, for sets of the best k.

    Attributes
    ----------
    choice
        What it was made for.
    logits
        The model's logits that go with the label, by position.
    rankings
        The latents' ranking for every class of the label.
    """

    choice: RunChoice
    logits: tuple[int, ...]
    rankings: dict[int, Ranking]

    def entry(self, direction: Direction, logit: int) -> IntArray:
        """Return the k at which each latent enters the set, (h,)."""
        from ...core.ranking.orders import first_ranks, order_of

        h = next(iter(self.rankings.values())).order.size
        if direction == "both":
            return first_ranks([ranking.order for ranking in self.rankings.values()], h)
        number = 1 if len(self.logits) == 1 else self.logits.index(logit) if logit in self.logits else 0
        if number not in self.rankings:
            raise SettingsError(f"no image of {self.choice.label!r} has class {number}.")
        scores = self.rankings[number].scores
        return first_ranks([order_of(scores if direction == "up" else -scores)], h)


@dataclass(frozen=True, slots=True, eq=False)
class RunEffects:
    """A run ready for edits.

    Attributes
    ----------
    ranking
        Its latents in order.
    cohort
        Its images of known label, with the logits that go with the label.
    rows
        (n,) their positions in the run's table.
    used
        How many they are, and why the others are not among them.
    """

    ranking: RunRanking
    cohort: Cohort
    rows: IntArray
    used: Used

    @property
    def choice(self) -> RunChoice:
        """What it was prepared for."""
        return self.ranking.choice

    @property
    def measure(self) -> str:
        """The measure that is shown of all: for several classes there is no one AUROC."""
        return "auroc" if self.cohort.constant.size == 1 else "accuracy"

    def entry(self, direction: Direction, logit: int) -> IntArray:
        """Return the k at which each latent enters the set, (h,)."""
        return self.ranking.entry(direction, logit)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """95 % intervals by patient at some values of k; empty with the reason in `note`."""

    ks: IntArray
    low: FloatArray
    high: FloatArray
    note: str = ""


def labels_for(run: Run, logit: str) -> list[str]:
    """Labels of a run that can score a logit, the one of its name first."""
    from ...core.runs.classes import check_two_classes, logits_of_label

    found = []
    for name in run.labels:
        try:
            if logit not in run.classes:
                check_two_classes(run, name)
                found.append(name)
                continue
            places = logits_of_label(run, name)
        except SettingsError:
            continue
        if any(run.classes[place] == logit for place in places):
            found.append(name)
    return sorted(found, key=lambda name: (name != logit, name))


def prepare_run(run: Run, model: ModelFacts, choice: RunChoice, report: Report) -> RunEffects:
    """Read a run's mean activations and rank its latents for every class of the label.

    Raises
    ------
    RunError
        If the run was made with another model or SAE.
    SettingsError
        If the label cannot score the model's predictions, or only one class occurs.
    """
    from ...core.intervention.of_run import cohort_of_run
    from ...core.runs.sample import sample_of

    report(f"Reading {run.path.name}")
    over = choose(choice.protocol)
    cohort = cohort_of_run(run, model, choice.label, split=over.eval_split, unit=over.unit, logit=choice.logit)
    sample = sample_of(run, choice.label, over.eval_split, over.unit)
    return RunEffects(rank_run(run, model, choice, report), cohort, sample.rows, sample.used)


def rank_run(run: Run, model: ModelFacts, choice: RunChoice, report: Report) -> RunRanking:
    """Rank a run's latents for every class of the label; all that can be had where the model's tail is not linear.

    Raises
    ------
    RunError, SettingsError
        As `prepare_run`.
    ModelError
        If latents are to be ranked by attribution, which such a model has not.
    """
    from ...core.ranking.of_run import rank_classes
    from ...core.runs.classes import added_class, logits_of_label

    run.check_model(model)
    over, added = choose(choice.protocol), added_class(run, model, choice.logit)
    logits = logits_of_label(run, choice.label) if added is None else [added]
    report(f"Ranking {run.n_latents:,} latents")
    return RunRanking(
        choice,
        tuple(logits),
        rank_classes(run, choice.label, choice.score, model, split=over.rank_split, unit=over.unit, logit=choice.logit),
    )


def curve_of(effects: RunEffects, state: EditState, report: Report) -> Curve:
    """Measure every k."""
    from ...core.intervention.sweep import sweep_cohort

    report("Sweeping over every k")
    return sweep_cohort(
        effects.cohort,
        effects.entry(state.direction, state.logit),
        state.mode,
        state.form,
        factor=state.factor if state.mode == "scale" else None,
    )


def bands_of(effects: RunEffects, state: EditState, measure: str, report: Report) -> Bands:
    """Bootstrap a measure at values of k spread evenly over the logarithmic axis."""
    from ...core.intervention.edit import Edit
    from ...core.intervention.measures import check_labels, measures_of_resamples, why_no_intervals
    from ...core.ranking.orders import union_mask
    from ...core.stats.bootstrap import patient_weights, percentile_interval

    cohort, h = effects.cohort, effects.cohort.n_latents
    labels = check_labels(cohort.labels, cohort.constant.size)
    if note := why_no_intervals(labels, cohort.patients, cohort.constant.size):
        return Bands(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), note)
    ks = np.unique([0, *np.geomspace(1, h, BANDS - 1).round().astype(np.int64)])
    first, weights = effects.entry(state.direction, state.logit), patient_weights(cohort.patients)
    value = state.factor if state.mode == "scale" else None
    ends = []
    for done, k in enumerate(ks):
        report("Intervals by patient", done, ks.size)
        logits = cohort.logits_after(Edit(union_mask(first, int(k)), state.mode, state.form, value))
        interval = percentile_interval(measures_of_resamples(labels, logits, weights)[measure])
        ends.append((interval.lo, interval.hi))
    low, high = np.array(ends).T
    return Bands(ks, low, high)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Logits of all images, their measures by name, and the decided classes."""

    logits: FloatArray
    measures: dict[str, float]
    decided: IntArray

    @classmethod
    def of(cls, cohort: Cohort, logits: FloatArray) -> "Scored":
        """Measure logits (n, C) of the images."""
        from ...core.stats.predictions import decisions

        return cls(logits, dict(cohort.measure(logits)._asdict()), decisions(logits))


def effect_of(effects: RunEffects, edit: Edit, report: Report) -> "pd.DataFrame":
    """Measure before and after an edit with intervals by patient; see `core.intervention.effect`."""
    from ...core.intervention.effects import effect

    report("Intervals by patient")
    return effect(effects.cohort, edit)

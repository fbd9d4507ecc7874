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
from ...core.runs.classes import LabelLogits
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

    `logit` names the class that is scored where it is not called as the label, such as a prompt's.
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
    scored
        The model's logits that go with the label.
    names
        What these decide for, in their order; negative and positive where there is one.
    rankings
        The latents' ranking for every class of the label.
    """

    choice: RunChoice
    scored: LabelLogits
    names: tuple[str, ...]
    rankings: dict[int, Ranking]

    def entry(self, direction: Direction, logit: int) -> IntArray:
        """Return the k at which each latent enters the set, (h,)."""
        from ...core.ranking.orders import first_ranks, order_of

        h = next(iter(self.rankings.values())).order.size
        if direction == "both":
            return first_ranks([ranking.order for ranking in self.rankings.values()], h)
        numbers = dict(zip(self.scored.places, self.scored.numbers, strict=False))
        number = numbers.get(logit, 0) if numbers else 1
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


def labels_for(run: Run, model: ModelFacts, place: int) -> dict[str, str | None]:
    """Labels of a run that can score a logit, the one of its name first, and what its class is called for each.

    The latter is None where label and class are known to go together; else the logit stands against the label's two
    classes, as one that the run was not made with may.
    """
    from ...core.runs.classes import logits_of_label

    name = model.classes[place]
    found: dict[str, str | None] = {}
    for label in run.labels:
        for called in (None, *(() if name in run.classes else (name,))):
            try:
                places = logits_of_label(run, label, called, model).places
            except SettingsError:
                continue
            if place in places:
                found[label] = called
                break
    return dict(sorted(found.items(), key=lambda pair: (pair[0] != name, pair[1] is not None, pair[0])))


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
    from ...core.runs.classes import logits_of_label

    run.check_model(model)
    over, scored = choose(choice.protocol), logits_of_label(run, choice.label, choice.logit, model)
    titles = tuple(model.titles[place] for place in scored.places)
    report(f"Ranking {run.n_latents:,} latents")
    return RunRanking(
        choice,
        scored,
        titles if scored.numbers else ("negative", "positive"),
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

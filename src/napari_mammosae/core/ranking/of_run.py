"""Ranking the latents of a run for a class of a label."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ..base.arguments import expect
from ..base.errors import MammoSAEError, ModelError, SettingsError
from ..base.provenance import provenance
from ..models.facts import ModelFacts
from ..runs.classes import categories_of, class_number, logit_of, place_of
from ..runs.making.model_spec import model_of_run
from ..runs.protocol import ProtocolName, choose
from ..runs.run import Run
from ..runs.sample import Sample, Unit, sample_of
from .orders import Ranking
from .prompt_changes import removal_changes
from .scores import PLAIN, Contrast, LabelledPool, Score, class_rankings, score_latents
from .table import rank_latents

if TYPE_CHECKING:
    import pandas as pd

    from ..models.model import MammoSAE


def rank(
    run: Run,
    label: str = "",
    *,
    score: Score = "diff",
    category: int | str | None = None,
    contrast: Contrast | None = None,
    split: str | None = None,
    unit: Unit = "image",
    model: "MammoSAE | str | None" = None,
    logit: str | None = None,
    intervals: int | None = 100,
) -> "pd.DataFrame":
    """Rank all latents of a run for a class of a label, with every score beside the one ranked by.

    Parameters
    ----------
    run, label
        The run, and one of its labels; an empty label ranks over all images, by a score that needs no classes.
    score
        What latents are ranked by, higher first; one of `core.ranking.scores.SCORES`.
    category
        The class that is asked about, by number or name. By default class 1, present.
    contrast
        For scores that need no comparison: "class", "rest" (class minus rest) or "all".
    split
        Only images of this split.
    unit
        "row" counts an image once for each of its finding rows, as the published protocol does.
    model
        The run's model, or its name; adds what each latent contributes to the logit of the class. It is loaded by
        the name the run knows where the score is "attribution" and none is given.
    logit
        One of the model's classes for which the attribution is taken, where it is not called as the label: that of a
        prompt or of a trained head, which need no label then. The table of a prompt says, as `cosine_change`, how the
        cosine changes on average when a latent is removed.
    intervals
        Latents, best first, that get 95 % intervals; None for all that fire.

    Returns
    -------
    pandas.DataFrame
        One row a latent, all h of them, best first: `rank`, `latent`, `score`, `auroc` and the other columns of
        `rank_latents`. ``attrs["provenance"]`` says what produced it and, under `used`, how many images it rests on.

    Raises
    ------
    RunError
        The run has no such label, or was made with another model.
    SettingsError
        The score, class or split does not exist, or no logit speaks for the class.
    ModelError
        Nothing is exact per latent, because the SAE reads an inner layer.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run = ms.open_run("run")
    >>> ranking = ms.rank(run, "mass", score="auroc")
    >>> ranking["score"].is_monotonic_decreasing
    True
    >>> ranking.attrs["provenance"]["settings"]["class"]
    1
    """
    expect(run, "run")
    if not label and logit is None and score not in NO_LABEL_SCORES:
        known = f"name one ({', '.join(run.labels)})" if run.labels else "the run has none"
        raise SettingsError(f"score {score!r} compares classes of a label: {known}, or choose a score such as 'mean'.")
    number = class_number(run, label, category) if label else 1
    if model is None and score == "attribution":
        model = model_of_run(run, None)
    elif isinstance(model, str):
        model = model_of_run(run, model)
    attribution = None
    if model is not None:
        expect(model, "model")
        run.check_model(model)
        attribution = attribution_of_class(model, run, label, number, logit)
    sample = sample_of(run, label, split, unit)
    pool = replace(pool_of_sample(run, sample), attribution=attribution)
    table = rank_latents(pool, score, label=number, contrast=contrast, intervals=intervals)
    if model is not None and logit is not None:
        head = model.head_of(place_of(model, logit))
        if head.prompt is not None:
            rows = np.unique(sample.rows)
            pooled, features = scipy.sparse.csr_array(run.pooled("mean"))[rows], run.features("mean")[rows]
            changes = removal_changes(head, model.joint_space(), pooled, features.astype(np.float64))
            table.insert(list(table.columns).index("attribution") + 1, "cosine_change", changes[table["latent"]])
    settings: dict[str, Any] = {
        "run": run.path, "label": label, "class": number, "score": score, "contrast": contrast, "split": split,
        "unit": unit, "intervals": intervals, **({"logit": logit} if logit else {}),
    }  # fmt: skip
    table.attrs["provenance"] = provenance("rank", settings) | {
        "made_with": run.made_with, "used": sample.used.describe()
    }  # fmt: skip
    return table


def pool_of_run(run: Run, label: str, *, split: str | None = None, unit: Unit = "image") -> LabelledPool:
    """Return what latents are ranked from: pooled activations of the images that count, with their labels.

    Without a label (an empty text) all images count, and scores that compare classes are not to be had.

    Raises
    ------
    RunError, SettingsError
        As `sample_of`.
    """
    return pool_of_sample(run, sample_of(run, label, split, unit))


def pool_of_sample(run: Run, sample: Sample) -> LabelledPool:
    """Return what latents are ranked from for images that were chosen."""
    pooled = [run.pooled(kind) for kind in ("mean", "max", "active_cells")]
    rows = sample.rows
    if not np.array_equal(rows, np.arange(len(run))):
        pooled = [scipy.sparse.csr_array(matrix)[rows] for matrix in pooled]
    patients = run.images["patient"].to_numpy()[rows]
    return LabelledPool(pooled[0], sample.labels, pooled[1], pooled[2], run.grid[0] * run.grid[1], patients=patients)


def rank_classes(
    run: Run,
    label: str,
    score: Score = "diff",
    model: "MammoSAE | ModelFacts | None" = None,
    *,
    split: str | None = None,
    unit: Unit = "image",
    logit: str | None = None,
) -> dict[int, Ranking]:
    """Rank the latents for every class of a label, each against the rest, by class number.

    Raises
    ------
    RunError, SettingsError, ModelError
        As `rank`; also where the score is "attribution" and no model is given, or only one class occurs.
    """
    pool = pool_of_run(run, label, split=split, unit=unit)
    if score != "attribution":
        return class_rankings(pool, score)
    if model is None:
        raise SettingsError("the order 'attribution' needs the model.")
    run.check_model(model)
    return {
        number: Ranking.of(
            score_latents(
                replace(pool, attribution=attribution_of_class(model, run, label, number, logit)), "attribution", number
            )
        )
        for number in class_rankings(pool, "diff")
    }


def attribution_of_class(
    model: "MammoSAE | ModelFacts", run: Run, label: str, number: int, logit: str | None = None
) -> NDArray[np.float64]:
    """Return what one unit of each latent's mean adds to the logit that speaks for a class of a label, (h,).

    `logit` names a class of the model in place of the one called as the label; it speaks for class 1, and against 0.

    Raises
    ------
    ModelError
        The model has another number of latents than the run, or nothing is exact per latent.
    SettingsError
        No logit speaks for the class; see `logit_of`.
    """
    if model.n_latents != run.n_latents:
        raise ModelError(f"{model.name} has {model.n_latents} latents, {run.path.name} {run.n_latents}.")
    if logit is not None:
        return np.asarray(model.linear_tail()[0][place_of(model, logit)] * (1 if number else -1))
    found = logit_of(model, label, number, categories_of(run, label))
    return np.asarray(model.linear_tail()[0][found.logit] * found.sign)


def attribution_of(model: ModelFacts | None, run: Run, choice: "RankingChoice") -> NDArray[np.float64] | None:
    """Return `attribution_of_class` for a choice; None without a model, and where it has none for the class."""
    if model is None or not model.linear or not choice.label:
        return None
    try:
        return attribution_of_class(model, run, choice.label, choice.category)
    except MammoSAEError:
        return None


@dataclass(frozen=True, slots=True)
class RankingChoice:
    """What the run's latents are ranked by.

    Attributes
    ----------
    label
        A label of the run, empty to take all images together.
    category
        The class that is asked about: 1 for a binary label's positives, else the category's number.
    score
        One of `core.ranking.SCORES`.
    protocol
        The protocol whose images count; None for all.
    """

    label: str = ""
    category: int = 1
    score: Score = "diff"
    protocol: ProtocolName | None = None

    def sample(self, run: Run) -> Sample:
        """Return the images of a run that count."""
        over = choose(self.protocol)
        return sample_of(run, self.label, over.rank_split, over.unit)


NO_LABEL_SCORES = tuple(score for score in PLAIN if score != "attribution")
"""Scores that make sense without labels."""

"""Ranking the latents of a run for a class of a label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from ..base.errors import SettingsError
from ..runs.classes import Unit, labelled_rows, logit_of
from .orders import Ranking
from .scores import LabelledPool, Score, class_rankings, score_latents

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..models.model import MammoSAE
    from ..runs.run import Run


def pool_of_run(run: Run, label: str, *, split: str | None = None, unit: Unit = "image") -> LabelledPool:
    """Return what latents are ranked from: pooled activations of the images that count, with their labels.

    Raises
    ------
    RunError, SettingsError
        As `labelled_rows`.
    """
    rows, labels = labelled_rows(run, label, split, unit)
    pooled = [scipy.sparse.csr_array(run.pooled(kind))[rows] for kind in ("mean", "max", "active_cells")]
    patients = run.images["patient"].to_numpy()[rows]
    return LabelledPool(pooled[0], labels, pooled[1], pooled[2], run.grid[0] * run.grid[1], patients=patients)


def rankings_of_classes(
    pool: LabelledPool, score: Score = "diff", attribution: ArrayLike | None = None
) -> dict[int, Ranking]:
    """Rank the latents for every class, by class number.

    With the score "attribution", `attribution` (C, h) says what each latent adds to each logit; a single logit speaks
    for class 1, and with the other sign for class 0.

    Raises
    ------
    SettingsError
        As `class_rankings`.
    """
    if score != "attribution":
        return class_rankings(pool, score)
    if attribution is None:
        raise SettingsError("the order 'attribution' needs the model.")
    weights = np.atleast_2d(np.asarray(attribution, dtype=np.float64))
    if weights.shape[0] == 1:
        weights = np.concatenate([-weights, weights])
    classes = class_rankings(pool, "diff")
    return {
        number: Ranking.of(score_latents(replace(pool, attribution=weights[number]), "attribution", number))
        for number in classes
    }


def attribution_of(model: MammoSAE | None, run: Run, choice: RankingChoice) -> NDArray[np.float64] | None:
    """What one unit of each latent's mean adds to the class's logit, (h,); None when the model cannot tell."""
    if model is None or model.layer != "head" or model.n_latents != run.n_latents:
        return None
    place = logit_of(model.classes, choice.label, choice.category, run)
    return None if place is None else np.asarray(model.attribution[place])


def labelled_pool(run: Run, label: str, attribution: NDArray[np.float64] | None = None) -> LabelledPool:
    """The run's pooled activations with one of its labels."""
    from .scores import LabelledPool

    return LabelledPool(
        run.pooled("mean"),
        run.label(label) if label else None,
        run.pooled("max"),
        run.pooled("active_cells"),
        run.grid[0] * run.grid[1],
        attribution,
        run.images["patient"].to_numpy(),
    )


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
    """

    label: str = ""
    category: int = 1
    score: Score = "diff"


NO_LABEL_SCORES: tuple[Score, ...] = ("mean", "firing_images", "firing_cells", "mean_active", "std")
"""Scores that make sense without labels."""

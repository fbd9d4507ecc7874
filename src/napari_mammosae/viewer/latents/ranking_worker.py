"""Scores of all latents over an open run, as the columns of the latent table. Knows no Qt; computed in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...core.models.model import MammoSAE
    from ...core.ranking.scores import LabelledPool, Score
    from ...core.runs.run import Run
    from ..app.jobs import Report

NO_LABEL_SCORES: tuple[Score, ...] = ("mean", "firing_images", "firing_cells", "mean_active", "std")
"""Scores that make sense without labels."""


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


def classes_of(run: Run, label: str) -> tuple[tuple[int, str], ...]:
    """Class numbers of a label that occur in a run, with what to call them; the class of interest first."""
    values = run.label(label)
    found = np.unique(values[~np.isnan(values)]).astype(int)
    names: Sequence[str] = run.info.get("categories", {}).get(label, ())
    if names:
        return tuple((int(c), str(names[c]).replace("_", " ") if c < len(names) else str(c)) for c in found)
    if set(found) <= {0, 1}:
        return tuple((int(c), ("absent", "present")[c]) for c in found[::-1])
    return tuple((int(c), str(c)) for c in found)


def logit_of(classes: Sequence[str], label: str, category: int, run: Run) -> int | None:
    """Place of the logit that belongs to a class of a label; None when the model has none for it."""
    names = [label] if category == 1 else []
    categories = run.info.get("categories", {}).get(label, ())
    if category < len(categories):
        names = [f"{label}_{categories[category]}", str(categories[category]), *names]
    return next((list(classes).index(name) for name in names if name in classes), None)


def attribution_of(model: MammoSAE | None, run: Run, choice: RankingChoice) -> NDArray[np.float64] | None:
    """What one unit of each latent's mean adds to the class's logit, (h,); None when the model cannot tell."""
    if model is None or model.layer != "head" or model.n_latents != run.n_latents:
        return None
    place = logit_of(model.classes, choice.label, choice.category, run)
    return None if place is None else np.asarray(model.attribution[place])


def labelled_pool(run: Run, label: str, attribution: NDArray[np.float64] | None = None) -> LabelledPool:
    """The run's pooled activations with one of its labels."""
    from ...core.ranking.scores import LabelledPool

    return LabelledPool(
        run.pooled("mean"),
        run.label(label) if label else None,
        run.pooled("max"),
        run.pooled("active_cells"),
        run.grid[0] * run.grid[1],
        attribution,
        run.images["patient"].to_numpy(),
    )


def rank(
    run: Run, choice: RankingChoice, attribution: NDArray[np.float64] | None, report: Report
) -> dict[str, NDArray[Any]]:
    """Every score of every latent for a choice: column key -> (h,), by latent number; columns without values left out.

    Raises
    ------
    SettingsError
        If the images do not allow the score, for example where all have the class.
    """
    from ...core.ranking.table import COLUMNS, rank_latents

    report(f"Reading {run.path.name}")
    pool = labelled_pool(run, choice.label, attribution)
    report(f"Ranking {run.n_latents:,} latents over {len(run):,} images")
    table = rank_latents(pool, choice.score, label=choice.category)
    latents = table["latent"].to_numpy()
    columns = {}
    for name in COLUMNS:
        if name != "score":
            by_latent = np.empty(latents.size)
            by_latent[latents] = table[name].to_numpy(np.float64)
            if not np.isnan(by_latent).all():
                columns[f"run.{name}"] = by_latent
    return columns

"""A run as an intervention sees it: the logits that go with a label, the images that count, the order of entry."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..ranking.files import read_published_folder
from ..ranking.orders import Ranking
from ..ranking.scores import LabelledPool, Score, class_rankings, score_latents
from ..stats.measures import FloatArray, IntArray
from .cohort import Cohort, row_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models.model import MammoSAE
    from ..runs.run import Run

Unit = Literal["image", "row"]
PUBLISHED = "published:"


def logits_of_label(run: "Run", label: str) -> list[int]:
    """Return which logits are scored against a label: its own, the only one, or all of a model of several classes.

    Raises
    ------
    SettingsError
        If the model predicts something else.
    """
    classes = run.classes
    if run.info["task"] == "multiclass":
        categories = run.info.get("categories", {}).get(label, ())
        if len(categories) == len(classes) or all(name.startswith(f"{label}_") for name in classes):
            return list(range(len(classes)))
    elif label in classes:
        return [classes.index(label)]
    elif len(classes) == 1:
        return [0]
    raise SettingsError(
        f"the model of {run.path.name} predicts {', '.join(classes) or 'nothing'}, which cannot be scored against the "
        f"label {label!r}."
    )


def labelled_rows(
    run: "Run", label: str, split: str | None = None, unit: Unit = "image"
) -> tuple[IntArray, FloatArray]:
    """Return the positions of images of known label in the run's table, as often as they count, and their labels.

    Parameters
    ----------
    run, label
        The images and what is known about them.
    split
        Only images of this split, such as "training".
    unit
        "row" counts an image once for each of its finding rows, as the published protocol does.

    Raises
    ------
    SettingsError
        If the run has no finding rows, no such split, or nothing is left.
    RunError
        If it has no such label.
    """
    values = run.label(label)
    positions, splits = np.arange(len(run)), run.images["split"].to_numpy(object)
    if unit == "row":
        if run.rows is None:
            raise SettingsError(f"{run.path.name} was labelled image by image and has no finding rows; use unit image.")
        positions, found = row_positions(run.rows["image"].to_numpy(), run.numbers)
        values = run.rows[f"label.{label}"].to_numpy(np.float64)[found]
        splits = run.rows["split"].to_numpy(object)[found]
    chosen = ~np.isnan(values)
    if split is not None:
        names = sorted({str(name) for name in splits if isinstance(name, str)})
        if split not in names:
            raise SettingsError(f"{run.path.name} has no split {split!r}; it has {', '.join(names) or 'none'}.")
        chosen &= splits == split
    if not chosen.any():
        raise SettingsError(f"no image{f' of split {split!r}' if split else ''} has a known {label!r}.")
    return positions[chosen], values[chosen]


def cohort_of_run(
    run: "Run", model: "MammoSAE", label: str, *, split: str | None = None, unit: Unit = "image"
) -> Cohort:
    """Put the images of a run, the linear tail of its model and a label together.

    Raises
    ------
    RunError
        If the run was made with another model or SAE, or has no such label.
    ModelError
        If what follows the SAE is not linear.
    SettingsError
        As `logits_of_label` and `labelled_rows`.
    """
    run.check_model(model)
    rows, labels = labelled_rows(run, label, split, unit)
    logits = logits_of_label(run, label)
    everything = Cohort.of(
        run.pooled("mean"),
        model.attribution[logits],
        model.constant[logits],
        logits=run.logits[:, logits],
        patients=run.images["patient"].to_numpy(),
    )
    return everything.take(rows, labels)


def pool_of_run(run: "Run", label: str, *, split: str | None = None, unit: Unit = "image") -> LabelledPool:
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


def published_orders(order: str) -> "Sequence[IntArray]":
    """Return the published order of every class from `published:DIR`.

    Raises
    ------
    SettingsError
        If the folder holds no such rankings.
    """
    folder = Path(order.removeprefix(PUBLISHED))
    if not folder.is_dir():
        raise SettingsError(f"{folder.name} is no folder of published rankings.")
    return [ranking.order for ranking in read_published_folder(folder).values()]

"""Every score a latent can be ranked by, for one class against the rest or within it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import BoolArray, FloatArray
from ..stats.sparse import activations, sparse_auroc, sparse_average_precision
from .orders import Ranking
from .statistics import ROUNDING, ClassStatistics, class_statistics, label_entropy

Score = Literal[
    "diff",
    "mean",
    "centred",
    "standardised",
    "auroc",
    "auroc_max",
    "average_precision",
    "selectivity",
    "attribution",
    "firing_images",
    "firing_cells",
    "mean_active",
    "std",
    "entropy",
    "entropy_prior",
]
SCORES: tuple[Score, ...] = get_args(Score)
Contrast = Literal["all", "class", "rest"]
PLAIN: tuple[Score, ...] = ("mean", "attribution", "firing_images", "firing_cells", "mean_active", "std")
"""Scores that exist over all images, over one class, and as class minus rest; the others compare classes anyway."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPool:
    """Pooled activations of images and what is known about the images, row by row.

    Parameters
    ----------
    mean : sparse (n, h)
        Mean activation of each latent over the cells of each image.
    labels : (n,), optional
        Class numbers, NaN where unknown.
    maximum, active_cells : sparse (n, h), optional
        Highest activation, and number of cells above zero.
    cells : int, optional
        Cells of a map, H' x W'.
    attribution : (h,), optional
        What one unit of mean activation adds to the class's logit.
    patients : (n,), optional
        Patient of each image; without them each image counts as a patient of its own.
    """

    mean: Any
    labels: ArrayLike | None = None
    maximum: Any = None
    active_cells: Any = None
    cells: int | None = None
    attribution: ArrayLike | None = None
    patients: ArrayLike | None = None

    def __post_init__(self) -> None:
        n, h = self.mean.shape
        for name, rows in (("labels", self.labels), ("patients", self.patients)):
            if rows is not None and np.shape(rows) != (n,):
                raise SettingsError(f"{np.size(rows)} {name} for {n} images; they must go together.")
        for name, matrix in (("maximum", self.maximum), ("active_cells", self.active_cells)):
            if matrix is not None and matrix.shape != (n, h):
                raise SettingsError(f"{name} is {matrix.shape}, the mean {(n, h)}; both come from one run.")
        if self.attribution is not None and np.shape(self.attribution) != (h,):
            raise SettingsError(f"attributions of {np.size(self.attribution)} latents, activations of {h}.")

    def known(self) -> "LabelledPool":
        """Return the images whose label is known, activations as canonical csc; all where there are no labels."""
        rows = slice(None) if self.labels is None else ~np.isnan(np.asarray(self.labels, dtype=np.float64))
        return replace(
            self,
            mean=activations(_rows(self.mean, rows)),
            labels=None if self.labels is None else np.asarray(self.labels, dtype=np.float64)[rows],
            maximum=None if self.maximum is None else activations(_rows(self.maximum, rows)),
            active_cells=None if self.active_cells is None else activations(_rows(self.active_cells, rows)),
            patients=np.arange(self.mean.shape[0])[rows] if self.patients is None else np.asarray(self.patients)[rows],
        )

    def statistics(self, matrix: Any) -> ClassStatistics:
        """Sum up one of the matrices by class; all images are one class where there are no labels."""
        return class_statistics(matrix, np.zeros(matrix.shape[0]) if self.labels is None else self.labels)

    def positive(self, label: int) -> BoolArray:
        """Return which images have a class; SettingsError without labels or where none or all have it."""
        if self.labels is None:
            raise SettingsError("this score compares classes, but the images have no labels.")
        rows = np.asarray(np.asarray(self.labels) == label)
        if rows.all() or not rows.any():
            raise SettingsError(
                f"{int(rows.sum())} of {rows.size} images have class {label}; "
                "a score that compares classes needs images of both."
            )
        return rows


def score_latents(
    pool: LabelledPool, score: Score = "diff", label: int = 1, contrast: Contrast | None = None
) -> FloatArray:
    """Score every latent, (h,) float64; higher ranks first.

    Parameters
    ----------
    pool
        Images; those of unknown label are left out.
    score
        "entropy" and "entropy_prior" are the *negative* label entropy, so that the purest latents come first.
    label
        The class that is asked about.
    contrast
        For scores that need no comparison: over all images, over the class, or class minus rest. By default the
        mean and the attribution are those of the class, the others those of all images.

    Raises
    ------
    SettingsError
        If the score is unknown, what it needs was not given, or a class has no image.
    """
    if score not in SCORES:
        raise SettingsError(f"score {score!r} is unknown; choose one of {', '.join(SCORES)}.")
    if contrast is not None and score not in PLAIN:
        raise SettingsError(f"score {score!r} compares classes by itself and takes no contrast.")
    pool = pool.known()
    if score in PLAIN:
        default: Contrast = "class" if score in ("mean", "attribution") and pool.labels is not None else "all"
        return _plain(pool, score, label, contrast or default)
    positive = pool.positive(label)
    if score in ("diff", "centred", "standardised"):
        return differences(pool.statistics(pool.mean).rest(label))[score]
    if score == "auroc_max":
        return sparse_auroc(_needed(pool.maximum, score, "maximum"), positive)
    if score in ("entropy", "entropy_prior"):
        return -label_entropy(pool.mean, pool.labels, divide_priors=score == "entropy_prior")  # type: ignore[arg-type]
    if score == "average_precision":
        return sparse_average_precision(pool.mean, positive)
    if score in ("auroc", "selectivity"):
        areas = sparse_auroc(pool.mean, positive)
        return areas if score == "auroc" else 2.0 * np.abs(areas - 0.5)
    raise NotImplementedError(f"no formula computes the score {score!r}.")


def class_rankings(pool: LabelledPool, score: Score = "diff", contrast: Contrast | None = None) -> dict[int, Ranking]:
    """Rank the latents for every class that occurs in the labels, each against the rest.

    Raises
    ------
    SettingsError
        As `score_latents`; also where only one class occurs.
    """
    if pool.labels is None:
        raise SettingsError("ranking by class needs labels.")
    pool = pool.known()
    classes = np.unique(np.asarray(pool.labels)).astype(np.int64)
    if classes.size < 2:
        raise SettingsError(
            f"the labels of {pool.mean.shape[0]} images hold {classes.size} class; at least two are needed."
        )
    return {int(label): Ranking.of(score_latents(pool, score, int(label), contrast)) for label in classes}


def differences(two: ClassStatistics) -> dict[Score, FloatArray]:
    """Return the scores that compare the mean of a class (row 1) with that of the rest (row 0).

    `centred`, class mean minus mean of all, is a positive multiple of `diff` and computed so: with two classes the
    order of one is then exactly the reverse of the other's.
    """
    (rest, own), n = two.means, int(two.counts.sum())
    diff = own - rest
    sd = np.sqrt(two.spread.sum(axis=0) / max(n - 2, 1))
    sd[sd <= ROUNDING * np.abs(two.means).max(axis=0)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        standardised = np.where(diff == 0, 0.0, diff / sd)
    return {"diff": diff, "centred": diff * (two.counts[0] / n), "standardised": standardised}


def _plain(pool: LabelledPool, score: Score, label: int, contrast: Contrast) -> FloatArray:
    if contrast != "all" and pool.labels is None:
        raise SettingsError(f"{score!r} of a class needs labels.")
    matrix = _needed(pool.active_cells, score, "active_cells") if score == "firing_cells" else pool.mean
    value = _formula(pool, score)
    statistics = pool.statistics(matrix)
    if contrast == "all":
        return value(statistics.pooled())
    if contrast == "class":
        return value(statistics.pooled([statistics.row(label)]))
    two = statistics.rest(label)
    return value(two.pooled([1])) - value(two.pooled([0]))


def _formula(pool: LabelledPool, score: Score) -> Callable[[ClassStatistics], FloatArray]:
    """Return what a score is for one group of images."""
    if score == "attribution":
        weight = np.asarray(_needed(pool.attribution, score, "attribution"), dtype=np.float64)
        return lambda one: one.means[0] * weight
    if score == "firing_cells":
        cells = _needed(pool.cells, score, "cells")
        return lambda one: one.means[0] / cells
    formulas: dict[Score, Callable[[ClassStatistics], FloatArray]] = {
        "mean": lambda one: one.means[0],
        "firing_images": lambda one: one.fired[0] / one.counts[0],
        "std": lambda one: np.sqrt(one.spread[0] / one.counts[0]),
        "mean_active": lambda one: np.divide(
            one.sums[0], one.fired[0], out=np.full(one.sums.shape[1], np.nan), where=one.fired[0] > 0
        ),
    }
    return formulas[score]


def _needed(value: Any, score: Score, name: str) -> Any:
    if value is None:
        raise SettingsError(f"score {score!r} needs `{name}`, which was not given.")
    return value


def _rows(matrix: Any, rows: Any) -> Any:
    return matrix if isinstance(rows, slice) or rows.all() else scipy.sparse.csr_array(matrix)[rows]

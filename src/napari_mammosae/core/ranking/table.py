"""The table of all latents: every score beside the one they are ranked by."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import SettingsError
from ..stats.bootstrap import benjamini_hochberg
from ..stats.measures import FloatArray
from ..stats.sparse import sparse_auroc, sparse_auroc_p, sparse_average_precision
from .intervals import latent_intervals
from .orders import order_of
from .scores import SCORES, Contrast, LabelledPool, Score, differences, score_latents
from .statistics import label_entropy

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = (
    *("score", "auroc", "auroc_lo", "auroc_hi", "auroc_max", "average_precision", "selectivity", "p_value", "q_value"),
    *("mean", "mean_rest", "mean_all", "centred", "diff", "diff_lo", "diff_hi", "standardised", "firing_images"),
    *("firing_cells", "mean_active", "std", "entropy", "entropy_prior", "attribution"),
)
COLUMNS = (*_FIGURES, *(name for name in SCORES if name not in _FIGURES))
"""The figures of the table, in its order; `rank` and `latent` stand before them, `live` and `note` behind."""


def rank_latents(
    pool: LabelledPool,
    score: Score = "diff",
    *,
    label: int = 1,
    contrast: Contrast | None = None,
    intervals: int | None = 100,
) -> "pd.DataFrame":
    """Rank all h latents for one class, one row a latent, best first.

    Parameters
    ----------
    pool
        Images; those of unknown label are left out. Without labels only scores that need none are given.
    score, label, contrast
        What to rank by, see `score_latents`.
    intervals
        How many of the best live latents get bootstrap intervals; None for all live ones.

    Returns
    -------
    pandas.DataFrame
        `rank` (from 1), `latent`, `score`, `auroc` (of mean activations), `auroc_lo`, `auroc_hi`, `auroc_max` (of
        maxima), `average_precision`, `selectivity` = 2 |AUROC - 0.5|, `p_value` (Mann-Whitney, images taken as
        independent), `q_value` (Benjamini-Hochberg over live latents), `mean` (of the class), `mean_rest`,
        `mean_all`, `centred`, `diff`, `diff_lo`, `diff_hi`, `standardised`, `firing_images`, `firing_cells`,
        `mean_active`, `std`, `entropy`, `entropy_prior` (label entropy in nats, as it is and with the class shares
        divided out), `attribution` (of the class), `live`, `note` (why intervals are blank). NaN where undefined.

    Raises
    ------
    SettingsError
        As `score_latents`.
    """
    import pandas as pd

    chosen = score_latents(pool, score, label, contrast)
    pool = pool.known()
    h = pool.mean.shape[1]
    columns: dict[str, FloatArray] = {name: np.full(h, np.nan) for name in COLUMNS}
    columns["score"] = chosen
    columns |= _plain_columns(pool, label)
    live = np.diff(pool.mean.indptr) > 0
    order = order_of(chosen)
    note = "no labels"
    if pool.labels is not None:
        try:
            note = _label_columns(pool, label, columns, order[live[order]][:intervals])
        except SettingsError as error:  # a score that needs no contrast was asked for, and there is none to give
            note = str(error)
    for name in SCORES:
        if name not in _FIGURES:  # those above share sums; any other is computed by itself
            with suppress(SettingsError):
                columns[name] = score_latents(pool, name, label)
    table = pd.DataFrame({"rank": np.arange(1, h + 1), "latent": order} | {n: c[order] for n, c in columns.items()})
    table["live"] = live[order]
    without = table["auroc_lo"].isna()
    reason = np.where(table["live"], note or "beyond the number of latents asked for", "silent on these images")
    table["note"] = np.where(without, reason, "")
    return table


def _plain_columns(pool: LabelledPool, label: int) -> dict[str, FloatArray]:
    """Scores that need no second class."""
    statistics = pool.statistics(pool.mean)
    names: tuple[Score, ...] = ("firing_images", "mean_active", "std")
    found: dict[str, FloatArray] = {name: score_latents(pool, name, label, "all") for name in names}
    found["mean_all"] = statistics.pooled().means[0]
    if pool.active_cells is not None and pool.cells is not None:
        found["firing_cells"] = score_latents(pool, "firing_cells", label, "all")
    if pool.labels is not None and (statistics.classes == label).any():
        found["mean"] = statistics.means[statistics.row(label)]
        if pool.attribution is not None:
            found["attribution"] = found["mean"] * np.asarray(pool.attribution, dtype=np.float64)
    return found


def _label_columns(pool: LabelledPool, label: int, columns: dict[str, FloatArray], chosen: FloatArray) -> str:
    """Fill in the columns that compare classes; return why there are no intervals, or an empty string."""
    positive = pool.positive(label)
    two = pool.statistics(pool.mean).rest(label)
    columns["auroc"], p = sparse_auroc_p(pool.mean, positive)
    live = np.diff(pool.mean.indptr) > 0
    columns["p_value"] = np.where(live, p, np.nan)
    columns["q_value"] = benjamini_hochberg(columns["p_value"])
    columns["average_precision"] = sparse_average_precision(pool.mean, positive)
    columns["selectivity"] = 2.0 * np.abs(columns["auroc"] - 0.5)
    columns["mean_rest"] = two.means[0]
    columns |= differences(two)  # type: ignore[arg-type]
    labels = np.asarray(pool.labels)
    columns["entropy"] = label_entropy(pool.mean, labels)
    columns["entropy_prior"] = label_entropy(pool.mean, labels, divide_priors=True)
    if pool.maximum is not None:
        columns["auroc_max"] = sparse_auroc(pool.maximum, positive)
    assert pool.patients is not None  # `known` sets them
    auroc, diff, note = latent_intervals(pool.mean, positive, pool.patients, chosen)
    for name, ends in (("auroc", auroc), ("diff", diff)):
        columns[f"{name}_lo"][chosen], columns[f"{name}_hi"][chosen] = ends.T
    return note

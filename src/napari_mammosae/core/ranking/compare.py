"""How two rankings of the same latents differ: pretrained against finetuned, mass against calcification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import SettingsError
from .orders import Ranking

if TYPE_CHECKING:
    import pandas as pd

AT = (1, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True, eq=False)
class RankingComparison:
    """Agreement of two rankings.

    Attributes
    ----------
    spearman, kendall : float
        Rank correlations of the scores over the latents that score in either ranking; NaN where undefined.
    latents : int
        How many latents that is.
    overlap : pandas.DataFrame
        `k`, `shared` (latents among the best k of both), `share` of k, `by_chance` (share expected of two random
        orders of all latents).
    movers : pandas.DataFrame
        Those latents, biggest change of rank first: `latent`, `rank_a`, `rank_b`, `change` (places gained in the
        second), `score_a`, `score_b`. Ranks count these latents only: silent ones would move by thousands.
    """

    spearman: float
    kendall: float
    latents: int
    overlap: "pd.DataFrame"
    movers: "pd.DataFrame"


def compare_rankings(a: Ranking, b: Ranking, at: Sequence[int] = AT) -> RankingComparison:
    """Compare two rankings of one SAE's latents.

    Raises
    ------
    SettingsError
        If they rank different numbers of latents.
    """
    import pandas as pd
    from scipy.stats import kendalltau, spearmanr

    h = a.order.size
    if b.order.size != h:
        raise SettingsError(f"one ranking has {h} latents, the other {b.order.size}; they are of different SAEs.")
    scored = np.flatnonzero(a.live | b.live)
    spearman = kendall = float("nan")
    x, y = np.nan_to_num(a.scores[scored]), np.nan_to_num(b.scores[scored])
    if scored.size > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
        spearman, kendall = float(spearmanr(x, y)[0]), float(kendalltau(x, y)[0])
    steps = np.array([k for k in at if 1 <= k <= h], dtype=np.int64)
    shared = np.bincount(np.maximum(a.ranks, b.ranks), minlength=h + 1).cumsum()[steps]
    overlap = pd.DataFrame({"k": steps, "shared": shared, "share": shared / steps, "by_chance": steps / h})
    places = [np.argsort(np.argsort(ranking.ranks[scored])) + 1 for ranking in (a, b)]
    movers = pd.DataFrame({"latent": scored, "rank_a": places[0], "rank_b": places[1]})
    movers["change"] = movers["rank_a"] - movers["rank_b"]
    movers["score_a"], movers["score_b"] = a.scores[scored], b.scores[scored]
    biggest = np.lexsort((scored, -np.abs(movers["change"].to_numpy())))
    return RankingComparison(spearman, kendall, int(scored.size), overlap, movers.iloc[biggest].reset_index(drop=True))

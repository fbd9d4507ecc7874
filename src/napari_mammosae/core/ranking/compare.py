"""How two rankings of the same latents differ: pretrained against finetuned, mass against calcification."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import RunError, SettingsError
from ..runs.making.model_spec import model_of_run
from ..runs.opening import open_run
from ..runs.run import Run
from .files import read_ranking
from .of_run import rank
from .orders import Ranking

if TYPE_CHECKING:
    import pandas as pd

    from ..models.model import MammoSAE

AT = (1, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True, eq=False)
class RankingComparison:
    """Agreement of two rankings.

    Attributes
    ----------
    spearman, kendall : float
        Rank correlations of the scores over the latents that fire in either ranking and have a score in both; NaN
        where undefined.
    latents : int
        How many latents that is.
    undefined : int
        How many fire in either ranking, but lack a score in one.
    ties : (int, int)
        How many of the latents share their score with another one, in the first and in the second ranking.
    overlap : pandas.DataFrame
        `k`, `shared` (latents with a score among the best k of both), `share` of k, `by_chance` (share expected of two
        random orders of all latents).
    movers : pandas.DataFrame
        Those latents, biggest change of rank first: `latent`, `rank_a`, `rank_b`, `change` (places gained in the
        second), `score_a`, `score_b`. Ranks count these latents only: silent ones would move by thousands.
    """

    spearman: float
    kendall: float
    latents: int
    undefined: int
    ties: tuple[int, int]
    overlap: "pd.DataFrame"
    movers: "pd.DataFrame"

    def describe(self) -> dict[str, Any]:
        """Return the agreement as plain values, for the record beside an export."""
        return {
            "spearman": self.spearman,
            "kendall": self.kendall,
            "latents": self.latents,
            "undefined": self.undefined,
            "ties": list(self.ties),
            "overlap": self.overlap.to_dict("records"),
        }

    def with_moves(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Add to the second ranking's table each latent's place among those that were compared; else blank.

        Adds `place`, `place_against`, `places_gained` and `score_against`.
        """
        names = {"rank_b": "place", "rank_a": "place_against", "change": "places_gained", "score_a": "score_against"}
        moves = self.movers[["latent", *names]].rename(columns=names)
        return table.merge(moves, on="latent", how="left", validate="one_to_one")


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
    live, defined = a.live | b.live, a.defined & b.defined
    scored = np.flatnonzero(live & defined)
    spearman = kendall = float("nan")
    x, y = a.scores[scored], b.scores[scored]
    sizes = [np.unique(values, return_counts=True)[1] for values in (x, y)]
    ties = int(sizes[0][sizes[0] > 1].sum()), int(sizes[1][sizes[1] > 1].sum())
    if min(size.size for size in sizes) > 1:
        spearman, kendall = float(spearmanr(x, y)[0]), float(kendalltau(x, y)[0])
    steps = np.array([k for k in at if 1 <= k <= h], dtype=np.int64)
    shared = np.bincount(np.maximum(a.ranks, b.ranks)[defined], minlength=h + 1).cumsum()[steps]
    overlap = pd.DataFrame({"k": steps, "shared": shared, "share": shared / steps, "by_chance": steps / h})
    places = [np.argsort(np.argsort(ranking.ranks[scored])) + 1 for ranking in (a, b)]
    movers = pd.DataFrame({"latent": scored, "rank_a": places[0], "rank_b": places[1]})
    movers["change"] = movers["rank_a"] - movers["rank_b"]
    movers["score_a"], movers["score_b"] = a.scores[scored], b.scores[scored]
    biggest = np.lexsort((scored, -np.abs(movers["change"].to_numpy())))
    moved = movers.iloc[biggest].reset_index(drop=True)
    return RankingComparison(spearman, kendall, int(scored.size), int((live & ~defined).sum()), ties, overlap, moved)


def compare_with(
    table: "pd.DataFrame",
    run: Run,
    against: Run | Path | str,
    label: str,
    *,
    category: int | str | None = None,
    model: "MammoSAE | str | None" = None,
    **how: Any,
) -> RankingComparison:
    """Compare the ranking of a run with another run ranked the same way, a table, or a published list.

    The other ranking comes first, so that a change counts the places gained in this run.

    Parameters
    ----------
    table, run
        The ranking, as `rank` gives it, and the run it is of.
    against
        Another run or its folder; a CSV with the columns rank, latent and score; or a published JSON list.
    label, category, how
        What the other run is ranked for, and by: the same as the first; see `rank`.
    model
        Used for the other run as well where that was made with the same one.

    Raises
    ------
    RunError
        The other run was made with another SAE.
    SettingsError
        The file is not a ranking, or ranks another number of latents.
    """
    if not isinstance(against, Run) and not Path(against).is_dir():
        return compare_rankings(read_ranking(against), Ranking.of_table(table))
    other = against if isinstance(against, Run) else open_run(against)
    if other.info["sae_sha256"] != run.info["sae_sha256"]:
        raise RunError(
            f"{other.path.name} and {run.path.name} were made with different SAEs; their latents cannot be compared."
        )
    loaded = None
    if how.get("score") == "attribution":
        same = other.info["model_sha256"] == run.info["model_sha256"]
        loaded = model if same else model_of_run(other, None)
    ranked = rank(other, label, category=category, model=loaded, intervals=0, **how)
    return compare_rankings(Ranking.of_table(ranked), Ranking.of_table(table))

"""Scores of all latents over an open run, as the columns of the latent table. Knows no Qt; for a worker thread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.base.progress import Report
from ...core.ranking.of_run import RankingChoice
from ...core.runs.run import Run


def rank(
    run: Run, choice: RankingChoice, attribution: NDArray[np.float64] | None, report: Report
) -> dict[str, NDArray[Any]]:
    """Every score of every latent for a choice: column key -> (h,), by latent number; columns without values left out.

    Raises
    ------
    SettingsError
        If the images do not allow the score, for example where all have the class.
    """
    from dataclasses import replace

    from ...core.ranking.of_run import pool_of_sample
    from ...core.ranking.table import COLUMNS, rank_latents

    report(f"Reading {run.path.name}")
    pool = replace(pool_of_sample(run, choice.sample(run)), attribution=attribution)
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

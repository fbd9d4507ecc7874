"""Scores of all latents over an open run, and pages about some of them. Knows no Qt; for a worker thread."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.base.progress import Report
from ...core.base.text import counted
from ...core.ranking.of_run import RankingChoice
from ...core.runs.files.images import ImageFiles
from ...core.runs.run import Run
from ...process.handle import ModelHandle

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings


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
    report(f"Ranking {run.n_latents:,} latents over {counted(len(run), 'image')}")
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


def write_latents(
    latents: list[int],
    path: Path,
    site: bool,
    run: Run,
    files: ImageFiles,
    findings: "Findings | None",
    handle: ModelHandle | None,
    verdicts: Path,
    report: Report,
) -> Path:
    """Write the page of one latent, or a `site` of several into a folder; return the file to open.

    Raises
    ------
    WriteError
        It cannot be written, or a file is there that this program has not written.
    """
    from ...core.base.provenance import provenance
    from ...core.reports.latent_page import LatentSources, remarks_of, write_page, write_pages

    report(f"Reading {run.path.name}")
    known = handle is not None and bool(handle.facts.n_latents)
    weights, near = (handle.facts.attribution, handle.neighbours) if known and handle is not None else (None, None)
    sources = LatentSources(run, files.fetch, findings, weights, near, remarks_of(run, path=verdicts))
    settings = {"run": run.path.name, "latents": latents, "boxes": None if findings is None else findings.name}
    record = provenance("pages", settings, None if handle is None else handle.facts)
    report("Drawing the images")
    if site:
        return write_pages(path, latents, sources, record, report)
    return write_page(path, latents[0], sources, record)

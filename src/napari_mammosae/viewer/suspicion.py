"""Latents of the open run that fire where no lesion is: a pre-sorting for the eye, worked out in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from ..core.annotations.boxes import Findings
    from ..core.runs.run import Run
    from .app.jobs import Report

REASONS = {
    "outside": "outside the breast",
    "skin": "skin line",
    "pectoral": "pectoral muscle",
    "border": "image border",
    "marker": "burned-in marker",
    "avoids_boxes": "avoids the boxes",
}
"""Where a suspect fires, in words."""


def find_suspects(run: Run, findings: Findings | None, report: Report) -> tuple[pd.DataFrame, str]:
    """Rank a run's live latents by how suspicious the places are where they fire; see `SuspectTally.table`.

    Parameters
    ----------
    run
        A run with maps.
    findings
        Annotated boxes, for the share of what fires outside them; without any, that part is left out.

    Returns
    -------
    table, note
        And a sentence about the boxes.

    Raises
    ------
    RunError
        The run keeps no maps.
    """
    from ..core.base.errors import FindingsError
    from ..core.localization.detections import sparse_maps
    from ..core.localization.over_run import boxes_of_run
    from ..core.localization.suspects import SuspectTally

    image, edges, note = np.zeros(0, np.int64), np.zeros((0, 4)), "Without annotated boxes, their part is left out."
    if findings is not None:
        try:
            boxes = boxes_of_run(run, findings)
        except FindingsError as error:
            note = str(error)
        else:
            image = boxes.table["image"].to_numpy(np.int64)
            edges = boxes.table[["row_min", "col_min", "row_max", "col_max"]].to_numpy(np.float64)
            note = f"With {len(edges):,} annotated boxes."
    height, width = run.info["preprocessing"]["size"]
    tally = SuspectTally(run.n_latents, (height, width), run.grid)
    done = 0
    for part, regions in zip(run.map_parts(), run.regions(), strict=True):
        report("Looking where latents fire", done, len(run))
        here = np.isin(image, regions.image)
        maps = sparse_maps(part.latent, part.image, part.cell, part.value, run.grid)
        tally.add(maps, regions.image, regions.shares, image[here], edges[here])
        done += len(regions.image)
    report("Looking where latents fire", done, len(run))
    return tally.table(), note

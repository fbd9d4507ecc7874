"""The order of a run's latents for a finding: by the run's label, else by the boxes that were drawn."""

from dataclasses import replace
from typing import cast

import numpy as np

from ..base.errors import SettingsError
from ..ranking.files import PUBLISHED, published_ranking
from ..ranking.of_run import pool_of_sample
from ..ranking.orders import Ranking
from ..ranking.scores import Score, score_latents
from ..runs.run import Run
from ..runs.sample import Unit, Used, sample_of
from .run_boxes import RunBoxes, finding_label


def rank_for_finding(
    run: Run,
    boxes: RunBoxes,
    finding: str,
    order: str = "diff",
    *,
    split: str | None = None,
    unit: Unit = "image",
    category: int = 1,
) -> tuple[Ranking | None, Used | None]:
    """Rank the latents for a finding, on the images of a split, as often as their unit says.

    The run's label of the finding says which images have it; without one, the boxes do, on the images that are named.

    Parameters
    ----------
    run, boxes, finding
        A run, the boxes on its images, and which of their findings.
    order
        A score, or `published:DIR`.
    split, unit
        Images that latents are ranked on; see `sample_of`.
    category
        1 ranks for the finding, 0 for its absence.

    Returns
    -------
    ranking
        None where every image has the finding, or none.
    used
        The images it rests on; None for a published ranking.

    Raises
    ------
    SettingsError
        The order, split or unit does not exist, or it is not known which text of the run's label is positive.
    """
    if order.startswith(PUBLISHED):
        return published_ranking(order, category), None
    own = finding_label(run, finding)
    sample = sample_of(run, "" if own is None else finding, split, unit)
    if own is None:
        boxed = np.isin(run.numbers, boxes.table.loc[boxes.table["finding"] == finding, "image"])
        labels = np.where(boxed | boxes.named, boxed, np.nan)[sample.rows]
    else:
        labels = (sample.known != 0).astype(np.float64)
    if np.unique(labels[~np.isnan(labels)]).size < 2:
        return None, sample.used
    pool = replace(pool_of_sample(run, sample), labels=labels)
    if order == "attribution":
        raise SettingsError("the order 'attribution' needs the model; `rank --score attribution` gives it.")
    return Ranking.of(score_latents(pool, cast("Score", order), category)), sample.used

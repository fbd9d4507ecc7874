"""Ranking the latents of an inner layer by what they contribute to a logit, image by image, by gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base.progress import Report, ignore
from ..base.provenance import provenance
from ..models.contributions import METHOD_WORDS, Contributions, Method, contributions_of
from ..runs.classes import categories_of, class_number, logit_of, place_of
from ..runs.passes import DRAWN, pass_images
from ..runs.sample import Unit, sample_of
from .of_run import pool_of_sample
from .orders import order_of
from .table import rank_latents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from ..models.model import MammoSAE
    from ..runs.run import Run


def rank_by_contribution(
    run: Run,
    model: MammoSAE,
    label: str,
    method: Method = "integrated",
    *,
    category: int | str | None = None,
    split: str | None = None,
    unit: Unit = "image",
    logit: str | None = None,
    intervals: int | None = 100,
    count: int = DRAWN,
    root: Path | None = None,
    progress: Report = ignore,
    notice: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Rank all latents by their mean contribution to the logit of a class, over images of the class.

    Every image is passed through the network again. For the last layer the score "attribution" of `rank` is exact and
    needs no pass.

    Parameters
    ----------
    run, model, label
        A run, the model it was made with, and one of its labels.
    method
        See `Contributions`.
    category, split, unit, logit, intervals
        As of `rank`.
    count
        Images to draw, of each class in proportion; 0 for all.
    root
        Folder of the images; by default looked for around the run.
    progress, notice
        Told of every image, and how long all will take.

    Returns
    -------
    pandas.DataFrame
        As of `rank`, of the images drawn; `score` is the mean contribution. ``attrs["provenance"]`` holds, under
        `completeness`, the median over the images of |completeness error| over |change of the logit|.

    Raises
    ------
    RunError, SettingsError, ModelError
        As `rank`.
    ImageError
        An image is not found or not the one the run was made from.
    """
    number = class_number(run, label, category)
    sample = sample_of(run, label, split, unit).draw(count)
    place, sign = _logit(run, model, label, number, logit)
    rows, back = np.unique(sample.rows, return_inverse=True)
    counted = sample.known == number
    passed = np.unique(back[counted])
    contributions = pass_images(
        run, model, rows[passed], lambda features: contributions_of(model, features, method),
        root=root, report=progress, notice=notice,
    )  # fmt: skip
    times = np.bincount(back[counted], minlength=rows.size)[passed]
    score = sum(
        (n * sign * one.spread(model.n_latents)[place] for n, one in zip(times, contributions, strict=True)),
        start=np.zeros(model.n_latents),
    ) / max(times.sum(), 1)
    table = rank_latents(pool_of_sample(run, sample), "mean", label=number, intervals=intervals)
    order = order_of(score)
    table = table.set_index("latent").loc[order].reset_index()
    table["rank"], table["score"] = np.arange(1, order.size + 1), score[order]
    table = table[["rank", "latent", *(name for name in table.columns if name not in ("rank", "latent"))]]
    settings = {
        "run": run.path, "label": label, "class": number, "score": "contribution", "contribution": METHOD_WORDS[method],
        "split": split, "unit": unit, "intervals": intervals, "drawn": count, "logit": model.classes[place],
    }  # fmt: skip
    table.attrs["provenance"] = provenance("rank", settings, model) | {
        "made_with": run.made_with, "used": sample.used.describe(), "completeness": completeness(contributions, place)
    }  # fmt: skip
    return table


def completeness(contributions: list[Contributions], logit: int) -> float:
    """Median over images of |completeness error| over |change of the logit|; NaN without images."""
    shares = [abs(one.error[logit]) / max(abs(one.stop[logit] - one.start[logit]), 1e-12) for one in contributions]
    return float(np.median(shares)) if shares else float("nan")


def _logit(run: Run, model: MammoSAE, label: str, number: int, logit: str | None) -> tuple[int, int]:
    """Place of the logit that speaks for a class, and whether it speaks for (1) or against it (-1)."""
    if logit is not None:
        return place_of(model, logit), 1 if number else -1
    found = logit_of(model, label, number, categories_of(run, label))
    return found.logit, found.sign

"""Latents that go with how an image was taken and push a prediction, and what the prediction is worth without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..stats.measures import auroc

if TYPE_CHECKING:
    import pandas as pd

    from ..models.facts import ModelFacts
    from ..models.model import MammoSAE
    from ..runs.run import Run
    from ..stats.measures import FloatArray, IntArray
    from .evaluation import Measured

LEAST_PUSH = 0.01
"""Of the logit's standard deviation over the images; what moves it by less is not listed."""
COLUMNS = ("class", "latent", "label", "r", "push", "share", "auroc", "auroc_without", "change")


def report_shortcuts(run: Run, rows: IntArray, measured: Measured, model: MammoSAE | ModelFacts) -> pd.DataFrame:
    """List the accepted latents whose best label is a confounder, for every class whose logit they push.

    Parameters
    ----------
    run, rows
        The run, and its images that count.
    measured
        Its latents against concepts, some of them confounders.
    model
        The run's.

    Returns
    -------
    pandas.DataFrame
        `class`, `latent` (blank for all listed ones together), `label`, `r`, `push` (how much higher the logit is, on
        average, where the confounder is there, through this latent alone), `share` (of the logit's standard
        deviation), `auroc` of the class as it is, `auroc_without` the latent, and `change`. The AUROC is blank for a
        class that the images have no label of.

    Raises
    ------
    ModelError
        Nothing is exact per latent, because the SAE reads an inner layer.
    RunError
        The model is not the run's.
    """
    import pandas as pd

    run.check_model(model)
    attribution, _ = model.linear_tail()
    concepts, (_, best) = measured.concepts, measured.best
    confounded = np.array([concepts.is_confounder(place) for place in range(len(concepts.names))], np.bool_)
    flagged = np.flatnonzero(measured.accepted & confounded[best])
    latents = measured.units.numbers[flagged]
    activations = run.pooled("mean")[:, latents].toarray()[rows]
    marks = concepts.values[:, best[flagged]]
    there, absent = (np.nanmean(np.where(marks == value, activations, np.nan), axis=0) for value in (1, 0))
    out: list[tuple[object, ...]] = []
    for logit, name in enumerate(run.classes):
        logits = run.logits[rows, logit]
        pushes = attribution[logit, latents] * (there - absent)
        share = np.abs(pushes) / (logits.std() or np.nan)
        listed = np.flatnonzero(share >= LEAST_PUSH)
        listed = listed[np.argsort(-share[listed], kind="stable")]
        parts = activations * attribution[logit, latents]
        own = concepts.named(name)
        truth = None if own is None else concepts.values[:, own]
        before = _auroc(truth, logits)
        for place in listed:
            after = _auroc(truth, logits - parts[:, place])
            unit = flagged[place]
            label, r = concepts.names[best[unit]], measured.at_best(measured.r)[unit]
            push = float(pushes[place])
            out.append((name, int(latents[place]), label, r, push, share[place], before, after, after - before))
        if listed.size > 1:
            after = _auroc(truth, logits - parts[:, listed].sum(axis=1))
            out.append((name, None, f"all {listed.size}", *[np.nan] * 3, before, after, after - before))
    table = pd.DataFrame(out, columns=list(COLUMNS))
    return table.astype({"latent": "Int64"})


def _auroc(truth: FloatArray | None, logits: FloatArray) -> float:
    if truth is None:
        return float("nan")
    known = ~np.isnan(truth)
    return auroc(truth[known], logits[known])

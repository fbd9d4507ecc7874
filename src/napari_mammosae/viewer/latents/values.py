"""What the table of latents can show at a moment: columns and their values, gathered from what is known."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.models.files.found_again import FoundAgain
from ..app.session import Session
from ..widgets.columns import (
    BEST_LABEL,
    CELLS,
    CHANCE,
    FOUND,
    GROUP,
    IMAGE,
    LABEL_AUROC,
    LABEL_CHANCE,
    LABEL_R,
    LABELS,
    LATENT,
    MAXIMUM,
    MEAN,
    NAME,
    REGION,
    RUN,
    SCORE,
    VERDICT,
    Column,
    logit_columns,
)


def collect(
    session: Session,
    region: Mapping[str, NDArray[Any]],
    ranking: Mapping[str, NDArray[Any]],
    found: FoundAgain | None = None,
) -> tuple[list[Column], dict[str, NDArray[Any]]]:
    """Gather the columns and their values, (h,) each by latent; h is 0 while nothing is known.

    Parameters
    ----------
    session
        Gives the image's latents, the model's attributions and the verdicts.
    region, ranking
        Column key -> values, of the drawn region and of the run; left out where they are of another SAE.
    found
        In how many other trainings each latent was found again, in the place of what lay beside the model's SAE.
    """
    maps, model, run = session.maps, session.model, session.run
    widths = (
        maps.shape[0] if maps is not None else 0,
        model.n_latents if model is not None else 0,
        run.n_latents if run is not None else 0,
    )
    h = next((width for width in widths if width), 0)
    values: dict[str, NDArray[Any]] = {LATENT.key: np.arange(h)}
    if h and session.verdicts is not None:
        lookup = session.verdicts
        judged = getattr(lookup, "latents", None)  # a few of thousands
        values[VERDICT.key] = written = np.full(h, "", dtype=object)
        for latent in range(h) if judged is None else judged():
            if latent < h:
                written[latent] = lookup(latent) or ""
    if h and session.names:
        values |= name_values(session, h)
    if session.best_labels is not None and session.best_labels.r.size == h and not session.blind:
        best = session.best_labels
        values |= {
            BEST_LABEL.key: best.labels, LABEL_R.key: best.r, LABEL_AUROC.key: best.auroc, LABEL_CHANCE: best.chance
        }  # fmt: skip
    values |= {key: column for known in (region, ranking) for key, column in known.items() if column.size == h}
    found = found or (model.found_again if model is not None else None)
    if found is not None and len(found.counts) == h:
        values[FOUND.key] = found.counts
    if model is not None and model.groups and model.n_latents == h:
        values[GROUP.key] = np.repeat(np.arange(1, len(model.groups) + 1), model.groups)
    classes: tuple[str, ...] = model.classes if model is not None else ()
    if maps is not None:
        values |= {MEAN.key: maps.pooled_mean, MAXIMUM.key: maps.pooled_max, CELLS.key: maps.active_cells}
        if model is not None and model.n_latents == h and (ledger := maps.ledger(model)):
            values |= {f"image.logit.{name}": added for name, added in zip(classes, ledger[0], strict=True)}
    known = (  # in a narrow dock the first ones are in sight
        LATENT,
        VERDICT,
        NAME,
        *REGION,
        *logit_columns(classes, "region"),
        *RUN,
        SCORE,
        *LABELS,
        GROUP,
        FOUND if found is None else replace(FOUND, write=lambda row: f"{found.counts[row]} of {found.others}"),
        *IMAGE,
        *logit_columns(classes, "image"),
    )
    return [column for column in known if column.key in values], values


def name_values(session: Session, h: int) -> dict[str, NDArray[Any]]:
    """Suggested names, their scores (NaN without one), and which are no better than chance; (h,) each."""
    names, scores, chance = np.full(h, "", dtype=object), np.full(h, np.nan), np.zeros(h, dtype=np.bool_)
    for latent, found in session.names.items():
        if latent < h:
            names[latent], chance[latent] = found.name, not found.beats_chance
            scores[latent] = np.nan if found.score is None else found.score
    return {NAME.key: names, SCORE.key: scores, CHANCE: chance}

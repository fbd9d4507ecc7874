"""Interventions over a run whose latents do not add up to the logits: images passed through the network again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base.progress import Report, ignore
from ..base.provenance import provenance
from ..ranking.orders import union_mask
from ..runs.classes import logits_of_label
from ..runs.passes import DRAWN, pass_images
from ..runs.sample import Sample, Unit, sample_of
from ..stats.bootstrap import patient_weights, percentile_interval
from .cohort import Cohort
from .edit import Edit, Form, Mode, mask_of
from .effects import change_of_measures
from .masked_pass import EditableImage
from .measures import check_labels, measures_of_resamples, why_no_intervals
from .of_run import DEFAULT_KS, InterventionEffect, KSweep, Order, entry_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ..models.model import MammoSAE
    from ..runs.run import Run
    from ..stats.measures import FloatArray
    from .sweep import SweepMode


def sweep_by_passes(
    run: Run,
    model: MammoSAE,
    label: str,
    ranking: Order = "diff",
    *,
    modes: Sequence[SweepMode] = ("keep", "zero"),
    form: Form = "replace",
    ks: Sequence[int] | None = None,
    rank_split: str | None = None,
    eval_split: str | None = None,
    unit: Unit = "image",
    intervals: bool = True,
    logit: str | None = None,
    count: int = DRAWN,
    root: Path | None = None,
    progress: Report = ignore,
    notice: Callable[[str], None] = lambda text: None,
) -> KSweep:
    """As `sweep`, for a model that is not linear behind its SAE: every image is passed through the network again.

    Latents are ranked on all images of the run; predictions are measured on those drawn.

    Parameters
    ----------
    run, model, label, ranking, modes, form, ks, rank_split, eval_split, unit, intervals, logit
        As of `sweep`.
    count
        Images to draw, of each class in proportion; 0 for all.
    root
        Folder of the images; by default looked for around the run.
    progress, notice
        Told of every image, and how long all will take.

    Raises
    ------
    RunError, SettingsError, ModelError
        As `sweep`.
    ImageError
        An image is not found or not the one the run was made from.
    """
    sample = sample_of(run, label, eval_split, unit).draw(count)
    cohort, places = _labelled(run, model, label, sample, logit)
    labels = check_labels(cohort.labels, len(places))
    ranked_on = rank_split or eval_split
    first = entry_of(run, model, label, ranking, ranked_on, unit, logit)
    h = run.n_latents
    chosen = [*(k for k in DEFAULT_KS if k < h), h] if ks is None else list(ks)
    steps = [(mode, k, union_mask(first, k)) for mode in modes for k in chosen]
    edits = [Edit(mask, mode, form) for mode, _, mask in steps]
    logits = _passed(run, model, sample, edits, root, progress, notice)[:, :, places]
    note = why_no_intervals(labels, cohort.patients, len(places))
    weights = patient_weights(cohort.patients) if intervals and not note else None
    rows = []
    for (mode, k, mask), found in zip(steps, logits, strict=True):
        measures = cohort.measure(found)._asdict()
        row: dict[str, Any] = {"mode": mode, "form": form, "k": k, "union_size": int(mask.sum())} | measures
        samples = {} if weights is None else measures_of_resamples(labels, found, weights, cohort.decides)
        for name in measures if intervals else ():
            interval = percentile_interval(samples.get(name, np.array([np.nan])), note)
            row |= {f"{name}_lo": interval.lo, f"{name}_hi": interval.hi}
        rows.append(row | ({"note": note} if intervals else {}))
    settings = settings_of(run, model, label, cohort, form, eval_split, unit, logit) | {
        "order": ranking if isinstance(ranking, str) else "given", "rank_split": ranked_on, "modes": list(modes),
        "k": chosen, "drawn": count, "ranked_and_scored_on_the_same_images": False,
    }  # fmt: skip
    record = provenance("intervene", settings, model) | {"used": sample.used.describe(), "notes": []}
    if isinstance(ranking, str):
        record["ranked_on"] = sample_of(run, label, ranked_on, unit).used.describe()
        settings["ranked_and_scored_on_the_same_images"] = ranked_on == eval_split
    return KSweep(pd.DataFrame(rows), record)


def intervene_by_passes(
    run: Run,
    model: MammoSAE,
    latents: Iterable[int],
    label: str,
    *,
    mode: Mode = "zero",
    value: float | None = None,
    form: Form = "replace",
    split: str | None = None,
    unit: Unit = "image",
    logit: str | None = None,
    count: int = DRAWN,
    root: Path | None = None,
    progress: Report = ignore,
    notice: Callable[[str], None] = lambda text: None,
) -> InterventionEffect:
    """As `intervene`, for a model that is not linear behind its SAE; see `sweep_by_passes`."""
    sample = sample_of(run, label, split, unit).draw(count)
    cohort, places = _labelled(run, model, label, sample, logit)
    edit = Edit(mask_of(latents, run.n_latents), mode, form, value)
    nothing = Edit(np.zeros(run.n_latents, np.bool_), "zero", form)
    before, after = _passed(run, model, sample, [nothing, edit], root, progress, notice)[:, :, places]
    rows = change_of_measures(cohort, before, after)
    for place, (name, what) in enumerate({"mode": mode, "form": form, "set_size": int(edit.mask.sum())}.items()):
        rows.insert(place, name, what)
    settings = settings_of(run, model, label, cohort, form, split, unit, logit) | {
        "mode": mode,
        "null": 0,
        "drawn": count,
    }
    record = provenance("intervene", settings, model) | {"used": sample.used.describe()}
    return InterventionEffect(edit, rows, record | {"edit": edit.describe(), "remark": edit.remark})


def _passed(
    run: Run, model: MammoSAE, sample: Sample, edits: Sequence[Edit], root: Path | None, report: Report, notice: Any
) -> FloatArray:
    """Logits (len(edits), n, C) of the images that count, as often as they do."""
    rows, back = np.unique(sample.rows, return_inverse=True)
    found = pass_images(
        run, model, rows, lambda features: EditableImage(model, features).logits(edits),
        root=root, report=report, notice=notice,
    )  # fmt: skip
    return np.stack(found, axis=1)[:, back]


def _labelled(run: Run, model: MammoSAE, label: str, sample: Sample, logit: str | None) -> tuple[Cohort, list[int]]:
    """Labels and patients of the images that count, and the places of the logits; no latent adds a known amount."""
    run.check_model(model)
    scored = logits_of_label(run, label, logit, model)
    places = list(scored.places)
    unknown = np.full((len(places), run.n_latents), np.nan)
    everything = Cohort.of(
        run.pooled("mean"), unknown, np.full(len(places), np.nan), patients=run.images["patient"].to_numpy(),
        decides=model.head_of(places[0]).decides,
    )  # fmt: skip
    return everything.take(sample.rows, scored.positions(sample.known)), places

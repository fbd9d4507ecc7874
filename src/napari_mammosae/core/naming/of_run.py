"""Evaluating the latents of a run: what they stand for, against chance, raw channels, an untrained SAE and PCA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ..base.arguments import expect
from ..base.errors import MammoSAEError, RunError, SettingsError
from ..base.progress import reporting
from ..base.provenance import provenance
from ..base.text import counted
from ..models.facts import ModelFacts
from ..runs.making.model_spec import model_of_run
from ..runs.sample import Used, in_split, unread_images
from .concepts import FEWEST_IMAGES, make_concepts
from .evaluation import measure_units
from .monosemanticity import unit_rows
from .permutation import PermuteBy, permute_patients
from .result import ConceptEvaluation
from .run_labels import RunLabels, labels_of_run
from .shortcuts import report_shortcuts
from .suggested import names_of
from .units import POOLS, Pool, baselines_of, embeddings_of, latents_of, rows_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..base.progress import Report
    from ..models.model import MammoSAE
    from ..runs.run import Run
    from ..stats.measures import BoolArray, FloatArray, IntArray
    from .evaluation import Measured
    from .pair_measures import PairMeasures


def evaluate(
    run: Run,
    labels: str | Path | Sequence[str | Path] | None = None,
    *,
    pools: Sequence[Pool] = POOLS,
    permutations: int = 200,
    permute_by: PermuteBy = "patient",
    split: str | None = None,
    confounders: Sequence[str] = (),
    model: MammoSAE | ModelFacts | str | None = None,
    shortcuts: bool = True,
    untrained: Run | None = None,
    embeddings: Run | None = None,
    pairs: str | Path | None = None,
    pair_runs: str | Path | None = None,
    intervals: bool = True,
    fewest: int = FEWEST_IMAGES,
    seed: int = 0,
    progress: bool | Report = False,
) -> ConceptEvaluation:
    """Measure how well the latents of a run stand for labels, and for how the images were taken.

    Parameters
    ----------
    run
        The run.
    labels
        One or more label tables; by default the run's own labels. View and side are taken from the run or the tables.
    pools
        How a map becomes one number an image: "mean", "max" or both.
    permutations, permute_by, seed
        How many permutations chance is drawn from, what they move (whole patients, or single images, which is wrong
        where patients have several), and their seed.
    split
        Only images of this split: one of the run's, or of the tables where the run knows none.
    confounders
        Labels that say nothing of the breast, beside the usual ones (view, side, vendor, model, marker ...).
    model
        The run's model, its facts, or its name, for the report of shortcuts and for pairs; by default the one the run
        was made with.
    shortcuts
        Whether they are reported.
    untrained
        A run over the same images with an untrained SAE, for the baseline.
    embeddings
        A run of another model over the same images, whose channels say which images look alike; by default the run's
        own, which the SAE reads itself.
    pairs
        A folder of pairs of images that differ by one thing, made by `phantoms --pairs`; needs the model.
    pair_runs
        Folder for the runs over the pairs, which are resumed if they are there; by default beside the pairs.
    intervals
        Whether AUROCs get 95 % intervals (DeLong, clustered by patient).
    fewest
        Images with and without a concept that it must have, and on which a latent must fire to be tested.
    progress
        Whether to show a progress bar, or a function that takes reports.

    Returns
    -------
    ConceptEvaluation
        `table()` has one row a live latent; `concepts()`, `correlations()`, `comparison()` and `shortcuts` the rest.

    Raises
    ------
    FindingsError, RunError
        A table cannot be read or names none of the images, or another run is of other images.
    SettingsError
        Nothing is left to measure, or a setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> found = ms.evaluate(ms.open_run("run"), permutations=20, fewest=2)  # of 12 images
    >>> found.comparison()["units"].tolist()
    ['latents', 'raw channels', 'untrained SAE', 'PCA']
    """
    for one in (run, *filter(None, (untrained, embeddings))):
        expect(one, "run")
    if not pools or not set(pools) <= set(POOLS):
        raise SettingsError(f"poolings {', '.join(map(str, pools)) or 'none'}; choose from {', '.join(POOLS)}.")
    if permute_by not in get_args(PermuteBy):
        raise SettingsError(f"permutations move a patient or an image, not {permute_by!r}.")
    given = [labels] if isinstance(labels, (str, Path)) else list(labels or ())
    known = labels_of_run(run, [Path(path) for path in given])
    notes = list(known.notes)
    rows, used = _images_used(run, known, split)
    patients = known.patients[rows]
    concepts = make_concepts(
        {name: values[rows] for name, values in known.values.items()}, patients, known.categories, confounders, fewest
    )
    if not concepts.names:
        why = "; ".join(f"{name}: {reason}" for name, reason in concepts.left_out.items())
        raise SettingsError(f"{run.path.name} has no label to measure latents by ({why or 'it has none'}).")
    with reporting(progress) as report:
        report("Reading activations")
        units = latents_of(run, rows, pools)
        if not len(units.numbers):
            raise SettingsError(
                f"no latent fires on the {counted(used.used, 'image')} of {run.path.name} that are used."
            )
        shuffled = permute_patients(patients, _places(run.images.iloc[rows]), permutations, seed, permute_by)
        if shuffled.alone:
            notes.append(
                f"{counted(shuffled.alone, 'patient')} with a number of images that no other has: "
                "the labels stay as they are there"
            )
        alike = _embeddings(run, rows, embeddings, notes)
        measured = measure_units(
            units, concepts, patients, shuffled, alike, intervals=intervals, fewest=fewest, progress=report
        )  # fmt: skip
        others, missing = baselines_of(run, rows, pools, len(units.numbers), untrained, seed)
        notes += missing
        baselines = tuple(
            measure_units(other, concepts, patients, shuffled, alike, fewest=fewest, progress=report)
            for other in others
        )
        pushing = _shortcuts(run, rows, measured, model, notes) if shortcuts else None
        paired = None if pairs is None else _pairs(run, model, Path(pairs), pair_runs, seed, report)
    settings: dict[str, Any] = {
        "run": run.path, "labels": [Path(path).name for path in given], "pools": list(pools),
        "permutations": permutations, "permute_by": permute_by, "split": split, "seed": seed, "intervals": intervals,
        "fewest": fewest,
        "confounders": sorted(concepts.confounders), "untrained": None if untrained is None else untrained.path,
        "embeddings": (embeddings or run).path, "pairs": None if pairs is None else Path(pairs),
    }  # fmt: skip
    people = int(np.unique(patients).size)
    record = provenance("evaluate", settings) | {
        "made_with": run.made_with, "used": used.describe() | {"patients": people}, "threshold": measured.threshold,
        "left_out": dict(concepts.left_out), "notes": notes,
    }  # fmt: skip
    return ConceptEvaluation(
        measured, baselines, pushing, used, people, run.n_latents, tuple(notes), record, paired or (), names_of(run)
    )


def _pairs(
    run: Run,
    model: MammoSAE | ModelFacts | str | None,
    pairs: Path,
    runs: str | Path | None,
    seed: int,
    progress: Report,
) -> tuple[PairMeasures, ...]:
    from .pairs_of_model import evaluate_pairs  # torch

    found = model_of_run(run, model) if model is None or isinstance(model, str) else model
    if isinstance(found, ModelFacts):
        raise SettingsError("pairs need the model itself, not its facts.")
    run.check_model(found)
    return evaluate_pairs(pairs, found, Path(runs or pairs.parent / f"{pairs.name}-runs"), seed=seed, progress=progress)


def _images_used(run: Run, known: RunLabels, split: str | None) -> tuple[IntArray, Used]:
    """Rows of the images that have any label, and how many that are."""
    out: dict[str, BoolArray] = {}
    if split is not None:
        out[f"not of split {split}"] = ~in_split(run, known.splits, split)
    out["without any label"] = ~known.labelled
    used = Used.of_masks(out, len(run), unread_images(run))
    return np.flatnonzero(~np.logical_or.reduce(list(out.values()))), used


def _places(images: pd.DataFrame) -> np.ndarray:
    """A name for each image that puts those of a patient into one order: side, view, file."""
    columns = [images[name].fillna("").astype(str) for name in ("laterality", "view") if name in images]
    return np.array(["|".join(parts) for parts in zip(*columns, images["path"].astype(str), strict=True)])


def _embeddings(run: Run, rows: IntArray, other: Run | None, notes: list[str]) -> FloatArray | None:
    try:
        if other is not None:
            return unit_rows(embeddings_of(other, rows_in(other, run, rows)))
        found = unit_rows(embeddings_of(run, rows))
    except RunError as error:
        notes.append(f"no monosemanticity, clarity and redundancy: {error}")
        return None
    notes.append(
        "monosemanticity, clarity and redundancy rest on the run's own channels, which the SAE reads itself; a run of "
        "another model is independent evidence"
    )
    return found


def _shortcuts(
    run: Run, rows: IntArray, measured: Measured, model: MammoSAE | ModelFacts | str | None, notes: list[str]
) -> pd.DataFrame | None:
    try:
        found = model_of_run(run, model) if model is None or isinstance(model, str) else model
        return report_shortcuts(run, rows, measured, found)
    except MammoSAEError as error:
        if model is not None:
            raise
        notes.append(f"no report of shortcuts: {error}")
        return None

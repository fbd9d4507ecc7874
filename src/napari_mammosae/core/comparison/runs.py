"""Two runs of two models under one SAE: compared, and written as tables and figures."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, csr_array

from ..annotations.label_values import DENSITIES
from ..base.errors import RunError, SettingsError
from ..base.provenance import provenance
from ..ranking.scores import LabelledPool
from ..runs.classes import categories_of, class_number, classes_of, logits_of_label
from ..runs.run import Run
from ..stats.measures import IntArray
from .models import ModelComparison, ModelSide, compare_models


def compare(a: Run, b: Run, label: str, category: int | str | None = None) -> ModelComparison:
    """Compare the models of two runs by a label that both have.

    Parameters
    ----------
    a, b
        Runs made with the same SAE. The images that both have are compared; `notes` says how many they are.
    label, category
        The label, and the class of it that is set against the rest, by number or name; by default class 1, present,
        and of densities and other numbers the highest.

    Raises
    ------
    RunError
        If the runs were made with different SAEs, or one lacks the label.
    SettingsError
        If the runs have no image in common, or the class is missing in one of them.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run = ms.open_run("run")
    >>> ms.compare(run, run, "mass").table()["change"].abs().max().item()
    0.0
    """
    if a.info["sae_sha256"] != b.info["sae_sha256"]:
        raise RunError(
            f"{a.path.name} and {b.path.name} were made with different SAEs ({a.info['sae_sha256'][:8]} and "
            f"{b.info['sae_sha256'][:8]}); their latents have nothing to do with each other."
        )
    names = [run.path.name for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{run.path.name} ({run.info['model']} {run.info['model_sha256'][:8]})" for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{names[0]}, first", f"{names[1]}, second"]
    number, notes = _class(a, b, label, category)
    rows, found = _common(a, b, names)
    known = ~np.isnan(a.label(label)[rows[0]]) & ~np.isnan(b.label(label)[rows[1]])
    rows = rows[0][known], rows[1][known]
    if left := int((~known).sum()):
        notes.append(f"{left} of these images are left out: their {label} is not known in both runs")
    if differ := int((a.label(label)[rows[0]] != b.label(label)[rows[1]]).sum()):
        notes.append(f"{label} differs between the runs on {differ} images")
    first, second = (_side(*one, label, notes) for one in zip((a, b), names, rows, strict=True))
    comparison = compare_models(first, second, number)
    record = {"runs": [{"name": name} | run.made_with for name, run in zip(names, (a, b), strict=True)]}
    return replace(
        comparison,
        provenance=provenance("compare", {"label": label, "class": number, "images": int(known.sum())}) | record,
        notes=(*found, *notes, *comparison.notes),
    )


def _class(a: Run, b: Run, label: str, category: int | str | None) -> tuple[int, list[str]]:
    """The number of the class that is compared, and what there is to say of it."""
    notes = []
    if category is None and (highest := _highest(a, b, label)) is not None:
        category, name = highest
        notes.append(f"class {name} of {label} is set against the rest; --class names another one")
    numbers = [class_number(run, label, category) for run in (a, b)]
    texts = [categories_of(run, label)[number : number + 1] for run, number in zip((a, b), numbers, strict=True)]
    if numbers[0] != numbers[1] or texts[0] != texts[1]:
        raise SettingsError(f"class {category!r} of {label!r} has other numbers in {a.path.name} and {b.path.name}.")
    return numbers[0], notes


def _highest(a: Run, b: Run, label: str) -> tuple[int, str] | None:
    """The highest class of a label of more than two ordered classes; None for others."""
    if any(categories_of(run, label) not in ((), DENSITIES) for run in (a, b)):
        return None
    shared = sorted(set(classes_of(a, label)) & set(classes_of(b, label)))
    return shared[-1] if shared and (categories_of(a, label) or shared[-1][0] > 1) else None


def _common(a: Run, b: Run, names: list[str]) -> tuple[tuple[IntArray, IntArray], list[str]]:
    """Rows of the images that both runs have, known by the hash of their files, and what there is to say."""
    tables = [run.images[["sha256", "image_id"]] for run in (a, b)]
    keys = [
        table.assign(copy=table.groupby("sha256").cumcount()).set_index(["sha256", "copy"]).index for table in tables
    ]
    place = keys[1].get_indexer(keys[0])
    rows = np.flatnonzero(place >= 0), place[place >= 0]
    if not rows[0].size:
        raise SettingsError(f"{names[0]} and {names[1]} have no image in common; make both runs over the same images.")
    count, notes = rows[0].size, []
    if count < max(len(a), len(b)):
        notes.append(
            f"compared over the {count} images that both runs have; {names[0]} has {len(a)}, {names[1]} {len(b)}"
        )
    others = [set(table["image_id"].drop(table.index[own])) for table, own in zip(tables, rows, strict=True)]
    if clashing := len(others[0] & others[1]):
        notes.append(f"{clashing} images have one name in both runs but are different files, and are left out")
    if a.info["model_sha256"] == b.info["model_sha256"]:
        notes.append("both runs were made with the same model")
    return rows, notes


def _side(run: Run, name: str, rows: IntArray, label: str, notes: list[str]) -> ModelSide:
    """One run; without predictions where its model predicts something else than the label."""
    pooled = csc_array(csr_array(run.pooled("mean"))[rows])
    pool = LabelledPool(pooled, run.label(label)[rows], patients=run.images["patient"].to_numpy()[rows])
    try:
        logits = logits_of_label(run, label)
    except SettingsError as error:
        notes.append(f"the predictions of {name} are not measured: {error}")
        return ModelSide.of(name, pool)
    return ModelSide.of(name, pool, run.logits[rows][:, logits], run.logits_sae[rows][:, logits])

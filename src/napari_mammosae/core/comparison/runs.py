"""Two runs of two models under one SAE: compared, and written as tables and figures."""

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.sparse import csc_array, csr_array

from ..annotations.positives import DENSITIES
from ..base.arguments import expect
from ..base.errors import RunError, SettingsError
from ..base.provenance import provenance
from ..base.text import counted
from ..ranking.files import PUBLISHED, check_order, published_ranking
from ..ranking.of_run import pool_of_sample
from ..ranking.orders import Ranking
from ..ranking.scores import LabelledPool, Score, score_latents
from ..runs.classes import LabelLogits, categories_of, class_number, classes_of, logits_of_label
from ..runs.run import Run
from ..runs.sample import Sample, Unit, sample_of
from ..stats.measures import IntArray
from .models import ModelComparison, ModelSide, compare_models


def compare(
    a: Run,
    b: Run,
    label: str,
    category: int | str | None = None,
    *,
    rank_split: str | None = None,
    eval_split: str | None = None,
    unit: Unit = "image",
    order: str | None = None,
) -> ModelComparison:
    """Compare the models of two runs by a label that both have.

    Parameters
    ----------
    a, b
        Runs made with the same SAE. The images that both have are compared; `notes` says how many they are.
    label, category
        The label, and the class of it that is set against the rest, by number or name; by default class 1, present,
        and of densities and other numbers the highest.
    rank_split, eval_split
        Splits that latents are compared on and that predictions are measured on; by default all images.
    unit
        "row" counts an image once for each of its finding rows.
    order
        Order of the latents: a score in the second model, or `published:DIR`; by default those that change most come
        first.

    Raises
    ------
    RunError
        If the runs were made with different SAEs, or one lacks the label.
    SettingsError
        If the runs have no image in common, the class is missing in one of them, or a split, unit or order does not
        exist.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> run = ms.open_run("run")
    >>> ms.compare(run, run, "mass").table()["change"].abs().max().item()
    0.0
    """
    for run in (a, b):
        expect(run, "run")
    if a.info["sae_sha256"] != b.info["sae_sha256"]:
        raise RunError(
            f"{a.path.name} and {b.path.name} were made with different SAEs ({a.info['sae_sha256'][:8]} and "
            f"{b.info['sae_sha256'][:8]}); their latents have nothing to do with each other."
        )
    if order is not None:
        check_order(order)
    names = _names(a, b)
    number, notes = _class(a, b, label, category)
    common, found = _common(a, b, names)
    predicted = [_logits(run, name, label, notes) for run, name in zip((a, b), names, strict=True)]
    ranked = _samples(a, b, names, label, rank_split, unit, common)
    scored = ranked if eval_split == rank_split else _samples(a, b, names, label, eval_split, unit, common)
    notes += _differences(a, b, label, common, ranked)
    for samples, what in ((ranked, ""), (scored, ", predictions")) if scored is not ranked else ((ranked, ""),):
        notes += [f"{name}{what}: {sample.used}" for name, sample in zip(names, samples, strict=True)]
    parts = zip((a, b), names, predicted, ranked, scored, strict=True)
    sides = [
        (_side(run, name, first, logits), _side(run, name, second, logits))
        for run, name, logits, first, second in parts
    ]
    comparison = compare_models(
        sides[0][0],
        sides[1][0],
        number,
        measured=(sides[0][1], sides[1][1]),
        ranking=None if order is None else _ranking(b, ranked[1], order, number),
    )
    record = {
        "runs": [
            {"name": name, "used": first.used.describe(), "measured_on": second.used.describe()} | run.made_with
            for name, run, first, second in zip(names, (a, b), ranked, scored, strict=True)
        ]
    }
    settings = {
        "label": label, "class": number, "images": ranked[0].rows.size, "rank_split": rank_split,
        "eval_split": eval_split, "unit": unit, "order": order or "change",
    }  # fmt: skip
    return replace(
        comparison,
        provenance=provenance("compare", settings) | record,
        notes=(*found, *notes, *comparison.notes),
    )


def _names(a: Run, b: Run) -> list[str]:
    """What to call the two runs, so that they can be told apart."""
    names = [run.path.name for run in (a, b)]
    if names[0] == names[1]:
        names = [f"{run.path.name} ({run.info['model']} {run.info['model_sha256'][:8]})" for run in (a, b)]
    return [f"{names[0]}, first", f"{names[1]}, second"] if names[0] == names[1] else names


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
            f"compared over {counted(count, 'image')} that both runs have; {names[0]} has {len(a)}, {names[1]} {len(b)}"
        )
    others = [set(table["image_id"].drop(table.index[own])) for table, own in zip(tables, rows, strict=True)]
    if clashing := len(others[0] & others[1]):
        notes.append(f"left out, as both runs have different files of that name: {counted(clashing, 'image')}")
    if a.info["model_sha256"] == b.info["model_sha256"]:
        notes.append("both runs were made with the same model")
    return rows, notes


def _samples(
    a: Run, b: Run, names: list[str], label: str, split: str | None, unit: Unit, common: tuple[IntArray, IntArray]
) -> tuple[Sample, Sample]:
    """The images of a split that count in both runs."""
    both = [sample_of(run, label, split, unit) for run in (a, b)]
    counted = np.isin(common[0], both[0].rows) & np.isin(common[1], both[1].rows)
    if not counted.any():
        where = f" of split {split!r}" if split else ""
        raise SettingsError(f"no image{where} that {names[0]} and {names[1]} have in common has a known {label!r}.")
    found = []
    for sample, mine, other in zip(both, common, reversed(names), strict=True):
        kept, there = np.isin(sample.rows, mine[counted]), np.isin(sample.rows, mine)
        left = {f"not in {other}": int((~there).sum()), f"not counted in {other}": int((there & ~kept).sum())}
        out = dict(sample.used.left_out) | {reason: count for reason, count in left.items() if count}
        used = replace(sample.used, used=int(kept.sum()), left_out=out)
        found.append(Sample(sample.rows[kept], sample.known[kept], used))
    return found[0], found[1]


def _differences(
    a: Run, b: Run, label: str, common: tuple[IntArray, IntArray], samples: tuple[Sample, Sample]
) -> list[str]:
    """What the two runs say differently of the images that are compared."""
    notes = []
    first, second = (run.label(label)[rows] for run, rows in zip((a, b), common, strict=True))
    here = np.isin(common[0], samples[0].rows)
    if differ := int((first != second)[here].sum()):
        notes.append(f"{label} differs between the runs on {counted(differ, 'image')}")
    if samples[0].rows.size != samples[1].rows.size:
        notes.append("the runs have different finding rows of these images")
    return notes


def _ranking(run: Run, sample: Sample, order: str, number: int) -> Ranking:
    """The order of the latents: a published one, or that of a score in a model."""
    if order.startswith(PUBLISHED):
        return published_ranking(order, number)
    if order == "attribution":
        raise SettingsError("the order 'attribution' needs the model; `rank --score attribution` gives it.")
    return Ranking.of(score_latents(pool_of_sample(run, sample), cast("Score", order), number))


def _logits(run: Run, name: str, label: str, notes: list[str]) -> LabelLogits | None:
    """The logits that are scored against the label; None, with a note, where the model predicts something else."""
    try:
        return logits_of_label(run, label)
    except SettingsError as error:
        notes.append(f"the predictions of {name} are not measured: {error}")
        return None


def _side(run: Run, name: str, sample: Sample, logits: LabelLogits | None) -> ModelSide:
    """One run; without predictions where its model predicts something else than the label."""
    pooled = csc_array(csr_array(run.pooled("mean"))[sample.rows])
    pool = LabelledPool(pooled, sample.labels, patients=run.images["patient"].to_numpy()[sample.rows])
    if logits is None:
        return ModelSide.of(name, pool)
    plain, by_sae = (values[sample.rows][:, logits.places] for values in (run.logits, run.logits_sae))
    return ModelSide.of(name, pool, plain, by_sae, logits)

"""Labels of a run's images, from its own table or from others, and what the run itself knows of how they were taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..annotations.labels import read_labels
from ..base.errors import RunError
from ..base.names import ImageNames, short_name, slug
from ..base.text import counted
from ..runs.classes import categories_of
from ..runs.listed_names import listed_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from ..annotations.positives import Positive
    from ..runs.run import Run
    from ..stats.measures import BoolArray, FloatArray

TAKEN = ("view", "laterality", "vendor", "model")
"""Texts of a run's table, where it has them, that say how an image was taken."""


@dataclass(frozen=True, slots=True, eq=False)
class RunLabels:
    """Labels of the n images of a run.

    Attributes
    ----------
    values
        Label -> (n,) numbers, NaN where unknown.
    categories
        What the numbers of a label stand for.
    patients
        (n,) texts.
    splits
        (n,) texts, None where unknown: the run's, and those of tables where it knows none.
    labelled
        (n,) images of which any label is known, side and view apart; all where there is no other label.
    notes
        What was decided.
    """

    values: dict[str, FloatArray]
    categories: dict[str, tuple[str, ...]]
    patients: np.ndarray
    splits: np.ndarray
    labelled: BoolArray
    notes: tuple[str, ...] = ()


def labels_of_run(run: Run, tables: Sequence[Path] | None = None, positive: Positive | None = None) -> RunLabels:
    """Return the labels of a run's images; of `tables`, where they are given, the first one's known values count.

    Patients are the run's, unless it knows none and a table does. `positive` is as `read_labels` takes it.

    Raises
    ------
    FindingsError
        A table cannot be read.
    RunError
        A table names none of the images.
    """
    values: dict[str, FloatArray] = {}
    categories: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    texts: dict[str, list[np.ndarray]] = {}
    patients = run.images["patient"].astype(str).to_numpy()
    alone = bool((patients == run.images["image_id"].astype(str).to_numpy()).all())
    if not tables:
        for label in run.labels:
            values[label], categories[label] = run.label(label), categories_of(run, label)
    for path in tables or ():
        table, rows, said = _matched(run, path, positive)
        notes += [*table.attrs["notes"], *said]
        for column in (str(name) for name in table if str(name).startswith("label.")):
            label, found = column.removeprefix("label."), np.full(len(run), np.nan)
            own = tuple(table.attrs["categories"].get(label, ()))
            found[rows >= 0] = table[column].to_numpy(np.float64)[rows[rows >= 0]]
            if label not in values:
                values[label], categories[label] = found, own
            elif own == categories[label]:
                values[label] = np.where(np.isnan(values[label]), found, values[label])
            else:
                notes.append(f"{path.name}: its {label} has other categories than an earlier table's and is left out")
        if alone and table["patient"].notna().any():
            given = table["patient"].to_numpy(object)
            patients = np.array(
                [str(given[row]) if row >= 0 and given[row] is not None else own
                 for row, own in zip(rows, patients, strict=True)]
            )  # fmt: skip
            alone = False
            notes.append(f"{path.name}: patients are those of this table, as the run knows none")
        for name in ("view", "laterality", "split"):
            texts.setdefault(name, []).append(_texts(table[name], rows))
    of_run = [run.images["split"].to_numpy(object)] if "split" in run.images else []
    splits = _first_known([*of_run, *texts.pop("split", [])], len(run))
    labelled = [~np.isnan(column) for column in values.values()]
    for name in TAKEN:
        here = [run.images[name].to_numpy(object)] if name in run.images else []
        _add_texts(values, categories, name, [*here, *texts.get(name, [])])
    if np.unique(patients).size == len(patients):
        notes.append("every image counts as a separate patient: neither the run nor a table names patients")
    some = np.logical_or.reduce(labelled) if labelled else np.ones(len(run), np.bool_)
    return RunLabels(values, categories, patients, splits, some, tuple(notes))


def _matched(run: Run, path: Path, positive: Positive | None) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """A table of labels, the row that names each image (-1: none), and what to know of that."""
    table = read_labels(path, positive)
    found = ImageNames(map(str, table.index)).match(listed_names(run.images))
    rows = np.array([-1 if place is None else place for place in found.places], np.int64)
    if (rows < 0).all():
        raise RunError(
            f"{path.name} names none of the {counted(len(run), 'image')} of {run.path.name}. It names images such as "
            f"{short_name(str(table.index[0]))!r}; those of the run are such as {run.images['image_id'].iloc[0]!r}."
        )
    return table, rows, [f"{path.name}: {note}" for note in found.notes]


def _texts(column: pd.Series, rows: np.ndarray) -> np.ndarray:
    texts = column.to_numpy(object)
    return np.array([texts[row] if row >= 0 else None for row in rows], object)


def _first_known(columns: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The first text that is known in each row, None without one."""
    rows = zip(*columns, strict=True) if columns else [()] * count
    found = [next((str(text) for text in row if isinstance(text, str) and text), None) for row in rows]
    return np.array(found, object)


def _add_texts(
    values: dict[str, FloatArray], categories: dict[str, tuple[str, ...]], name: str, columns: Sequence[np.ndarray]
) -> None:
    """Number the texts of a label that no table has yet; the first column's known ones count."""
    found = _first_known(columns, len(columns[0]) if columns else 0)
    names = sorted({text for text in found if text})
    if slug(name) not in values and names:
        values[name] = np.array([np.nan if text is None else names.index(text) for text in found], np.float64)
        categories[name] = tuple(names)

"""Labels of a run and the model's logits: which logit speaks for a class of a label, which images count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..base.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ..stats.measures import BoolArray, FloatArray, IntArray
    from .run import Run


def logits_of_label(run: Run, label: str) -> list[int]:
    """Return which logits are scored against a label: its own, the only one, or all of a model of several classes.

    Raises
    ------
    SettingsError
        If the model predicts something else.
    """
    classes = run.classes
    if run.info["task"] == "multiclass":
        categories = run.info.get("categories", {}).get(label, ())
        if len(categories) == len(classes) or all(name.startswith(f"{label}_") for name in classes):
            return list(range(len(classes)))
    elif label in classes:
        return [classes.index(label)]
    elif len(classes) == 1:
        return [0]
    raise SettingsError(
        f"the model of {run.path.name} predicts {', '.join(classes) or 'nothing'}, which cannot be scored against the "
        f"label {label!r}."
    )


def labelled_rows(run: Run, label: str, split: str | None = None, unit: Unit = "image") -> tuple[IntArray, FloatArray]:
    """Return the positions of images of known label in the run's table, as often as they count, and their labels.

    Parameters
    ----------
    run, label
        The images and what is known about them.
    split
        Only images of this split, such as "training".
    unit
        "row" counts an image once for each of its finding rows, as the published protocol does.

    Raises
    ------
    SettingsError
        If the run has no finding rows, no such split, or nothing is left.
    RunError
        If it has no such label.
    """
    values = run.label(label)
    positions, splits = np.arange(len(run)), run.images["split"].to_numpy(object)
    if unit == "row":
        if run.rows is None:
            raise SettingsError(f"{run.path.name} was labelled image by image and has no finding rows; use unit image.")
        positions, found = row_positions(run.rows["image"].to_numpy(), run.numbers)
        values = run.rows[f"label.{label}"].to_numpy(np.float64)[found]
        splits = run.rows["split"].to_numpy(object)[found]
    chosen = ~np.isnan(values)
    if split is not None:
        names = sorted({str(name) for name in splits if isinstance(name, str)})
        if split not in names:
            raise SettingsError(f"{run.path.name} has no split {split!r}; it has {', '.join(names) or 'none'}.")
        chosen &= splits == split
    if not chosen.any():
        raise SettingsError(f"no image{f' of split {split!r}' if split else ''} has a known {label!r}.")
    return positions[chosen], values[chosen]


Unit = Literal["image", "row"]


def classes_of(run: Run, label: str) -> tuple[tuple[int, str], ...]:
    """Class numbers of a label that occur in a run, with what to call them; the class of interest first."""
    values = run.label(label)
    found = np.unique(values[~np.isnan(values)]).astype(int)
    names: Sequence[str] = run.info.get("categories", {}).get(label, ())
    if names:
        return tuple((int(c), str(names[c]).replace("_", " ") if c < len(names) else str(c)) for c in found)
    if set(found) <= {0, 1}:
        return tuple((int(c), ("absent", "present")[c]) for c in found[::-1])
    return tuple((int(c), str(c)) for c in found)


def logit_of(classes: Sequence[str], label: str, category: int, run: Run) -> int | None:
    """Place of the logit that belongs to a class of a label; None when the model has none for it."""
    names = [label] if category == 1 else []
    categories = run.info.get("categories", {}).get(label, ())
    if category < len(categories):
        names = [f"{label}_{categories[category]}", str(categories[category]), *names]
    return next((list(classes).index(name) for name in names if name in classes), None)


def row_positions(row_images: ArrayLike, images: ArrayLike) -> tuple[IntArray, BoolArray]:
    """Find the position of each finding row's image among the images of a run, for scoring by row.

    Parameters
    ----------
    row_images : (m,)
        Image of each row (number or name).
    images : (n,)
        Images of the run, each once; failed ones are missing.

    Returns
    -------
    positions : (k,) int64
        For the rows whose image is there.
    found : (m,) bool
        Which rows those are.
    """
    names, wanted = np.asarray(images), np.asarray(row_images)
    if np.unique(names).size != names.size:
        raise SettingsError("an image occurs twice in the run; rows cannot be told apart.")
    if not names.size:
        raise SettingsError("the run holds no image.")
    order = np.argsort(names)
    place = np.minimum(np.searchsorted(names, wanted, sorter=order), names.size - 1)
    found = np.asarray(names[order[place]] == wanted)
    return order[place[found]], found

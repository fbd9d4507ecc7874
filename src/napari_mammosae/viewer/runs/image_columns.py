"""The images of a run as a list to choose from: columns, filters, what was predicted wrongly. Knows no Qt."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.base.errors import SettingsError
from ...core.base.text import readable
from ...core.runs.classes import predictions_of, probabilities_of_run
from ...core.runs.run import Run
from ..widgets.columns import Column

ABSENT = "no "


Listed: TypeAlias = "tuple[Column, NDArray[Any]]"
"""A column of the list, and its values by row of the run's table."""


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images are listed.

    Attributes
    ----------
    text
        Words that must all occur in the identifier, the patient, the laterality or the view.
    split
        Name of a split; empty for all.
    label, value
        A label and the value it must have; an empty label asks for nothing.
    wrong
        Only images on which a prediction differs from the label (the one named, or any).
    """

    text: str = ""
    split: str = ""
    label: str = ""
    value: float = 1.0
    wrong: bool = False

    def mask(self, run: Run) -> NDArray[np.bool_] | None:
        """Which rows pass, (n,); None when nothing is asked for."""
        parts: list[NDArray[np.bool_]] = []
        if words := self.text.lower().split():
            texts = _searchable(run)
            parts += [np.char.find(texts, word) >= 0 for word in words]
        if self.split and "split" in run.images:
            parts.append(run.images["split"].astype(str).to_numpy() == self.split)
        if self.label and self.label in run.labels:
            parts.append(run.label(self.label) == self.value)
        if self.wrong:
            found = wrong_predictions(run)
            chosen = [found[self.label]] if self.label in found else list(found.values())
            parts.append(np.logical_or.reduce(chosen) if chosen else np.zeros(len(run), np.bool_))
        return np.logical_and.reduce(parts) if parts else None


def finding_choices(run: Run) -> list[tuple[str, str, float]]:
    """Return what can be asked of the labels: (words, label, value), each value that occurs."""
    found = []
    for label in run.labels:
        values = run.label(label)
        names = run.info.get("categories", {}).get(label, ())
        for value in np.unique(values[~np.isnan(values)])[::-1]:
            found.append((_category(label, value, names), label, float(value)))
    return found


def splits(run: Run) -> list[str]:
    """Names of the splits of the images; empty where nobody split them."""
    if "split" not in run.images:
        return []
    return sorted({str(name) for name in run.images["split"].dropna() if str(name)})


def wrong_predictions(run: Run) -> dict[str, NDArray[np.bool_]]:
    """Label -> (n,) whether the model decides for another class; never where it is unknown."""
    wrong = {}
    for label in run.labels:
        with suppress(SettingsError):  # the model predicts something else
            truth = run.label(label)
            wrong[label] = ~np.isnan(truth) & (predictions_of(run, label) != truth)
    return wrong


def image_columns(run: Run) -> list[Listed]:
    """Return everything the run's table says about its images: the identifier, labels beside predictions, the rest."""
    images = run.images
    ids = images["image_id"].astype(str).to_numpy().astype(object)
    columns = [_texts("image_id", "Image", "File name without its suffix", ids)]
    wrong, chances = wrong_predictions(run), probabilities_of_run(run)
    found: dict[str, list[Listed]] = {}
    for label in run.labels:
        values, names = run.label(label), run.info.get("categories", {}).get(label, ())
        words = partial(_label_text, values, names)
        found[label] = [(_number(f"label.{label}", readable(label), f"Label: {readable(label)}", words), values)]
    for index, name in enumerate(run.classes):
        words = partial(_chance_text, chances[:, index], wrong.get(name, np.zeros(len(run), np.bool_)))
        tip = f"Predicted probability of {readable(name)}; ✗ where the prediction differs from the label"
        column = _number(f"p.{name}", f"p {readable(name)}", tip, words)
        found.setdefault(name, []).append((column, chances[:, index]))
    columns += [column for pair in found.values() for column in pair]
    sides = np.array([text.strip() for text in _joined(run, ("laterality", "view"))], object)
    if any(sides):
        columns.append(_texts("view", "View", "Laterality and view", sides))
    if "fvu" in images and (fvu := images["fvu"].to_numpy()).size:
        tip = "Share of the features' variance that the SAE misses; above 1 its input scale probably differs"
        columns.append((Column("fvu", "FVU", tip, "list", ".2f", shown=bool((fvu > 1).any())), fvu))
    if splits(run):
        names = images["split"].fillna("").astype(str).to_numpy().astype(object)
        columns.append(_texts("split", "Split", "Part of the data set", names))
    return columns


def review_column(run: Run, reviewed: Iterable[int]) -> Listed:
    """How many of the latents that fire on an image have a verdict."""
    pooled = run.pooled("mean")
    live = np.bincount(pooled.indices, minlength=len(run))
    starts = pooled.indptr
    rows = [pooled.indices[starts[one] : starts[one + 1]] for one in reviewed if one < run.n_latents]
    done = np.bincount(np.concatenate([pooled.indices[:0], *rows]), minlength=len(run))
    tip, words = "Latents with a verdict, of those that fire on the image", partial(_count_text, done, live)
    return Column("reviewed", "Reviewed", tip, "list", "d", shown=True, write=words), done / np.maximum(live, 1)


def _texts(key: str, title: str, tip: str, values: NDArray[Any]) -> Listed:
    return Column(key, title, tip, "list", "", rising=True, shown=True), values


def _number(key: str, title: str, tip: str, write: Callable[[int], str]) -> Column:
    """A label or a prediction, which could sway a reviewer."""
    return Column(key, title, tip, "list", ".2f", shown=True, sways=True, write=write)


def _searchable(run: Run) -> NDArray[np.str_]:
    names = [name for name in ("image_id", "patient", "laterality", "view") if name in run.images]
    return np.array([text.lower() for text in _joined(run, names)], np.str_)


def _joined(run: Run, names: Iterable[str]) -> list[str]:
    """Each image's texts in some columns, one after the other; pandas would make a table of each row."""
    texts = (run.images[name].fillna("").astype(str).tolist() for name in names)
    return list(map(" ".join, zip(*texts, strict=True)))


def _category(label: str, value: float, names: Any) -> str:
    if len(names):
        name = names[int(value)] if int(value) < len(names) else int(value)
        return f"{readable(label)} {str(name).replace('_', ' ')}"
    if value in (0.0, 1.0):
        name = readable(label)
        return name if value else name.removeprefix(ABSENT) if name.startswith(ABSENT) else f"{ABSENT}{name}"
    return f"{readable(label)} {value:g}"


def _label_text(values: NDArray[np.float64], names: Any, row: int) -> str:
    value = values[row]
    if np.isnan(value):
        return "?"
    if len(names):
        return str(names[int(value)]) if int(value) < len(names) else f"{value:g}"
    return {0.0: "–", 1.0: "yes"}.get(float(value), f"{value:g}")


def _chance_text(chances: NDArray[np.float64], wrong: NDArray[np.bool_], row: int) -> str:
    return f"{chances[row]:.2f}{' ✗' if wrong[row] else ''}"


def _count_text(done: NDArray[np.int64], of: NDArray[np.int64], row: int) -> str:
    return f"{done[row]:,} / {of[row]:,}"

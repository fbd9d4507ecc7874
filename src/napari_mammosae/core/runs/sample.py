"""Which images of a run a result rests on, as often as they count, and how many are left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..base.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from ..stats.measures import BoolArray, FloatArray, IntArray
    from .run import Run

Unit = Literal["image", "row"]
UNREAD = "not readable"


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a run a result rests on.

    Attributes
    ----------
    used, of
        Images, or finding rows, that count, and how many the run was made over.
    left_out
        Why the others do not count -> how many; without those that are 0.
    unit
        What is counted.

    Examples
    --------
    >>> str(Used(240, 512, {"not of split test": 272}))
    '240 of 512 images used, 272 left out: 272 not of split test'
    """

    used: int
    of: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    unit: Unit = "image"

    @classmethod
    def of_masks(cls, reasons: Mapping[str, BoolArray], count: int, unread: int = 0, unit: Unit = "image") -> Used:
        """Count images (n = `count`) that fall under no reason; one that falls under several goes by the first."""
        kept = np.ones(count, np.bool_)
        left = {UNREAD: unread}
        for reason, mask in reasons.items():
            left[reason] = int((kept & mask).sum())
            kept &= ~mask
        return cls(int(kept.sum()), count + unread, {reason: n for reason, n in left.items() if n}, unit)

    def __str__(self) -> str:
        what = "images" if self.unit == "image" else "finding rows"
        text = f"{self.used:,} of {self.of:,} {what} used"
        if not self.left_out:
            return text
        why = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return f"{text}, {self.of - self.used:,} left out: {why}"

    def describe(self) -> dict[str, Any]:
        """Return what the provenance of a result says."""
        return {"unit": self.unit, "used": self.used, "of": self.of, "left_out": dict(self.left_out), "text": str(self)}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Images that count.

    Attributes
    ----------
    rows
        (k,) their positions in the run's table, as often as they count.
    labels
        (k,) their label; None where no label was asked for.
    used
        How many they are, and why the others are not among them.
    """

    rows: IntArray
    labels: FloatArray | None
    used: Used

    @property
    def known(self) -> FloatArray:
        """The labels, where one was asked for."""
        assert self.labels is not None
        return self.labels

    def draw(self, count: int) -> Sample:
        """Return `count` of the images, drawn at random but always the same: of each label its share, at least one.

        All of them where there are no more, or `count` is 0.
        """
        images, first = np.unique(self.rows, return_index=True)
        if not 0 < count < images.size:
            return self
        groups = np.zeros(images.size) if self.labels is None else self.labels[first]
        rng, place = np.random.default_rng(0), np.empty(images.size)
        for group in np.unique(groups):
            members = rng.permutation(np.flatnonzero(groups == group))
            place[members] = (np.arange(members.size) + 0.5) / members.size
            place[members[0]] = 0
        drawn = np.isin(self.rows, images[np.argsort(place, kind="stable")[:count]])
        left = dict(self.used.left_out) | {"not drawn": int((~drawn).sum())}
        used = replace(self.used, used=int(drawn.sum()), left_out=left)
        return Sample(self.rows[drawn], None if self.labels is None else self.labels[drawn], used)


def unread_images(run: Run) -> int:
    """Return how many images of the run's list could not be used at all."""
    return int(run.info.get("images", len(run))) - len(run)


def in_split(run: Run, splits: ArrayLike | None, split: str) -> BoolArray:
    """Return which values of a column are a split that the run has.

    Raises
    ------
    SettingsError
        There is no such split; the message lists those there are.
    """
    values = np.asarray([] if splits is None else splits, object)
    names = sorted({str(name) for name in values if isinstance(name, str)})
    if split not in names:
        raise SettingsError(f"{run.path.name} has no split {split!r}; it has {', '.join(names) or 'none'}.")
    return np.asarray(values == split, np.bool_)


def sample_of(run: Run, label: str = "", split: str | None = None, unit: Unit = "image") -> Sample:
    """Find the images that count, with their labels.

    Parameters
    ----------
    run
        The images and what is known about them.
    label
        Only images of which it is known; empty for all.
    split
        Only images of this split, such as "training".
    unit
        "row" counts an image once for each of its finding rows, as the published protocol does.

    Raises
    ------
    SettingsError
        The run has no finding rows, no such split, or nothing is left.
    RunError
        It has no such label.
    """
    table, positions, unread = run.images, np.arange(len(run)), unread_images(run)
    if label:
        run.label(label)
    if unit == "row":
        if run.rows is None:
            raise SettingsError(f"{run.path.name} was labelled image by image and has no finding rows; use unit image.")
        positions, found = row_positions(run.rows["image"].to_numpy(), run.numbers)
        table, unread = run.rows[found], int((~found).sum())
    out: dict[str, BoolArray] = {}
    if split is not None:
        out[f"not of split {split}"] = ~in_split(run, table.get("split"), split)
    values = table[f"label.{label}"].to_numpy(np.float64) if label else None
    if values is not None:
        out[f"of unknown {label}"] = np.isnan(values)
    chosen = ~np.any([np.zeros(len(table), np.bool_), *out.values()], axis=0)
    if not chosen.any():
        what = f" has a known {label!r}" if label else " is left"
        raise SettingsError(f"no image{f' of split {split!r}' if split else ''}{what}.")
    used = Used.of_masks(out, len(table), unread, unit)
    return Sample(positions[chosen], None if values is None else values[chosen], used)


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

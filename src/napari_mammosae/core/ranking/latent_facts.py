"""How strongly a latent fires over a run: its activations by class, and their means."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 24


@dataclass(frozen=True, slots=True)
class ClassMean:
    """Mean activation over the images of a class, with its 95 % interval by patient (NaN and a note without one)."""

    name: str
    images: int
    mean: float
    low: float
    high: float
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How strongly a latent fires on the images where it fires, by class.

    Attributes
    ----------
    edges
        (b + 1,) mean activation of an image.
    counts
        (classes, b) images.
    names
        Of the classes.
    silent
        Images on which it does not fire.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    names: tuple[str, ...]
    silent: int

    @property
    def fires(self) -> int:
        """Images on which it fires."""
        return int(self.counts.sum())


def column_of(matrix: Any, latent: int) -> NDArray[np.float64]:
    """One column of a csc matrix, dense."""
    out = np.zeros(matrix.shape[0])
    entries = slice(matrix.indptr[latent], matrix.indptr[latent + 1])
    out[matrix.indices[entries]] = matrix.data[entries]
    return out


def histogram(values: NDArray[np.float64], labels: NDArray[np.float64], names: dict[int, str]) -> Histogram:
    """Count the images on which a latent fires by strength and class; images of unknown label are a class of their own.

    Parameters
    ----------
    values, labels
        (n,) mean activation, and class number or NaN, of each image.
    names
        What to call the classes; others than these count as unknown.
    """
    fires = values > 0
    top = float(values.max(initial=0.0)) or 1.0
    edges = np.linspace(0.0, top, BINS + 1)
    groups = [(name, labels == number) for number, name in names.items()]
    known = np.logical_or.reduce([rows for _, rows in groups]) if groups else np.zeros(values.size, np.bool_)
    if not known.all():
        groups.append(("unknown" if groups else "images", ~known))
    counts = np.array([np.histogram(values[rows & fires], edges)[0] for _, rows in groups], dtype=np.int64)
    return Histogram(edges, counts.reshape(-1, BINS), tuple(name for name, _ in groups), int((~fires).sum()))


def class_means(
    values: NDArray[np.float64], labels: NDArray[np.float64], patients: NDArray[Any], names: dict[int, str]
) -> tuple[ClassMean, ...]:
    """Mean activation of each class with its interval; one mean of all images where there are no classes."""
    from ..stats.bootstrap import bootstrap_mean

    groups = [(name, labels == number) for number, name in names.items()] or [
        ("all images", np.ones(values.size, np.bool_))
    ]
    found = []
    for name, rows in groups:
        if rows.any():
            interval = bootstrap_mean(values[rows], patients[rows])
            found.append(
                ClassMean(name, int(rows.sum()), float(values[rows].mean()), interval.lo, interval.hi, interval.note)
            )
    return tuple(found)

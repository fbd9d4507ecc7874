"""What is known about one latent over a run: its activations, class means, logits, neighbours. Knows no Qt."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.base.progress import Report
from ...core.runs.run import Run
from ...process.handle import ModelHandle

BINS = 24
NEIGHBOURS = 12


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


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Latents near another one, nearest first, how near (-1 to 1), and on how many images both fire, where that counts."""

    latents: NDArray[np.int64]
    nearness: NDArray[np.float64]
    common: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LatentFacts:
    """All of it for one latent; what needs a run or a model that is not there is None.

    Attributes
    ----------
    weights
        (C,) what one unit of the latent's mean adds to each logit.
    run_means
        Mean activation over all images of the run.
    """

    latent: int
    histogram: Histogram | None
    means: tuple[ClassMean, ...]
    weights: NDArray[np.float64] | None
    run_mean: float | None
    by_decoder: Neighbours | None
    by_images: Neighbours | None


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
    from ...core.stats.bootstrap import bootstrap_mean

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


def facts_of(
    latent: int, run: Run | None, label: str, names: dict[int, str], handle: ModelHandle | None, report: Report
) -> LatentFacts:
    """Gather what is known about a latent; made for a worker thread.

    Parameters
    ----------
    run
        An open run of the same SAE, or None.
    label, names
        The run's label to divide the images by (empty: none), and what to call its classes.
    handle
        The loaded model, or None.
    """
    from ...core.ranking.neighbours import coactivation_neighbours

    bars, run_mean, by_images, by_decoder, weights = None, None, None, None, None
    means: tuple[ClassMean, ...] = ()
    report(f"Reading latent {latent}")
    if run is not None:
        pooled = run.pooled("mean")
        values = column_of(pooled, latent)
        labels = run.label(label) if label else np.full(values.size, np.nan)
        bars, run_mean = histogram(values, labels, names), float(values.mean()) if values.size else 0.0
        report(f"Reading latent {latent}")
        means = class_means(values, labels, run.images["patient"].to_numpy(), names)
        report(f"Reading latent {latent}")
        by_images = Neighbours(*coactivation_neighbours(pooled, latent, NEIGHBOURS))
    if handle is not None and handle.facts.n_latents:
        if (attribution := handle.facts.attribution) is not None:
            weights = attribution[:, latent]
        report(f"Reading latent {latent}")
        by_decoder = Neighbours(*handle.neighbours(latent, NEIGHBOURS))
    return LatentFacts(latent, bars, means, weights, run_mean, by_decoder, by_images)

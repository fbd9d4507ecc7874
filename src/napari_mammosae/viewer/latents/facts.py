"""What is known about one latent over a run: its activations, class means, logits, neighbours. Knows no Qt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.base.progress import Report
from ...core.ranking.latent_facts import ClassMean, Histogram, class_means, column_of, histogram
from ...core.runs.run import Run
from ...process.handle import ModelHandle

NEIGHBOURS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Latents near another one, nearest first; how near (-1 to 1), and on how many images both fire, where counted."""

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


def facts_of(
    latent: int,
    run: Run | None,
    label: str,
    names: dict[int, str],
    handle: ModelHandle | None,
    report: Report,
    *,
    near: bool = True,
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
    near
        Whether to ask the model for the nearest directions too, for which its process has to start the first time.
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
        by_decoder = Neighbours(*handle.neighbours(latent, NEIGHBOURS)) if near else None
    return LatentFacts(latent, bars, means, weights, run_mean, by_decoder, by_images)

"""Bootstrap intervals by patient of each latent's AUROC and difference of means, from its non-zero images alone."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats.bootstrap import patient_weights, percentile_interval, too_few
from ..stats.measures import BoolArray, FloatArray


def latent_intervals(
    matrix: Any, positive: BoolArray, patients: ArrayLike, latents: ArrayLike
) -> tuple[FloatArray, FloatArray, str]:
    """95 % intervals of the AUROC and of the difference of means of some latents.

    Parameters
    ----------
    matrix
        Canonical csc (images, latents) of mean activations.
    positive, patients
        One value an image.
    latents
        Which columns.

    Returns
    -------
    auroc, diff : (len(latents), 2) float64
        Lower and upper ends, NaN where there are none.
    note : str
        Why there are none, or empty.
    """
    chosen = np.asarray(latents, dtype=np.int64)
    auroc, diff = np.full((2, chosen.size, 2), np.nan)
    note = too_few(positive, patients)
    if note:
        return auroc, diff, note
    weights = patient_weights(patients)
    total_p = weights[:, positive].sum(axis=1, dtype=np.float64)
    total_n = weights.sum(axis=1, dtype=np.float64) - total_p
    for place, latent in enumerate(chosen):
        entries = slice(matrix.indptr[latent], matrix.indptr[latent + 1])
        rows, values = matrix.indices[entries], matrix.data[entries].astype(np.float64)
        area, change = _resampled(weights[:, rows], values, positive[rows], total_p, total_n)
        for ends, samples in ((auroc, area), (diff, change)):
            interval = percentile_interval(samples)
            ends[place] = interval.lo, interval.hi
    return auroc, diff, ""


def _resampled(
    weights: NDArray[np.int32], values: FloatArray, positive: BoolArray, total_p: FloatArray, total_n: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """AUROC and difference of means in every resample; `values` are those above zero, all other images have 0."""
    order = np.argsort(values)
    values, positive = values[order], positive[order]
    w = weights[:, order].astype(np.float64)
    wp, wn = w[:, positive], w[:, ~positive]
    running = np.zeros((w.shape[0], wn.shape[1] + 1))
    np.cumsum(wn, axis=1, out=running[:, 1:])
    own, other = values[positive], values[~positive]
    below, not_above = other.searchsorted(own, "left"), other.searchsorted(own, "right")
    fired_p = wp.sum(axis=1)
    zero_p, zero_n = total_p - fired_p, total_n - running[:, -1]
    wins = (wp * (running[:, below] + running[:, not_above])).sum(axis=1) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (wins + fired_p * zero_n + 0.5 * zero_p * zero_n) / (total_p * total_n)
        change = wp @ own / total_p - wn @ other / total_n
    return area, change

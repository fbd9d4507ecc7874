"""Bootstrap intervals by patient for measures that are ratios of sums over images, and for average precision."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..stats.bootstrap import COVERAGE
from ..stats.measures import ratios
from .matching import weighted_average_precision

Doubles = npt.NDArray[np.float64]
_BLOCK = 1 << 22  # numbers held at a time


def ratio_bounds(
    part: Doubles, whole: Doubles, weights: npt.NDArray[np.int32], *, empty: float = np.nan
) -> tuple[Doubles, Doubles]:
    """Lower and upper bounds (L,) of sum(part) / sum(whole) over resampled images.

    Parameters
    ----------
    part : (n, L) per image and latent
    whole : (n, L) or (n, 1)
    weights : (resamples, n), how often each image is drawn
    empty : value of a resample whose `whole` is 0; NaN leaves it out
    """
    low, high = np.full(part.shape[1], np.nan), np.full(part.shape[1], np.nan)
    drawn = weights.astype(np.float64)
    width = max(1, _BLOCK // max(len(weights), len(part)))
    for begin in range(0, part.shape[1], width):
        chosen = slice(begin, begin + width)
        below = drawn @ (whole if whole.shape[1] == 1 else whole[:, chosen])
        above = drawn @ part[:, chosen]
        low[chosen], high[chosen] = _percentiles(ratios(above, below, undefined=empty))
    return low, high


def average_precision_bounds(
    found: Sequence[tuple[Doubles, npt.NDArray[np.bool_], npt.NDArray[np.intp]]],
    boxes: Doubles,
    weights: npt.NDArray[np.int32],
) -> tuple[Doubles, Doubles]:
    """Lower and upper bounds (L,) of average precision.

    Parameters
    ----------
    found : per latent, confidence, hit and image (row of `boxes`) of each found box
    boxes : (n,) annotated boxes of each image
    weights : (resamples, n)
    """
    low, high = np.full(len(found), np.nan), np.full(len(found), np.nan)
    for i, (score, hit, image) in enumerate(found):
        height = max(1, _BLOCK // max(int(hit.sum()), 1))
        samples = [
            weighted_average_precision(score, hit, image, weights[begin : begin + height], boxes)
            for begin in range(0, len(weights), height)
        ]
        (low[i],), (high[i],) = _percentiles(np.concatenate(samples)[:, None])
    return low, high


def _percentiles(samples: Doubles) -> tuple[Doubles, Doubles]:
    """Bounds (L,) of the central part of samples (resamples, L), undefined ones left out."""
    some = np.isfinite(samples).any(axis=0)
    bounds = np.full((2, samples.shape[1]), np.nan)
    bounds[:, some] = np.nanquantile(samples[:, some], [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    return bounds[0], bounds[1]

"""How the values of maps are kept: in half precision, as multiples of a scale that each latent has in each part.

Half precision reaches from 6e-8 to 65,504 only. By its own scale the largest value of a latent is kept exactly and
every other one to one part in 2,000, whatever the size of a latent's activations.
"""

import numpy as np
from numpy.typing import NDArray

from ...base.errors import RunError
from .tables import damaged

_TOP = 2.0**15
"""What the largest value of a latent is kept as: a power of two, so that it is kept exactly."""
_LEAST = 2.0**-24
"""The smallest positive half: what fires is never kept as 0."""
_LEAST_SCALE = float(np.finfo(np.float32).smallest_subnormal)
_FULL = 65504.0

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]


def encode_values(latent: NDArray[np.int32], value: Singles) -> tuple[Halves, Singles]:
    """Return the multiples and the scales that stand for values above zero; equal latents follow each other."""
    if not len(latent):
        return np.empty(0, np.float16), np.empty(0, np.float32)
    starts = np.flatnonzero(np.diff(latent, prepend=latent[0] - 1))
    largest = np.maximum.reduceat(value, starts).astype(np.float64)
    scales = np.maximum(largest / _TOP, _LEAST_SCALE).astype(np.float32)
    scale = np.repeat(scales, np.diff(starts, append=len(latent)))
    return np.maximum(value / scale.astype(np.float64), _LEAST).astype(np.float16), scale


def decode_values(multiple: Halves, scale: Singles, name: str) -> Singles:
    """Return the values that multiples and scales of the part `name` stand for.

    Raises
    ------
    RunError
        A scale is not a positive number.
    """
    if len(scale) and not (scale.min() > 0 and scale.max() < np.inf):
        raise damaged(name, "a scale that is not a positive number")
    return multiple.astype(np.float32) * scale


def decode_unscaled(value: Halves, name: str) -> Singles:
    """Return the values of a part of format 1, which has no scales.

    Raises
    ------
    RunError
        Some reach what half precision holds at most: they were larger, nobody knows by how much.
    """
    if len(value) and value.max() >= _FULL:
        raise RunError(
            f"{name} keeps activations up to 65,504 only, and some were larger: a run of format 1. Make the run again."
        )
    return value.astype(np.float32)

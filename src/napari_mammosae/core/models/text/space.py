"""The space that texts and images share, seen from the image: linear in the pooled features, and so in the latents."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base.products import product
from .tower import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class JointSpace:
    """How pooled features, and means of latents, become an image's vector; plain values that travel between processes.

    Shapes: p dimensions, d features, h latents.

    Attributes
    ----------
    weight, bias
        float64 (p, d) and (p,): the image projection.
    scale
        What the training multiplied cosines by.
    latents
        float64 (p, h): the direction that a unit of each latent's mean adds, W d_i; h is 0 where it is not linear.
    constant
        float64 (p,): the vector of an image on which no latent fires, W b_dec + b.
    exact
        Whether the backbone is the one that texts were trained with; with another one all of this is approximate.
    """

    weight: Vectors = field(repr=False)
    bias: Vectors = field(repr=False)
    scale: float
    latents: Vectors = field(repr=False)
    constant: Vectors = field(repr=False)
    exact: bool = True

    def embed(self, features: ArrayLike) -> Vectors:
        """Vectors (..., p), not of unit length, of average-pooled features (..., d)."""
        return product(np.asarray(features, np.float64), self.weight.T) + self.bias

    def embed_latents(self, means: ArrayLike) -> Vectors:
        """Vectors (..., p) of SAE reconstructions, from the means (..., h) of their latents over the cells."""
        return self.constant + self.shift(np.asarray(means, np.float64))

    def shift(self, change: NDArray[np.float64]) -> Vectors:
        """How far vectors move when means of latents change by (..., h)."""
        live = np.flatnonzero(change.reshape(-1, change.shape[-1]).any(axis=0))
        return product(change[..., live], self.latents[:, live].T)

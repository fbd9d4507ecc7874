"""Where a logit comes from, exactly: layer "head" adds up latents and positions, with bias and SAE error as terms.

Integrated gradients, activation patching and Shapley values of the latents all equal these contributions, because what
follows the latents is linear.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Terms whose sum is one logit of one image.

    Attributes
    ----------
    latents : (L,) int64
        Latents that fire.
    contributions : (L,) float64
        What each adds: mean activation times w . d_i.
    bias : float
        b + w . b_dec, the logit without any latent.
    error : float
        What the SAE does not reconstruct: logit minus logit of the reconstruction.
    logit : float
        The model's own logit; `total` equals it up to rounding.
    """

    latents: IntArray
    contributions: FloatArray
    bias: float
    error: float
    logit: float

    @property
    def total(self) -> float:
        """Sum of all terms."""
        return float(self.contributions.sum()) + self.bias + self.error

    def largest(self, count: int) -> tuple[IntArray, FloatArray, float]:
        """Return the latents of largest |contribution|, their contributions, and the sum of all others."""
        order = np.lexsort((self.latents, -np.abs(self.contributions)))
        shown = order[:count]
        return self.latents[shown], self.contributions[shown], float(self.contributions[order[count:]].sum())


def explain(means: ArrayLike, attribution: ArrayLike, constant: float, logit: float, logit_sae: float) -> Explanation:
    """Explain one logit of one image by its latents.

    Parameters
    ----------
    means : (h,)
        Mean activation of each latent over the cells.
    attribution : (h,)
        w . d_i of this logit.
    constant, logit, logit_sae
        Logit without latents, of the model, and of the reconstruction.
    """
    activation = np.asarray(means, dtype=np.float64)
    weight = np.asarray(attribution, dtype=np.float64)
    if activation.shape != weight.shape or activation.ndim != 1:
        raise SettingsError(
            f"{activation.size} mean activations but attributions of {weight.size} latents; they are of different SAEs."
        )
    latents = np.flatnonzero(activation)
    return Explanation(
        latents,
        activation[latents] * weight[latents],
        float(constant),
        float(logit) - float(logit_sae),
        float(logit),
    )

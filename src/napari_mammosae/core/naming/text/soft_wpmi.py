"""Names from images: soft pointwise mutual information between a latent's top images and terms (CLIP-Dissect)."""

import numpy as np
from scipy.special import logsumexp, softmax

from ...stats.measures import FloatArray

TOP, SHARPNESS, WEIGHT = 100, 10.0, 1.0
FIRST, LAST, SMALLEST = 0.998, 0.97, 1e-7


def soft_wpmi(similarities: FloatArray, activations: FloatArray, top: int = TOP) -> FloatArray:
    """Score every latent with every term, (h, V); higher fits better.

    Parameters
    ----------
    similarities : (n, V)
        Cosines of images with terms.
    activations : (n, h)
        Of latents that fire somewhere; of each, the images that it fires on count, at most `top`, the strongest more.
    top
        Most images of a latent.
    """
    share = softmax(SHARPNESS * similarities, axis=1)
    scores = np.empty((activations.shape[1], similarities.shape[1]))
    for latent, values in enumerate(activations.T):
        count = min(top, int((values > 0).sum()))
        rows = np.argsort(-values, kind="stable")[:count]
        belief = np.linspace(FIRST, LAST, count)[:, None]
        scores[latent] = np.log(1 + belief * (share[rows] - 1) + SMALLEST).sum(axis=0)
    everywhere = logsumexp(scores, axis=0) - np.log(len(scores))
    return np.asarray(scores - WEIGHT * everywhere)

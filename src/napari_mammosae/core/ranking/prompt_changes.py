"""How the cosine of a prompt changes when a latent is removed."""

import numpy as np

from ..models.heads import Head
from ..models.text.space import JointSpace
from ..models.text.tower import unit
from ..stats.measures import FloatArray, ratios


def removal_changes(head: Head, space: JointSpace, pooled: object, features: FloatArray) -> FloatArray:
    """Return how the cosine changes, (h,), when each latent alone is removed: exact, the mean over images.

    Parameters
    ----------
    pooled : sparse (n, h)
        Mean activations.
    features : (n, d)
        Pooled features of the same images.
    """
    import scipy.sparse

    assert head.prompt is not None
    matrix, direction = scipy.sparse.csc_array(pooled), head.prompt.direction
    vectors = space.embed(features)
    logits, squared = vectors @ direction, np.square(vectors).sum(axis=1)
    before = unit(vectors) @ direction
    found = np.zeros(matrix.shape[1])
    for latent in np.flatnonzero(np.diff(matrix.indptr)):
        entries = slice(matrix.indptr[latent], matrix.indptr[latent + 1])
        rows, means, added = matrix.indices[entries], matrix.data[entries], space.latents[:, latent]
        left = squared[rows] - 2 * means * (vectors[rows] @ added) + np.square(means) * (added @ added)
        after = ratios(logits[rows] - means * (direction @ added), np.sqrt(np.maximum(left, 0)), undefined=0.0)
        found[latent] = (after - before[rows]).sum() / matrix.shape[0]
    return found

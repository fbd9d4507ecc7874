"""What is near a latent: latents that write in its direction or fire with it, images that activate it most."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray
from ..stats.sparse import activations

_ROUNDING = 1e-12
"""Share of its sum of squares below which a variance is rounding."""


def decoder_neighbours(decoder: NDArray[np.floating[Any]], latent: int, count: int = 10) -> tuple[IntArray, FloatArray]:
    """Latents whose decoder columns point most nearly the same way.

    Parameters
    ----------
    decoder : (d, h)
        Decoder columns, of any length; they are normalised here. A zero column has cosine 0 with everything.
    latent, count
        Whose neighbours, and how many.

    Returns
    -------
    latents : (count,) int64
        Nearest first, without the latent itself.
    cosines : (count,) float64
    """
    _check(latent, decoder.shape[1])
    norms = np.sqrt(np.einsum("dh,dh->h", decoder, decoder, dtype=np.float64))
    products = (decoder[:, latent].astype(decoder.dtype) @ decoder).astype(np.float64)
    scale = norms * norms[latent]
    return _best(np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0), latent, count)


def coactivation_neighbours(pooled: Any, latent: int, count: int = 10) -> tuple[IntArray, FloatArray, IntArray]:
    """Latents whose activation rises and falls with another's from image to image.

    How much two sets of images have in common says little where latents fire on nearly all images: many would be equal.

    Parameters
    ----------
    pooled : (n, h)
        Activation of each latent on each image, dense or sparse.
    latent, count
        Whose neighbours, and how many.

    Returns
    -------
    latents : (count,) int64
        Highest correlation first, without the latent itself; ties go to the lower number.
    correlations : (count,) float64
        Pearson's r over all images; 0 with a latent that does not vary.
    common : (count,) int64
        Images on which both fire.
    """
    matrix = activations(pooled)
    _check(latent, matrix.shape[1])
    n = matrix.shape[0]
    own = np.zeros(n)
    fires = slice(matrix.indptr[latent], matrix.indptr[latent + 1])
    own[matrix.indices[fires]] = matrix.data[fires]
    sums = [_by_column(matrix, values) for values in (matrix.data, matrix.data**2, matrix.data * own[matrix.indices])]
    total, squares, products = sums
    variance = np.maximum(squares - total**2 / max(n, 1), 0.0)
    variance[variance <= _ROUNDING * squares] = 0.0
    scale = np.sqrt(variance * variance[latent])
    covariance = products - total * total[latent] / max(n, 1)
    found, r = _best(np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0), latent, count)
    return found, r, _by_column(matrix, (own[matrix.indices] > 0).astype(np.float64))[found].astype(np.int64)


def _by_column(matrix: Any, values: FloatArray) -> FloatArray:
    """Sum a value for each entry of a csc matrix over its columns."""
    running = np.r_[0.0, np.cumsum(values, dtype=np.float64)]
    sums: FloatArray = running[matrix.indptr[1:]] - running[matrix.indptr[:-1]]
    return sums


def top_images(values: ArrayLike, patients: ArrayLike | None = None, count: int = 12) -> IntArray:
    """Return the rows of the images that activate a latent most, falling, one image a patient, silent ones left out.

    Parameters
    ----------
    values : (n,)
        Activation of one latent on each image; ties go to the earlier row.
    patients : (n,), optional
        Without them images of one patient may repeat.
    count
        At most so many.
    """
    activation = np.asarray(values, dtype=np.float64)
    order = np.argsort(-activation, kind="stable")
    order = order[activation[order] > 0]
    if patients is not None:
        names = np.asarray(patients)
        if names.shape != activation.shape:
            raise SettingsError(f"{activation.size} activations but {names.size} patients.")
        order = order[np.sort(np.unique(names[order], return_index=True)[1])]
    return order[:count]


def _best(closeness: FloatArray, latent: int, count: int) -> tuple[IntArray, FloatArray]:
    order = np.argsort(-closeness, kind="stable")
    order = order[order != latent][:count]
    return order, closeness[order]


def _check(latent: int, n_latents: int) -> None:
    if not 0 <= latent < n_latents:
        raise SettingsError(f"there is no latent {latent}; they go from 0 to {n_latents - 1}.")

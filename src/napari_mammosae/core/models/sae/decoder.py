"""Products with a decoder, in double precision."""

import numpy as np
from numpy.typing import NDArray

from .autoencoder import SparseAutoencoder

_COLUMNS = 2_048
"""Latents that are worked out at once: a whole decoder in float64 would take 268 MB."""


def through_decoder(weight: NDArray[np.float64], sae: SparseAutoencoder) -> NDArray[np.float64]:
    """Return weights (C, d) times the decoder (d, h): what one unit of each latent adds to each output, (C, h)."""
    decoder = sae.decoder_weight
    starts = range(0, decoder.shape[1], _COLUMNS)
    pieces = [weight @ decoder[:, start : start + _COLUMNS].double().cpu().numpy() for start in starts]
    return np.concatenate(pieces, axis=1)

"""First weights of a training, and what is done to the last ones: the inputs' scale, a BatchTopK's threshold."""

import numpy as np
import torch
from torch import Tensor

from ..models.sae.activations import Threshold
from ..models.sae.autoencoder import SparseAutoencoder
from .batches import Features, batches, sample
from .settings import SAETrainingSettings
from .steps.objectives import batch_top, untrained

_MEASURED = 65_536
"""Cells from which a scale, a middle or a threshold is taken."""
_ROUNDS = 32


def input_scale(features: Features) -> float:
    """Return what features (cells, d) are multiplied by for a mean squared norm of d; 1 where all are 0."""
    total = cells = 0.0
    for x in batches(features, sample(features, _MEASURED), 4096, "cpu"):
        total += float(x.double().square().sum())
        cells += len(x)
    return (features.shape[1] * cells / total) ** 0.5 if total else 1.0


def start(
    features: Features, settings: SAETrainingSettings, generator: torch.Generator, scale: float
) -> SparseAutoencoder:
    """Return an SAE to begin with: random unit decoder columns, their transpose as encoder.

    The tied bias is 0 in a ReLU, as published, and the middle of the features in the other kinds.
    """
    width = features.shape[1]
    sae = untrained(width, settings)
    with torch.no_grad():
        sae.decoder_weight.copy_(torch.randn(width, sae.n_latents, generator=generator))
        bring_back(sae)
        sae.encoder_weight.copy_(sae.decoder_weight.T)
        if settings.kind != "relu":
            rows = sample(features, _MEASURED // 8)
            sae.encoder_bias.requires_grad_(settings.kind != "gated")  # it has biases of its gate and its size
            sae.tied_bias.copy_(_geometric_median(torch.cat(list(batches(features, rows, 4096, "cpu", scale)))))
    return sae


def finish(
    sae: SparseAutoencoder, features: Features, settings: SAETrainingSettings, scale: float
) -> SparseAutoencoder:
    """Set the threshold of a BatchTopK, and make an SAE of scaled features one of features as they are.

    Codes become those of the scaled features divided by the scale, so that the decoder keeps its unit columns.
    """
    with torch.no_grad():
        if settings.kind in ("batchtopk", "matryoshka") and isinstance(sae.activation, Threshold):
            sae.activation.threshold.copy_(_threshold(sae, features, settings, scale))
        for name, value in sae.named_parameters():
            if not name.endswith(("weight", "r_mag")):
                value.div_(scale)
    sae.input_scale = scale
    return sae


def bring_back(sae: SparseAutoencoder) -> None:
    """Give the decoder's columns unit norm, and thresholds below 0 the value 0."""
    with torch.no_grad():
        sae.decoder_weight.div_(column_dots(sae.decoder_weight, sae.decoder_weight).sqrt().clamp_min(1e-8))
        if isinstance(sae.activation, Threshold):
            sae.activation.threshold.clamp_(min=0)


def column_dots(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot product (h,) of each two columns of arrays (d, h).

    On the CPU row by row: the sums stay in its cache, and no third array is written.
    """
    if a.device.type != "cpu":
        return (a * b).sum(0)
    total = torch.zeros_like(a[0])
    for one, other in zip(a, b, strict=True):
        total.addcmul_(one, other)
    return total


def _threshold(sae: SparseAutoencoder, features: Features, settings: SAETrainingSettings, scale: float) -> Tensor:
    """Return the mean over batches of the smallest code that is kept: from where on a latent fires on its own."""
    rows = np.random.default_rng(1).permutation(sample(features, _MEASURED))
    k, device = settings.k or 1, str(sae.tied_bias.device)
    smallest = []
    for x in batches(features, rows, min(settings.batch, len(rows)), device, scale):
        pre = torch.nn.functional.linear(x - sae.tied_bias, sae.encoder_weight, sae.encoder_bias)
        kept = batch_top(pre.relu(), k)
        if (kept > 0).any():
            smallest.append(kept[kept > 0].min())
    return torch.stack(smallest).mean() if smallest else torch.zeros((), device=device)


def _geometric_median(x: Tensor) -> Tensor:
    """Return the point (d,) whose summed distance to the rows of `x` (n, d) is least."""
    middle = x.mean(0)
    for _ in range(_ROUNDS):
        weights = 1 / (x - middle).norm(dim=1).clamp_min(1e-6)
        middle = (x * weights[:, None]).sum(0) / weights.sum()
    return middle

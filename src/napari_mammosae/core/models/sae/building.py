"""An autoencoder from the weights that a reader found."""

import torch
from torch import Tensor

from ...base.errors import CheckpointError
from .activations import Activation
from .autoencoder import SparseAutoencoder
from .cell_norm import CellNorm
from .content import SaeContent


def build_sae(
    content: SaeContent,
    *,
    encoder: Tensor,
    decoder: Tensor,
    encoder_bias: Tensor | None,
    bias: Tensor,
    centred: bool,
    activation: Activation,
    norm: CellNorm | None = None,
    groups: tuple[int, ...] = (),
    mean: Tensor | None = None,
    scale: Tensor | float | None = None,
) -> SparseAutoencoder:
    """Put an autoencoder together; a fixed normalisation of its inputs goes into the weights.

    Parameters
    ----------
    content
        Where the weights come from.
    encoder, decoder
        (h, d) and (d, h).
    encoder_bias, bias
        (h,) or None for zeros, and (d,), added after the decoder.
    centred
        Whether `bias` is subtracted before the encoder too.
    activation, norm, groups
        See `SparseAutoencoder`.
    mean, scale
        Features are encoded as ``(x - mean) * scale``, each (d,) or a number, and reconstructions brought back;
        the option `scale` comes on top. None for 0 and 1.

    Raises
    ------
    CheckpointError
        If the scale is not positive, or the groups do not add up to h.
    """
    latents = decoder.shape[1]
    if groups and (sum(groups) != latents or min(groups) < 1):
        raise CheckpointError(f"{content.name}: its groups have {sum(groups):,} latents, its decoder {latents:,}")
    factor = (torch.ones(()) if scale is None else torch.as_tensor(scale).double()) * (content.options.scale or 1.0)
    if not (torch.isfinite(factor).all() and (factor > 0).all()):
        raise CheckpointError(f"{content.name}: its input scale is not a positive number; the file is damaged")
    if norm is not None:
        if factor.numel() != 1:
            content.refuse("scales features one by one before it normalises each cell")
        if norm.kind == "layer_norm":
            norm.eps /= float(factor)  # dividing by the deviation undoes a scale, but for this term
        if mean is not None:
            norm.offset = mean.float()
    elif scale is not None or content.options.scale or mean is not None:
        factor = factor.expand(decoder.shape[0])
        encoder, decoder = encoder.double() * factor, decoder.double() / factor[:, None]
        bias = bias.double() / factor
        if mean is not None:
            if not centred:
                encoder_bias = (0 if encoder_bias is None else encoder_bias.double()) - encoder @ mean.double()
            bias = bias + mean.double()
    sae = SparseAutoencoder(decoder.shape[0], latents, activation=activation, norm=norm, centred=centred, groups=groups)
    sae.source = content.name
    for parameter, value in (
        (sae.encoder_weight, encoder),
        (sae.encoder_bias, encoder_bias),
        (sae.decoder_weight, decoder),
        (sae.tied_bias, bias),
    ):
        if value is not None:
            parameter.data = value.float().contiguous()
    return sae.requires_grad_(False)

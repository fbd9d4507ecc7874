"""What a trained SAE has to beat, in its place: random directions, and the channels themselves."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...base.errors import ModelError
from .autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from ..choices import StandIn
    from ..model import MammoSAE


def with_stand_in(model: MammoSAE, kind: StandIn, seed: int = 0) -> MammoSAE:
    """Return the model with something else in the place of its SAE.

    Parameters
    ----------
    model
        With an SAE.
    kind
        "untrained": of the same shape and activation, where training begins: decoder columns at random and of length 1,
        the encoder their transpose, all biases zero. "random": directions drawn with the covariance of the encoder's
        own, as long as these, with their biases and thresholds. "channels": each channel, its values above zero as one
        latent and those below, from d on, as another, so that nothing of the features is lost.
    seed
        Of what is drawn.

    Raises
    ------
    ModelError
        The model has no SAE.
    """
    if model.sae is None:
        raise ModelError(f"{model.name} has no SAE; load one with it.")
    draw, exact = torch.Generator().manual_seed(seed), model.exact  # whose weights are needed where float16 overflows
    if kind == "channels":
        sae = _channels(model.sae.width)
    else:
        sae = deepcopy(exact.autoencoder).float().cpu()
        (_untrain if kind == "untrained" else _scatter)(sae, draw)
    own = exact.autoencoder.encoder_weight
    sae = sae.to(own.device, own.dtype)
    sae.source = {"untrained": "the untrained SAE", "random": "random directions", "channels": "the channels"}[kind]
    digest = f"{kind} {seed} {model.sae_sha256} {tuple(sae.decoder_weight.shape)}"
    return replace(
        model, backbone=exact.backbone, sae=sae, sae_sha256=hashlib.sha256(digest.encode()).hexdigest(),
        name=f"{model.name}-{kind}", found_again=None,
    )  # fmt: skip


@torch.no_grad()
def _untrain(sae: SparseAutoencoder, draw: torch.Generator) -> None:
    drawn = torch.randn(sae.decoder_weight.shape, generator=draw)
    sae.decoder_weight.copy_(drawn / drawn.norm(dim=0).clamp_min(1e-8))
    sae.encoder_weight.copy_(sae.decoder_weight.T)
    for name, value in sae.named_parameters():
        if not name.endswith(("weight", "threshold")):
            value.zero_()


@torch.no_grad()
def _scatter(sae: SparseAutoencoder, draw: torch.Generator) -> None:
    """Draw each encoder row as a random mixture of all of them, and let the decoder be its transpose."""
    own = sae.encoder_weight
    values, axes = torch.linalg.eigh(own.T.double() @ own.double())
    spread = (axes * values.clamp_min(0).sqrt()).T.float()
    mixed = torch.randn(own.shape, generator=draw) @ spread
    directions = mixed / mixed.norm(dim=1, keepdim=True).clamp_min(1e-8)
    sae.decoder_weight.copy_(directions.T)
    own.copy_(directions * own.norm(dim=1, keepdim=True))


@torch.no_grad()
def _channels(width: int) -> SparseAutoencoder:
    sae = SparseAutoencoder(width, 2 * width)
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    sae.encoder_weight.copy_(both)
    sae.decoder_weight.copy_(both.T)
    return sae.requires_grad_(False)

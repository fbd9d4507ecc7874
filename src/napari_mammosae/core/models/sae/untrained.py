"""An SAE of the same shape that was never trained: what a trained one has to beat."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...base.errors import ModelError

if TYPE_CHECKING:
    from ..model import MammoSAE


def with_untrained_sae(model: MammoSAE, seed: int = 0) -> MammoSAE:
    """Return the model with an SAE of the same shape and activation, its weights drawn at random.

    Decoder columns are random and of length 1, the encoder is their transpose, all biases are zero: where training
    begins. Thresholds stay.

    Raises
    ------
    ModelError
        The model has no SAE.
    """
    if model.sae is None:
        raise ModelError(f"{model.name} has no SAE; load one with it.")
    sae = deepcopy(model.sae).float().cpu()
    with torch.no_grad():
        drawn = torch.randn(sae.decoder_weight.shape, generator=torch.Generator().manual_seed(seed))
        sae.decoder_weight.copy_(drawn / drawn.norm(dim=0).clamp_min(1e-8))
        sae.encoder_weight.copy_(sae.decoder_weight.T)
        for name, value in sae.named_parameters():
            if not name.endswith(("weight", "threshold")):
                value.zero_()
    sae.source = "the untrained SAE"
    digest = hashlib.sha256(f"untrained {seed} {model.sae_sha256} {tuple(drawn.shape)}".encode()).hexdigest()
    return replace(model, sae=sae, sae_sha256=digest, name=f"{model.name}-untrained", found_again=None)

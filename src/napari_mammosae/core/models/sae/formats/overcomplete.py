"""Overcomplete: the state dict of one of its modules; the kind, and what the kind needs, are not in it."""

import torch

from ..activations import Activation, Relu, Threshold, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..content import SaeContent

_SMALLEST = 1e-8
"""Added to the norm of a row of the dictionary before the row is divided by it."""


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return any(name.startswith(("dictionary.", "encoder.final_block.")) for name in content.tensors)


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights of an encoder of one layer and a dictionary of unit rows."""
    if content.has("dictionary.W") or content.has("dictionary.C"):
        content.refuse("has an archetypal dictionary (RA-SAE)")
    h, d = content.matrix("dictionary._weights").shape
    rows = content.tensor("dictionary._weights", (h, d)).double()
    size = content.number("dictionary.multiplier") or 0.0
    decoder = rows / (rows.norm(dim=1, keepdim=True) + _SMALLEST) * torch.tensor(size).double().exp()
    sae = build_sae(
        content,
        encoder=content.tensor("encoder.final_block.0.weight", (h, d), "dictionary._weights"),
        decoder=decoder.T,
        encoder_bias=content.tensor("encoder.final_block.0.bias", (h,), "dictionary._weights"),
        bias=torch.zeros(d),
        centred=False,
        activation=_activation(content, h),
    )
    content.check_all_used()
    return sae


def _activation(content: SaeContent, latents: int) -> Activation:
    kind, options = content.options.kind, content.options
    if content.has("thresholds"):
        return Threshold(content.tensor("thresholds", (latents,), "dictionary._weights").exp())
    if kind is None:
        content.ask("kind", "whether it is a relu, topk or batchtopk SAE")
    if kind == "topk":
        return TopK(content.k(None, latents))
    if kind == "batchtopk":
        if options.threshold is None:
            content.ask("threshold", "from where on a latent fires (running_threshold of the module)")
        return Threshold(torch.tensor(options.threshold), "batchtopk", inclusive=True, k=options.k)
    if kind != "relu":
        content.refuse(f"is not a {kind} SAE: it holds no thresholds")
    return Relu()

"""saev: one file of a line of JSON, then a state dict of torch.save.

The bias is not subtracted before the encoder, but it is in files of version 0.1, which know ReLU alone.
"""

from collections.abc import Mapping
from typing import Any

import torch

from ....base.errors import CheckpointError
from ..activations import Activation, Relu, Threshold, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..content import SaeContent

_SCHEMA = 5


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return content.header is not None


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights; the scale of the inputs is not in such a file."""
    header = content.header or {}
    first = "schema" not in header and "d_vit" in header
    if first:
        width, factor = header["d_vit"], header.get("exp_factor")
        latents = width * factor if isinstance(width, int) and isinstance(factor, int) else None
        header = {"cfg": {"d_model": width, "d_sae": latents, "activation": {"cls": "Relu"}}}
    elif header.get("schema") != _SCHEMA:
        content.refuse(
            f"has saev's schema {str(header.get('schema', 'of before numbers'))[:20]}", f"save it with schema {_SCHEMA}"
        )
    config = header.get("cfg")
    if not isinstance(config, Mapping):
        raise CheckpointError(f"{content.name}: its first line has no `cfg`; the file is damaged")
    h, d = content.matrix("W_dec").shape
    content.expect_size("d_model", config.get("d_model"), d)
    content.expect_size("d_sae", config.get("d_sae"), h)
    sae = build_sae(
        content,
        encoder=content.tensor("W_enc", (d, h), "W_dec").T,
        decoder=content.tensor("W_dec", (h, d)).T,
        encoder_bias=content.tensor("b_enc", (h,), "W_dec"),
        bias=content.tensor("b_dec", (d,), "W_dec"),
        centred=first,
        activation=_activation(content, config.get("activation"), h),
    )
    content.check_all_used()
    return sae


def _activation(content: SaeContent, said: Any, latents: int) -> Activation:
    told = said if isinstance(said, Mapping) else {}
    name = str(told.get("cls", "")).lower()
    params = told.get("params")
    k = params.get("top_k") if isinstance(params, Mapping) else None
    if name == "relu":
        return Relu()
    if name == "topk":
        content.allow_negative("saev's TopK keeps the largest values whatever their sign")
        return TopK(content.k(k, latents))
    if name == "batchtopk":
        threshold = content.options.threshold
        if threshold is None:
            threshold = content.number("activation.threshold")
        content.used.add("activation.threshold")
        if threshold is None:
            content.ask("threshold", "from where on a latent fires")
        return Threshold(torch.tensor(threshold), "batchtopk", k=None if k is None else content.k(k, latents))
    content.refuse(f"has the activation {str(told.get('cls'))[:40]}")

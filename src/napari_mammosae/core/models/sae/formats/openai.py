"""OpenAI's `sparse_autoencoder`: a `.pt` of weights, with the activation's name and state among them."""

from collections.abc import Mapping

from ..activations import Activation, Relu, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..cell_norm import CellNorm
from ..content import SaeContent


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return content.has("pre_bias", "latent_bias", "encoder.weight")


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights; a TopK normalises each cell, a ReLU nothing."""
    h, d = content.matrix("encoder.weight").shape
    encoder = content.tensor("encoder.weight", (h, d))
    if content.has("decoder.linear.weight"):  # the encoder's own, transposed
        decoder = content.tensor("decoder.linear.weight", (h, d), "encoder.weight").T
    else:
        decoder = content.tensor("decoder.weight", (d, h), "encoder.weight")
    activation = _activation(content, h)
    sae = build_sae(
        content,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=content.tensor("latent_bias", (h,), "encoder.weight"),
        bias=content.tensor("pre_bias", (d,), "encoder.weight"),
        centred=True,
        activation=activation,
        norm=CellNorm("layer_norm") if isinstance(activation, TopK) else None,
    )
    content.check_all_used("stats_last_nonzero")
    return sae


def _activation(content: SaeContent, latents: int) -> Activation:
    name = str(content.values.get("activation", content.options.kind or "")).lower()
    if not name:
        content.ask("kind", "whether it is a relu or a topk SAE")
    if name == "relu":
        return Relu()
    if name != "topk":
        content.refuse(f"has the activation {name[:40]}")
    state = content.values.get("activation_state_dict")
    told: Mapping[str, object] = state if isinstance(state, Mapping) else {}
    k, after = told.get("k"), str(told.get("postact_fn", "ReLU"))
    if after != "ReLU":
        content.allow_negative(f"its TopK is followed by {after[:40]}, not by a ReLU")
    return TopK(content.k(getattr(k, "item", lambda: k)(), latents))

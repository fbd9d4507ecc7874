"""SAELens: a folder of `sae_weights.safetensors` and `cfg.json`."""

from collections.abc import Mapping
from typing import Any

import torch

from ..activations import Activation, Gated, Relu, Threshold, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..cell_norm import CellNorm
from ..content import SaeContent

_ARCHITECTURES = ("standard", "jumprelu", "topk", "gated", "batchtopk", "matryoshka_batchtopk")
_TRAINING_FILES = ("sparsity",)


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return content.path.suffix == ".safetensors" and content.has("W_enc", "W_dec")


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights of any architecture that is an autoencoder of single cells."""
    config = content.config
    if not config:
        content.ask_for("cfg.json")
    return read_named_like_saelens(content, config, centred=bool(config.get("apply_b_dec_to_input", True)))


def read_named_like_saelens(
    content: SaeContent, config: Mapping[str, Any], *, centred: bool, norm: str = "none"
) -> SparseAutoencoder:
    """Read weights with SAELens's names; `norm` is what the settings mean that say nothing of it."""
    h, d = content.matrix("W_dec").shape
    content.expect_size("d_in", config.get("d_in"), d)
    content.expect_size("d_sae", config.get("d_sae"), h)
    architecture = config.get("architecture") or "standard"
    if architecture not in _ARCHITECTURES:
        content.refuse(f"is a {str(architecture)[:40]}")
    encoder = content.tensor("W_enc", (d, h), "W_dec").T
    decoder = content.tensor("W_dec", (h, d)).T
    bias = content.tensor("b_dec", (d,), "W_dec")
    encoder_bias = None if architecture == "gated" else content.tensor("b_enc", (h,), "W_dec")
    activation = _activation(content, config, architecture, h)
    if config.get("rescale_acts_by_decoder_norm"):
        size = decoder.norm(dim=0)
        encoder, decoder = encoder * size[:, None], decoder / size
        encoder_bias = None if encoder_bias is None else encoder_bias * size
    if content.has("scaling_factor"):
        decoder = decoder * content.tensor("scaling_factor", (h,), "W_dec")
    content.check_all_used(*_TRAINING_FILES)
    return build_sae(
        content,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=encoder_bias,
        bias=bias,
        centred=centred,
        activation=activation,
        norm=_norm(content, config.get("normalize_activations") or norm),
        groups=_groups(config),
    )


def _activation(content: SaeContent, config: Mapping[str, Any], architecture: str, latents: int) -> Activation:
    if architecture == "gated":
        parts = (content.tensor(name, (latents,), "W_dec") for name in ("b_gate", "r_mag", "b_mag"))
        return Gated(*parts)
    if content.has("log_threshold"):
        return Threshold(content.tensor("log_threshold", (latents,), "W_dec").exp())
    if content.has("threshold"):
        return Threshold(content.tensor("threshold", (latents,), "W_dec"))
    if architecture in ("jumprelu", "batchtopk", "matryoshka_batchtopk"):
        if content.options.threshold is None:
            content.ask("threshold", "from where on a latent fires")
        return Threshold(torch.full((latents,), content.options.threshold))
    named = config.get("activation_fn_str") or config.get("activation_fn") or "relu"
    if architecture == "topk" or named == "topk":
        arguments = config.get("activation_fn_kwargs")
        stored = config.get("k") or (arguments.get("k") if isinstance(arguments, Mapping) else None)
        return TopK(content.k(stored, latents))
    if named != "relu":
        content.refuse(f"has the activation {str(named)[:40]}")
    return Relu()


def _norm(content: SaeContent, kind: Any) -> CellNorm | None:
    if kind in ("layer_norm", "constant_norm_rescale"):
        return CellNorm(kind)
    if kind == "expected_average_only_in":
        if content.options.scale is None:
            content.ask("scale", "what its inputs were multiplied by, the root of d over their mean norm")
    elif kind not in ("none", None, False):
        content.refuse(f"normalises its inputs by {str(kind)[:40]}")
    return None


def _groups(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Sizes of the groups, from the widths of a Matryoshka SAE's parts, each of which holds the one before."""
    inner = config.get("metadata")
    told = [config, *([inner, inner.get("training_architecture_details")] if isinstance(inner, dict) else [])]
    found = [one["matryoshka_widths"] for one in told if isinstance(one, dict) and one.get("matryoshka_widths")]
    widths = found[0] if found else None
    if not isinstance(widths, list) or not all(type(width) is int for width in widths):
        return ()
    return tuple(b - a for a, b in zip([0, *widths[:-1]], widths, strict=True))

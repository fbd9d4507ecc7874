"""dictionary_learning, also as MedSAE and sae-for-vlm have it: a folder of `ae.pt` and `config.json`."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from ....base.errors import CheckpointError
from ..activations import Activation, Gated, Relu, Threshold, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..content import SaeContent

_BY_KEYS: dict[str, frozenset[str]] = {
    "AutoEncoder": frozenset({"bias", "encoder.weight", "encoder.bias", "decoder.weight"}),
    "AutoEncoderNew": frozenset({"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}),
    "GatedAutoEncoder": frozenset(
        {"decoder_bias", "encoder.weight", "r_mag", "gate_bias", "mag_bias", "decoder.weight"}
    ),
    "JumpReluAutoEncoder": frozenset({"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}),
    "AutoEncoderTopK": frozenset({"b_dec", "encoder.weight", "encoder.bias", "decoder.weight", "k"}),
    "BatchTopKSAE": frozenset({"b_dec", "encoder.weight", "encoder.bias", "decoder.weight", "k", "threshold"}),
    "MatryoshkaBatchTopKSAE": frozenset({"W_enc", "W_dec", "b_enc", "b_dec", "k", "threshold", "group_sizes"}),
}
_OPTIONAL = {"AutoEncoderTopK": {"threshold"}}


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format, by its keys, or by the class that its settings name."""
    keys = set(content.tensors) | {"k", "threshold"}.intersection(content.values)
    return keys in _BY_KEYS.values() or (
        content.has("b_dec", "decoder.weight") or content.has("decoder_bias") or content.has("group_sizes")
    )


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights of one of its classes."""
    trainer = content.config.get("trainer")
    settings: Mapping[str, Any] = trainer if isinstance(trainer, Mapping) else {}
    cls = _class_of(content, settings.get("dict_class"))
    if cls in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        h, d = content.matrix("W_dec").shape
        encoder = content.tensor("W_enc", (d, h), "W_dec").T
        decoder = content.tensor("W_dec", (h, d)).T
        bias = content.tensor("b_dec", (d,), "W_dec")
    else:
        d, h = content.matrix("decoder.weight").shape
        decoder = content.tensor("decoder.weight", (d, h))
        encoder = content.tensor("encoder.weight", (h, d), "decoder.weight")
        biases = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}
        bias = content.tensor(biases.get(cls, "b_dec"), (d,), "decoder.weight")
    for name, size in (("activation_dim", d), ("dict_size", h)):
        content.expect_size(name, settings.get(name), size)
    beside, named = ("W_dec", "b_enc") if content.has("W_dec") else ("decoder.weight", "encoder.bias")
    encoder_bias = None if cls == "GatedAutoEncoder" else content.tensor(named, (h,), beside)
    groups = content.counts("group_sizes") if cls == "MatryoshkaBatchTopKSAE" else ()
    activation = _activation(content, cls, settings.get("k"), h, beside)
    content.check_all_used("k", "threshold")
    return build_sae(
        content,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=encoder_bias,
        bias=bias,
        centred=cls not in ("AutoEncoderNew", "JumpReluAutoEncoder"),
        activation=activation,
        groups=groups,
    )


def _class_of(content: SaeContent, said: Any) -> str:
    keys = set(content.tensors) | {"k", "threshold"}.intersection(content.values)
    if said is not None:
        if said not in _BY_KEYS:
            content.refuse(f"is a {str(said)[:40]}")
        missing = sorted(_BY_KEYS[said] - keys - {"k", "threshold"})
        if missing:
            raise CheckpointError(f"{content.name}: config.json says {said}, which has {missing[0]}; the file has none")
        return str(said)
    fitting = [cls for cls, own in _BY_KEYS.items() if own <= keys <= own | _OPTIONAL.get(cls, set())]
    if set(fitting) == {"AutoEncoderTopK", "BatchTopKSAE"}:
        kinds = {"topk": "AutoEncoderTopK", "batchtopk": "BatchTopKSAE"}
        if content.options.kind not in kinds:
            content.ask("kind", "whether it is a topk or a batchtopk SAE, as there is no config.json beside it")
        return kinds[content.options.kind]
    if len(fitting) != 1:
        found = ", ".join(sorted(keys)[:4])
        raise CheckpointError(f"{content.name} fits no class of dictionary_learning; found {found}")
    return fitting[0]


def _activation(content: SaeContent, cls: str, k: Any, latents: int, beside: str) -> Activation:
    if cls in ("AutoEncoder", "AutoEncoderNew"):
        return Relu()
    if cls == "GatedAutoEncoder":
        parts = (content.tensor(name, (latents,), beside) for name in ("gate_bias", "r_mag", "mag_bias"))
        return Gated(*parts)
    if cls == "JumpReluAutoEncoder":
        return Threshold(content.tensor("threshold", (latents,), beside))
    stored = content.number("k")
    k = stored if stored is not None else k
    if cls == "AutoEncoderTopK":
        return TopK(content.k(k, latents))
    threshold = content.number("threshold") if content.options.threshold is None else content.options.threshold
    if threshold is None:
        content.ask("threshold", "from where on a latent fires")
    if threshold < 0:
        warnings.warn(
            f"{content.name}: its threshold was never estimated, so every positive code fires; give `threshold` under "
            "[sae] in model.toml to set one",
            stacklevel=2,
        )
    return Threshold(torch.tensor(threshold), "batchtopk", k=None if k is None else content.k(k, latents))

"""sparsify: a folder for each layer, of `sae.safetensors` and `cfg.json`."""

from ..activations import GroupMax, TopK
from ..autoencoder import SparseAutoencoder
from ..building import build_sae
from ..content import SaeContent


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format."""
    return content.has("encoder.weight", "W_dec")


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights; transcoders and skip connections are refused."""
    config = content.config
    if not config:
        content.ask_for("cfg.json")
    if config.get("transcode"):
        content.refuse("is a transcoder")
    if config.get("skip_connection") or content.has("W_skip"):
        content.refuse("has a skip connection from input to output")
    h, d = content.matrix("W_dec").shape
    content.expect_size("d_in", config.get("d_in"), d)
    content.expect_size("num_latents", config.get("num_latents") or None, h)
    k, kind = content.k(config.get("k"), h), config.get("activation") or "topk"
    if kind not in ("topk", "groupmax"):
        content.refuse(f"has the activation {str(kind)[:40]}")
    if kind == "groupmax" and h % k:
        content.refuse(f"has {h:,} latents in {k:,} groups of different sizes")
    sae = build_sae(
        content,
        encoder=content.tensor("encoder.weight", (h, d), "W_dec"),
        decoder=content.tensor("W_dec", (h, d)).T,
        encoder_bias=content.tensor("encoder.bias", (h,), "W_dec"),
        bias=content.tensor("b_dec", (d,), "W_dec"),
        centred=True,
        activation=TopK(k) if kind == "topk" else GroupMax(k),
    )
    content.check_all_used()
    return sae

"""Prisma (vit-prisma): a `.pt` of weights named as SAELens's, and `config.json` beside it."""

from ..autoencoder import SparseAutoencoder
from ..content import SaeContent
from .saelens import read_named_like_saelens


def recognises(content: SaeContent) -> bool:
    """Whether a file is of this format: weights without the `threshold` that other tools keep under these names."""
    return content.path.suffix != ".safetensors" and content.has("W_enc", "W_dec", "b_dec")


def read(content: SaeContent) -> SparseAutoencoder:
    """Read the weights; the settings may also stand in the file, as a plain dictionary."""
    inner = content.values.get("cfg")
    config = content.config or (inner if isinstance(inner, dict) else {})
    if not config:
        content.ask_for("config.json")
    return read_named_like_saelens(content, config, centred=True, norm="layer_norm")

"""Where an SAE belongs whose size does not fit."""

from ..adapters.protocol import Backbone
from ..backbone import ARCHITECTURES
from .autoencoder import SparseAutoencoder


def where_it_fits(sae: SparseAutoencoder, backbone: Backbone) -> str:
    """Name the layers of the backbone, or the other backbones, whose features an SAE can read."""
    name, width = backbone.name, sae.width
    layers = [f"blocks.{i}" for i in range(len(backbone.blocks)) if backbone.block_channels(i) == width]
    if width == backbone.out_channels:
        layers.append("head")
    if layers:
        first, last = layers[0], layers[-1]
        return (
            f"layer {first} of {name} has as many"
            if first == last
            else f"layers {first} to {last} of {name} have as many"
        )
    others = [one.name for one in ARCHITECTURES.values() if one.features == width]
    if others:
        return f"the last layer of {' and '.join(others)} has as many"
    if sae.n_latents == backbone.out_channels:
        return f"it has {sae.n_latents} latents, so its matrices seem to be transposed"
    return "no layer of a known backbone has as many; choose the SAE that belongs to this one"

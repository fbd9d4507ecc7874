"""A tiny model of which the features of one image leave the range of half precision, and those of others do not."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

import tiny
from napari_mammosae.core.images.mammogram import Mammogram
from napari_mammosae.core.models.loading import load_model

LARGEST = 65504.0
"""The largest number in half precision."""


def write_model(folder: Path, images: Sequence[Mammogram]) -> Path:
    """Write a model that overflows on the image with the largest features, and just does not on the others."""
    toml = tiny.write_model(folder)
    model = load_model(toml, device="cpu", engine="torch")
    seen: list[float] = []  # before the last activation, which makes large negative numbers small
    hook = model.backbone.conv_head.register_forward_hook(lambda *given: seen.append(float(given[2].abs().max())))
    for image in images:
        model.features(image.to_input(model.preprocessing))
    hook.remove()
    second, first = sorted([0.0, *seen])[-2:]
    assert first > 1.02 * second
    files = folder / "classifier.safetensors", folder / "sae.safetensors"
    network, sae = (load_file(file) for file in files)
    network["image_encoder.blocks.9.bn3.weight"] *= 1e4  # without an activation after it, so that weights stay small
    network["image_encoder.bn2.weight"] *= 2e-4 * LARGEST / (first + second)
    sae["encoder_weight"] *= 1e-3  # their latents are all within it
    for file, tensors in zip(files, (network, sae), strict=True):
        save_file(tensors, file)
    return toml

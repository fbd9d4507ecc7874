"""A whole model small enough to compute in a blink: random weights, a 190 x 114 input, two findings, 64 latents."""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from napari_mammosae.core.models.backbone import EfficientNetBackbone

SIZE = (190, 114)
LATENTS = 64
CLASSES = ("mass", "suspicious_calcification")
TOML = """name = "tiny"
classifier = "classifier.safetensors"
sae = "sae.safetensors"
classes = ["mass", "suspicious_calcification"]
task = "multilabel"
input_size = [190, 114]
"""


def write_model(folder: Path, seed: int = 0) -> Path:
    """Write the weights and return their model.toml; about half of the latents fire on a picture of `write_image`."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EfficientNetBackbone("phantom-b0")
        width = network.out_channels
        network.bn2.weight.data *= 1000  # untrained features are minute
        decoder = torch.randn(width, LATENTS)
        decoder /= decoder.norm(dim=0)
        classifier = {f"image_encoder.{key}": value for key, value in network.state_dict().items()}
        classifier["classifier.classification_head.weight"] = torch.randn(len(CLASSES), width)
        classifier["classifier.classification_head.bias"] = torch.randn(len(CLASSES))
        autoencoder = {
            "encoder_weight": decoder.T.contiguous(),
            "encoder_bias": torch.full((LATENTS,), -0.5),
            "decoder_weight": decoder,
            "tied_bias": torch.zeros(width),
        }
    save_file({key: value.contiguous() for key, value in classifier.items()}, folder / "classifier.safetensors")
    save_file(autoencoder, folder / "sae.safetensors")
    path = folder / "model.toml"
    path.write_text(TOML)
    return path


def keep_class(model: Path, name: str) -> None:
    """Leave a model of `write_model` its first logit alone, called `name`."""
    weights = load_file(model.parent / "classifier.safetensors")
    head = "classifier.classification_head."
    save_file(
        weights | {f"{head}{part}": weights[f"{head}{part}"][:1].clone() for part in ("weight", "bias")},
        model.parent / "classifier.safetensors",
    )
    text = TOML.replace('["mass", "suspicious_calcification"]', f'["{name}"]')
    model.write_text(text.replace("multilabel", "binary"))


def picture(seed: int = 0, shape: tuple[int, int] = (400, 300)) -> np.ndarray:
    """A bright half disc with noise in it on black: something with a breast's outline, 8 bit."""
    g = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    inside = ((rows - shape[0] / 2) / (0.45 * shape[0])) ** 2 + (cols / (0.8 * shape[1])) ** 2 < 1
    return np.where(inside, 90 + 40 * g.random(shape), 0).astype(np.uint8)


def write_image(path: Path, seed: int = 0, shape: tuple[int, int] = (400, 300)) -> Path:
    """Write a `picture` as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(seed, shape))
    return path

"""Weights and images that anyone can regenerate: each tensor is drawn from a generator seeded by its own name."""

import json
import zlib
from collections import OrderedDict
from math import prod, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PARITY = Path(__file__).parents[1] / "data" / "parity"
HEAD = "classifier.classification_head."
WIDTH = {"b5": 2048, "b2": 1408}


def generator(key: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(key.encode()))


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def encoder_weights(network: str) -> dict[str, Tensor]:
    keys = json.loads((PARITY / f"efficientnet-{network}.keys.json").read_text())
    return {key: tensor(_values(key, shape)) for key, shape in keys.items()}


def _values(key: str, shape: list[int]) -> np.ndarray:
    g = generator(key)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("running_var"):
        return g.uniform(0.5, 1.5, shape)
    if key.endswith("running_mean") or key.endswith(".bias"):
        return g.normal(0, 0.1, shape)
    if "_bn" in key and key.endswith(".weight"):
        return g.uniform(0.8, 1.2, shape)
    return g.normal(0, sqrt(1.6 / prod(shape[1:])), shape)


def head_weights(width: int, classes: int = 1) -> dict[str, Tensor]:
    weight = generator(HEAD + "weight").normal(0, 8 * sqrt(1 / width), (classes, width))
    bias = generator(HEAD + "bias").normal(0, 0.1, (classes,))
    return {HEAD + "weight": tensor(weight), HEAD + "bias": tensor(bias)}


def sae_weights(width: int, latents: int) -> dict[str, Tensor]:
    """The six keys of a released SAE file, each with its leading axis of one."""
    decoder = generator("decoder._weight").normal(0, 1, (1, width, latents))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    bias = tensor(generator("tied_bias").normal(0, 0.1, (1, width)))
    return {
        "tied_bias": bias,
        "encoder._weight": tensor(generator("encoder._weight").normal(0, sqrt(1 / width), (1, latents, width))),
        "encoder._bias": tensor(generator("encoder._bias").normal(-0.3, 0.1, (1, latents))),
        "decoder._weight": tensor(decoder),
        "pre_encoder_bias._bias_reference": bias.clone(),
        "post_decoder_bias._bias_reference": bias.clone(),
    }


def image(seed: int, height: int, width: int) -> Tensor:
    """(1, 3, H, W) noise with four blobs, already normalised."""
    g = np.random.default_rng(seed)
    x = g.normal(0, 1, (1, 3, height, width))
    rows, cols = np.mgrid[:height, :width]
    for _ in range(4):
        row, col = g.uniform(0, height), g.uniform(0, width)
        radius, height_of_blob = g.uniform(0.05, 0.25) * width, g.uniform(-8, 8)
        x += height_of_blob * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * radius * radius))
    return tensor(x)


def write_classifier(path: Path, encoder: dict[str, Tensor], head: dict[str, Tensor]) -> Path:
    """A downstream checkpoint with all that the released ones hold beside the weights."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    content = {
        "model": OrderedDict({**{f"image_encoder.{key}": value for key, value in encoder.items()}, **head}),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "config": {"lr": 5e-5, "arch": "breast_clip_det_b5_period_n_ft", "sizes": [1520, 912], "amp": True},
        "epoch": 3,
        "auroc": np.float64(0.91),
        "predictions": np.linspace(0, 1, 7, dtype=np.float32),
        "image_ids": np.array(["a", "b"]),
    }
    torch.save(content, path)
    return path


def write_sae(path: Path, weights: dict[str, Tensor]) -> Path:
    torch.save(weights, path)
    return path

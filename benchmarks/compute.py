"""Features and all 16,384 latents of one 1520 x 912 image: this package against the plain path, in turn in one process.

Plain: timm's network as created (contiguous tensors, float32), then a dense linear encoder. The weights are random, of
EfficientNet-B5's shapes. `--no-compile` leaves out the compiled variants, which take a minute each to compile.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from _report import Report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
import recipe
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.timm_import import import_timm
from napari_mammosae.core.models.weights.released import rename_released

if TYPE_CHECKING:
    from collections.abc import Callable

LATENTS, WIDTH, SIZE, REPEATS = 16_384, 2048, (1520, 912), 5


def backbone() -> EfficientNetBackbone:
    network = EfficientNetBackbone("efficientnet-b5").eval().requires_grad_(False)
    network.load_state_dict(rename_released(recipe.encoder_weights("b5")))
    return network


def model(precision: str, compile: bool) -> MammoSAE:
    network = backbone()
    network.fold_batch_norms()
    return MammoSAE(
        backbone=network,
        sae=SparseAutoencoder.from_weights(recipe.sae_weights(WIDTH, LATENTS), "recipe"),
        heads=(Head("classifier", ("finding",), "binary", np.ones((1, WIDTH)) / WIDTH, np.zeros(1)),),
        precision=precision,
        engine="compiled" if compile else "torch",
    )


def plain_path() -> Callable[[torch.Tensor], torch.Tensor]:
    network = import_timm().create_model("tf_efficientnet_b5", num_classes=0).eval()
    weights = recipe.sae_weights(WIDTH, LATENTS)
    encoder, bias, tied = (weights[key][0] for key in ("encoder._weight", "encoder._bias", "tied_bias"))

    def run(x: torch.Tensor) -> torch.Tensor:
        features = network.forward_features(x)[0].flatten(1).T
        return torch.relu((features - tied) @ encoder.T + bias)

    return run


def main() -> None:
    torch.set_num_threads(2)
    compiled = "--no-compile" not in sys.argv
    x = recipe.image(0, *SIZE)
    models = {(p, c): model(p, c) for p in ("float32", "bfloat16") for c in ((False, True) if compiled else (False,))}
    plain = plain_path()
    paths: dict[object, Callable[[], object]] = {"plain": lambda: plain(x)}
    for key, one in models.items():
        paths[key] = lambda one=one: one.encode(one.features(x))
    seconds: dict[object, list[float]] = {name: [] for name in paths}
    with torch.inference_mode():
        for round_ in range(REPEATS + 1):
            for name, path in paths.items():
                start = time.perf_counter()
                path()
                if round_:  # the first round warms up, and compiles
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}

    report = Report(
        "Features and 16,384 latents of one 1520 x 912 image",
        f"EfficientNet-B5, random weights, {torch.get_num_threads()} threads; medians of {REPEATS}, variants in turn.",
    )
    report.add("plain path, float32", medians["plain"], "s")
    bounds = {("float32", False): 0.7, ("float32", True): 0.55, ("bfloat16", False): 0.4, ("bfloat16", True): 0.27}
    for key, bound in bounds.items():
        if key in medians:
            label = f"{key[0]}{', compiled' if key[1] else ''}"
            report.add(label, medians[key], "s")
            report.add(f"{label}, share of the plain path", medians[key] / medians["plain"], at_most=bound)
    with torch.inference_mode():
        reference = backbone()(x)
    exact = reference[0].flatten(1).T
    sae = SparseAutoencoder.from_weights(recipe.sae_weights(WIDTH, LATENTS), "recipe")
    latents = sae.encode(exact)
    for key, one in models.items():
        label = f"{key[0]}{', compiled' if key[1] else ''}"
        features = one.features(x)
        found = one.encode(features)[0].flatten(1).T.float()
        bound = 1e-4 if key[0] == "float32" else None
        deviation = ((features.float() - reference).norm() / reference.norm()).item()
        report.add(f"{label}: features, relative deviation", deviation, at_most=bound)
        deviation = ((found - latents).norm() / latents.norm()).item()
        report.add(f"{label}: latents, relative deviation", deviation, at_most=bound)
    one = models["float32", False]
    features = one.features(x)
    start = time.perf_counter()
    latents_of_features(one, features)
    report.add(
        "latents, reconstruction, logits and live maps from given features, float32", time.perf_counter() - start, "s"
    )
    report.finish()


if __name__ == "__main__":
    main()

"""One 1520 x 912 image with its 16,384 latents on the CPU, two threads: OpenVINO against PyTorch, in turn.

Random weights of EfficientNet-B5's shapes. PyTorch computes as this package does by itself: eagerly, in float32, with
batch norms folded; with batch norms apart it is timed for comparison. The arithmetic limit is the time of the 230 GFLOP
of backbone and encoder at the speed of a large float32 product, measured in turn with the engines.
"""

from __future__ import annotations

import statistics
import time

import torch
from _report import Report
from compute import LATENTS, SIZE, backbone, recipe

from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder

GFLOP, SIDE, REPEATS = 230, 4096, 5


def model(engine: str, precision: str, *, fold: bool = True) -> MammoSAE:
    network = backbone()
    if fold:
        network.fold_batch_norms()
    sae = SparseAutoencoder.from_weights(recipe.sae_weights(network.out_channels, LATENTS), "recipe")
    return MammoSAE(backbone=network, sae=sae, engine=engine, precision=precision)


def main() -> None:
    torch.set_num_threads(2)
    x, square = recipe.image(0, *SIZE), torch.rand(SIDE, SIDE)
    start = time.perf_counter()
    models = {key: model(*key) for key in (("openvino", "float32"), ("openvino", "bfloat16"))}
    conversion = (time.perf_counter() - start) / len(models)
    models["torch", "float32"] = model("torch", "float32")
    models["torch, batch norms apart", "float32"] = model("torch", "float32", fold=False)
    paths = {key: lambda one=one: one.encode(one.features(x)) for key, one in models.items()}
    paths["limit", ""] = lambda: square @ square
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in paths}
    with torch.inference_mode():
        for round_ in range(REPEATS + 1):
            for name, path in paths.items():
                start = time.perf_counter()
                path()
                if round_:  # the first round warms up
                    seconds[name].append(time.perf_counter() - start)
        exact, quick = (models[engine, "float32"].features(x) for engine in ("torch", "openvino"))
        deviation = float((quick - exact).abs().max() / exact.abs().max())
        means = [
            torch.from_numpy(latents_of_features(models[engine, "float32"], features)[0].pooled_mean)
            for engine, features in (("torch", exact), ("openvino", quick))
        ]
    eager, engine, apart, half, limit = (
        [a / b for a, b in zip(seconds[one], seconds[other], strict=True)]
        for one, other in (
            (("torch", "float32"), ("limit", "")),
            (("openvino", "float32"), ("torch", "float32")),
            (("openvino", "float32"), ("torch, batch norms apart", "float32")),
            (("openvino", "bfloat16"), ("torch", "float32")),
            (("openvino", "float32"), ("limit", "")),
        )
    )
    products = GFLOP * 1e9 / (2 * SIDE**3)
    report = Report("Engines on the CPU, features and latents of one image, EfficientNet-B5, two threads")
    for name, took in seconds.items():
        report.add(" ".join(name).strip(), statistics.median(took) * (products if name[0] == "limit" else 1), "s")
    report.add("openvino float32, share of torch float32", statistics.median(engine), at_most=0.6)
    report.add("openvino float32, share of torch with batch norms apart", statistics.median(apart))
    report.add("openvino bfloat16, share of torch float32", statistics.median(half))
    report.add("openvino float32, times the arithmetic limit", statistics.median(limit) / products, at_most=2.0)
    report.add("torch float32, times the arithmetic limit", statistics.median(eager) / products)
    report.add("converting the network, once", conversion, "s")
    report.add("largest deviation of features, of their maximum", deviation, at_most=1e-4)
    distance = float((means[0] - means[1]).abs().max() / means[0].abs().max())
    report.add("largest deviation of latents' means, of their maximum", distance, at_most=1e-4)
    report.finish()


if __name__ == "__main__":
    main()

"""Runs and single images on a GPU against the bare loop and the published way; precisions against the CPU.

    python benchmarks/gpu.py [--tiny]

EfficientNet-B5's shapes with random weights, 512 PNGs of 1520 x 912, 14 decoding processes; under five minutes. Without
a GPU it says so. `--tiny` goes the same way on the CPU with a tiny model and without bounds, to try the script itself.
A bare loop is the features and the latents of tensors that are on the device already. A run is counted from its first
image to its last one, without its start and without compiling.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _report import Report
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import recipe
import tiny
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.compute import features_and_latents, features_of_planes
from napari_mammosae.core.models.engines.measure import measure
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.weights.released import rename_released
from napari_mammosae.core.runs.making.make import write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_mammosae.core.images.preprocessing import ModelInput
    from napari_mammosae.core.models.choices import Engine, Precision


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is."""

    network: str = "efficientnet-b5"
    size: tuple[int, int] = (1520, 912)
    latents: int = 16_384
    images: int = 512
    drawn: int = 16
    batch: int = 16
    workers: int = 14
    cells: int = 60_000
    repeats: int = 20
    warm_ups: int = 3
    device: str = "cuda"
    bounds: bool = True


# a CPU by another name: batches go as they do on a GPU
TINY = Sizes("phantom-b0", (190, 114), 64, 6, 2, 2, 1, 200, 1, 0, "cpu:0", bounds=False)
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "float16", "bfloat16")


class Bench:
    """The parts that all measurements share: a network and an SAE on the CPU, images, and a table."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes, self.folder = sizes, folder
        self.network, self.published = _networks(sizes)
        width = self.network.out_channels
        self.sae = SparseAutoencoder.from_weights(recipe.sae_weights(width, sizes.latents), "recipe")
        self.head = Head("classifier", ("finding",), "binary", np.ones((1, width)) / width, np.zeros(1))
        self.images = _draw(sizes, folder / "images")
        self.prepared = [
            read_mammogram(path).prepared(Preprocessing(sizes.size))
            for path in sorted(self.images.iterdir())[: sizes.drawn]
        ]
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU, tiny sizes"
        self.report = Report(f"GPU: {name}", __doc__.split("\n\n")[2].replace("\n", " "))
        self._thin_out()

    def model(self, precision: Precision, device: str = "", engine: Engine = "torch") -> MammoSAE:
        """Put the model together on a device."""
        return MammoSAE(
            deepcopy(self.network),
            deepcopy(self.sae),
            (self.head,),
            preprocessing=Preprocessing(self.sizes.size),
            device=device or self.sizes.device,
            precision=precision,
            engine=engine,
        )

    def add(self, what: str, measured: float, unit: str = "", **bound: float) -> None:
        """Add a number; bounds are for real sizes."""
        self.report.add(what, measured, unit, **(bound if self.sizes.bounds else {}))

    def _thin_out(self) -> None:
        """Raise the encoder's threshold until about as many cells fire as on a mammogram."""
        model, count = self.model("float32"), min(2, len(self.prepared))
        features = features_of_planes(model, [one.pixels for one in self.prepared[:count]])
        with torch.inference_mode():
            z = model.encode(features).flatten()
            self.sae.encoder_bias -= float(z.topk(count * self.sizes.cells).values[-1])


def _networks(sizes: Sizes) -> tuple[EfficientNetBackbone, EfficientNetBackbone]:
    """Return the network as it is used here, batch norms folded, and as it is published."""
    torch.manual_seed(0)
    network = EfficientNetBackbone(sizes.network).eval().requires_grad_(False)
    if sizes.network == "efficientnet-b5":
        network.load_state_dict(rename_released(recipe.encoder_weights("b5")))
    else:
        network.bn2.weight.data *= 1000  # untrained features are minute
    published = deepcopy(network)
    network.fold_batch_norms()
    return network, published


def _draw(sizes: Sizes, folder: Path) -> Path:
    """Write a few images and link them under as many names as there are to be images."""
    from concurrent.futures import ThreadPoolExecutor

    import cv2

    from napari_mammosae.core.phantoms.phantom import make_phantom

    def draw(seed: int) -> Path:
        path = folder.parent / f"{seed}.png"
        pixels = make_phantom(seed).pixels if sizes.bounds else tiny.picture(seed, sizes.size)
        assert cv2.imwrite(str(path), pixels)
        return path

    folder.mkdir()
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(draw, range(sizes.drawn)))
    for at in range(sizes.images):
        (folder / f"image-{at:03d}.png").hardlink_to(drawn[at % len(drawn)])
    return folder


def clock() -> float:
    """Wall-clock seconds, once the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def rate(bench: Bench, work: Callable[[], Any], images: int, repeats: int) -> float:
    """Images a second of something that is repeated, after a few times that are not counted."""
    for _ in range(bench.sizes.warm_ups):
        work()
    start = clock()
    for _ in range(repeats):
        work()
    return repeats * images / (clock() - start)


def bare_loop(bench: Bench, model: MammoSAE) -> float:
    """Images a second of features and latents alone."""
    sizes = bench.sizes
    planes = [bench.prepared[at % sizes.drawn].pixels for at in range(sizes.batch)]
    x = torch.cat([_input(bench, one) for one in planes]).to(model.device, model.dtype)

    def work() -> None:
        with torch.inference_mode():
            model.encode(model.features(x))

    return rate(bench, work, sizes.batch, max(sizes.images // sizes.batch // 2, 1))


def _input(bench: Bench, plane: np.ndarray) -> torch.Tensor:
    return read_mammogram(plane).to_input(Preprocessing(bench.sizes.size))


def run_rate(bench: Bench, model: MammoSAE, name: str, *, maps: bool) -> float:
    """Images a second of a whole run, from its first batch to its last one."""
    seen: list[tuple[float, int]] = []
    write_run(
        bench.images, model, bench.folder / name, maps=maps, workers=bench.sizes.workers, batch=bench.sizes.batch,
        progress=lambda _, done=0, total=0: seen.append((time.perf_counter(), done)) if done else None,
    )  # fmt: skip
    (first, before), (last, after) = seen[0], seen[-1]
    return (after - before) / (last - first)


def runs(bench: Bench) -> None:
    """Whole runs against their bare loops, and the published way."""
    best = 0.0
    cases: list[tuple[Precision, Engine, float]] = [("float16", "torch", 0.8), ("float32", "torch", 0.85)]
    if bench.sizes.bounds:
        cases.append(("float16", "compiled", 0.8))
    for precision, engine, bound in cases:
        model, name = bench.model(precision, engine=engine), f"{precision}{', compiled' * (engine == 'compiled')}"
        start = clock()
        bare = bare_loop(bench, model)
        if engine == "compiled":
            bench.add(f"{name}: compiling and the bare loop", clock() - start, "s")
        whole = run_rate(bench, model, f"{precision}-{engine}", maps=False)
        best = max(best, whole if precision == "float16" else 0)
        bench.add(f"{name}: bare loop", bare, "images a second")
        bench.add(f"{name}: run without maps", whole, "images a second")
        bench.add(f"{name}: run without maps, share of the bare loop", whole / bare, at_least=bound)
        if precision == "float16":
            kept = run_rate(bench, model, f"{precision}-{engine}-maps", maps=True)
            bench.add(f"{name}: run with maps", kept, "images a second")
            bench.add(f"{name}: run with maps, share of the bare loop", kept / bare, at_least=0.5)
        model.unload()
    bench.add(f"run without maps, {bench.sizes.workers} decoding processes", best, "images a second", at_least=150)
    published = published_rate(bench)
    bench.add("the published way, decoding not counted", published, "images a second")
    bench.add("run without maps, times the published way", best / published)


def published_rate(bench: Bench) -> float:
    """Images a second of the published script's steps: its network in eager mode, dense encode, mask, decode."""
    device, batch = bench.sizes.device, min(8, bench.sizes.drawn)
    network = bench.published.to(device)
    weights = {name: value.to(device) for name, value in bench.sae.state_dict().items()}
    x = torch.cat([_input(bench, one.pixels) for one in bench.prepared[:batch]]).to(device)
    mask = torch.ones(bench.sizes.latents, device=device)
    mask[::2] = 0

    def work() -> None:
        with torch.no_grad():
            features = network(x).permute(0, 2, 3, 1).flatten(0, 2)
            z = F.relu(F.linear(features - weights["tied_bias"], weights["encoder_weight"], weights["encoder_bias"]))
            F.linear(z * mask, weights["decoder_weight"], weights["tied_bias"]).mean(0)

    return rate(bench, work, batch, bench.sizes.repeats)


def single_images(bench: Bench) -> None:
    """From an image that is prepared to its maps in the main memory, one at a time."""
    bounds = {"float32": 25.0, "float16": 12.0}
    for precision in PRECISIONS:
        model, took = bench.model(precision), []
        for at in range(bench.sizes.repeats + bench.sizes.warm_ups):
            prepared = bench.prepared[at % bench.sizes.drawn]
            start = clock()
            features_and_latents(model, prepared, "image")
            took.append(1e3 * (clock() - start))
        bound = {"at_most": bounds[precision]} if precision in bounds else {}
        median = statistics.median(took[bench.sizes.warm_ups :])
        bench.add(f"{precision}: one image, from its pixels to its maps", median, "ms", **bound)
        if model.device.startswith("cuda"):
            bench.add(f"{precision}: memory of the GPU in use", torch.cuda.memory_reserved() / 1e9, "GB")
        model.unload()


def precisions(bench: Bench) -> None:
    """What each precision changes, against float32 on the CPU."""
    count = min(4, bench.sizes.drawn)
    exact = values_of(bench.model("float32", "cpu"), bench.prepared[:count])
    best = np.argsort(-exact["pooled mean"].mean(0), kind="stable")[:100]
    for precision in PRECISIONS:
        model = bench.model(precision)
        found = values_of(model, bench.prepared[:count])
        for name, values in exact.items():
            apart = float(np.linalg.norm(found[name] - values) / np.linalg.norm(values))
            bound = {"at_most": 1e-5} if precision == "float32" else {}
            bench.add(f"{precision}: {name}, relative deviation from the CPU", apart, **bound)
        order = np.argsort(-found["pooled mean"].mean(0), kind="stable")
        ranks = np.empty(len(order), int)
        ranks[order] = np.arange(len(order))
        bench.add(f"{precision}: of the best 100 latents, in the same place", float((order[: len(best)] == best).sum()))
        bench.add(f"{precision}: of the best 100 latents, still there", float((ranks[best] < len(best)).sum()))
        bench.add(
            f"{precision}: largest change of a rank among them", float(abs(ranks[best] - np.arange(len(best))).max())
        )
        model.unload()


def values_of(model: MammoSAE, prepared: Sequence[ModelInput]) -> dict[str, np.ndarray]:
    """Features, latents, pooled values and logits of images, one after the other."""
    found: dict[str, list[np.ndarray]] = {}
    for one in prepared:
        features = features_of_planes(model, [one.pixels])
        latents = measure(model, features, cells=False)
        with torch.inference_mode():
            values = {
                "features": features.float().cpu().numpy(),
                "latents": model.encode(features).float().cpu().numpy(),
            }
        for name in ("mean", "max"):
            values[f"pooled {name}"] = np.zeros((1, model.n_latents))
            values[f"pooled {name}"][0, latents.fires.latent] = getattr(latents.fires, name)
        values["logits"] = latents.logits
        for name, array in values.items():
            found.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def training(bench: Bench) -> None:
    """A step of `train-sae` against its five matrix products."""
    if find_spec("training") is None:
        bench.report.note("a step of train-sae", "not measured: benchmarks/training.py is missing")
        return
    import training

    if not bench.sizes.bounds:
        training.CELLS, training.WIDTH, training.EXPANSION = 64, 16, 2
    for precision in ("float32", "tf32", "bfloat16"):
        bound = 1.5 if bench.sizes.bounds else float("inf")
        training.compare(bench.report, bench.sizes.device.partition(":")[0], precision, bound, 3)


def main() -> None:
    sizes = TINY if "--tiny" in sys.argv else Sizes()
    if sizes.bounds and not torch.cuda.is_available():
        sys.stdout.write("## GPU\n\nNot measured: there is no GPU with CUDA here.\n")
        return
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sizes, Path(folder))
        for measurement in (single_images, precisions, training, runs):
            measurement(bench)
    bench.add("all of this", time.perf_counter() - start, "s", at_most=300)
    bench.report.finish()


if __name__ == "__main__":
    main()

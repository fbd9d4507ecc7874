"""A step of `train-sae` against its five matrix products, in turn; and 64 GB of features in little memory.

A batch of 4,096 cells, 2,048 features, 16,384 latents, on the CPU with two threads; `--gpu` measures on a GPU instead.
The large file is sparse: it takes no room on the disk, and is read and shuffled as any other. A part of an epoch is
trained on, with few latents, and two steps with all of them; places all over the file are read.
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from _report import Report

from napari_mammosae.core.base.errors import Cancelled
from napari_mammosae.core.models.engines.rounding import computes_in
from napari_mammosae.core.training import sae_training
from napari_mammosae.core.training.batches import Epochs
from napari_mammosae.core.training.one_training import COMPILE_FROM, OneTraining
from napari_mammosae.core.training.settings import SAETrainingSettings
from napari_mammosae.core.training.steps.relu_gradients import ReluGradients

if TYPE_CHECKING:
    from collections.abc import Callable

CELLS, WIDTH, EXPANSION = 4096, 2048, 8
LARGE, LIMIT = 64 * 2**30, 4 * 10**9
"""Bytes of the large file, and of memory to train on it."""
PARTS = ((1, 96), (EXPANSION, 2))
"""Of the large file: latents per feature, and steps. 32 steps take half a gigabyte; the next half is read meanwhile."""


def products(device: str, half: bool) -> Callable[[], None]:
    """Return what computes the five products of a step: codes, reconstruction, and three of gradients."""
    dtype = torch.bfloat16 if half else torch.float32
    latents = EXPANSION * WIDTH
    x, codes = (torch.rand(CELLS, size, device=device).to(dtype) for size in (WIDTH, latents))
    encoder, decoder = torch.rand(latents, WIDTH, device=device).to(dtype), torch.rand(WIDTH, latents).to(device, dtype)
    pairs = [(x, encoder.T), (codes, decoder.T), (x.T, codes), (x, decoder), (codes.T, x)]
    rooms = [torch.empty(len(a), b.shape[1], dtype=dtype, device=device) for a, b in pairs]

    def compute() -> None:
        for (a, b), room in zip(pairs, rooms, strict=True):
            torch.mm(a, b, out=room)

    return compute


def clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def compare(report: Report, device: str, precision: str, bound: float, rounds: int) -> None:
    """Time steps and their products in turn, with everything that a step does beside them."""
    features = np.random.default_rng(0).normal(size=(CELLS, WIDTH)).astype(np.float16)
    settings = SAETrainingSettings(epochs=COMPILE_FROM, batch=CELLS, resample_every=0, precision=precision).settle(
        WIDTH
    )  # type: ignore[arg-type]
    gradients = ReluGradients(half=precision == "bfloat16")
    training = OneTraining(features, settings, 1.0, 1, gradients, device, None)
    passes, order = Epochs(features, CELLS, device), np.random.default_rng(0)
    compute = products(device, precision == "bfloat16")
    times: dict[str, list[float]] = {"products": [], "step": [], "reading": []}
    repeats = 20 if device == "cuda" else 1
    before = torch.backends.cuda.matmul.allow_tf32
    for round_ in range(rounds + 1):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        moments = [clock(device)]
        for _ in range(repeats):
            compute()
        moments.append(clock(device))
        (x,) = passes.shuffled(order)
        moments.append(clock(device))
        for _ in range(repeats):
            training.step(x)
        moments.append(clock(device))
        if round_:  # the first round warms up
            for name, one, other in zip(("products", "reading", "step"), moments, moments[1:], strict=False):
                times[name].append((other - one) / (1 if name == "reading" else repeats))
    torch.backends.cuda.matmul.allow_tf32 = before
    report.add(f"{precision}: five products", 1e3 * statistics.median(times["products"]), "ms")
    report.add(f"{precision}: a step", 1e3 * statistics.median(times["step"]), "ms")
    report.add(f"{precision}: reading the batch, meanwhile", 1e3 * statistics.median(times["reading"]), "ms")
    shares = [a / b for a, b in zip(times["step"], times["products"], strict=True)]
    report.add(f"{precision}: a step, in its products", statistics.median(shares), at_most=bound)


def train_on_large_file(expansion: int, steps: int) -> None:
    """Take the first steps of an epoch over the large file; say what was read of it, and the memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features"
        with path.open("wb") as file:
            file.truncate(LARGE)
        features = np.memmap(path, np.float16, "r", shape=(LARGE // (2 * WIDTH), WIDTH))
        first, last, read = len(features), 0, 0
        original = Epochs._load

        def load(self: Epochs, spans: list[slice], device: torch.device) -> torch.Tensor:
            nonlocal first, last, read
            found = original(self, spans, device)
            first, last = min(first, spans[0].start), max(last, spans[-1].stop)
            read += len(found)
            return found

        Epochs._load = load  # type: ignore[method-assign]
        left = iter(range(steps))
        settings = SAETrainingSettings(expansion, epochs=1, resample_every=0, precision="bfloat16")
        start = time.perf_counter()
        with contextlib.suppress(Cancelled):
            sae_training.train_sae(features, settings, cancelled=lambda: next(left, None) is None)
        took = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(peak, first / len(features), last / len(features), read / len(features), took)


def main() -> None:
    if "--large" in sys.argv:
        train_on_large_file(*map(int, sys.argv[2:]))
        return
    if "--gpu" in sys.argv:
        report = Report("Training an SAE on the GPU", torch.cuda.get_device_name())
        for precision in ("float32", "tf32", "bfloat16"):
            compare(report, "cuda", precision, 1.5, 5)
        report.finish()
    torch.set_num_threads(2)
    report = Report("Training an SAE", "A batch of 4,096 cells, 2,048 features, 16,384 latents; two threads, in turn.")
    compare(report, "cpu", "float32", 1.3, 3)
    if computes_in(torch.bfloat16, "cpu"):
        compare(report, "cpu", "bfloat16", 1.3, 5)
    else:
        report.note("bfloat16", "not measured: this processor computes it in float32")
    for part in PARTS:
        command = [sys.executable, __file__, "--large", *map(str, part)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        peak, first, last, read, took = map(float, done.stdout.split())
        what = f"64 GB of features, {part[0] * WIDTH:,} latents, {part[1]} steps"
        report.add(f"{what}: memory at its peak", peak / 1e9, "GB", at_most=LIMIT / 1e9)
        report.add(f"{what}: time", took, "s")
        report.note(f"{what}: read of the file", f"{read:.1%}, from {first:.1%} to {last:.1%} of its length")
    report.finish()


if __name__ == "__main__":
    main()

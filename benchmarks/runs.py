"""Runs: throughput against the bare computation, memory over the number of images, bytes on the disk.

Throughput: a run with maps over 1520 x 912 PNGs (decoding, regions, pooled values, files), in turn with features and
encoding alone of tensors that are decoded already, round after round in one process that keeps freed memory, as the
command line does. Counted from the first image that is asked for to the last file; before it come the start of the
decoding process and two images that tell how much room the maps take. B5: random weights of EfficientNet-B5's shapes;
about 3 % of the 16,384 latents fire. Memory and bytes: the embedded model over synthetic phantoms, each run in a
process of its own (Linux only).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _report import Report

if TYPE_CHECKING:
    from napari_mammosae.core.models.model import MammoSAE

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent / "tests" / "support"))

IMAGES, ROUNDS, FEW, MANY = 6, 5, 100, 400


def draw(folder: Path, count: int) -> Path:
    """Link `count` images to a few phantoms: their content does not matter here, their number does."""
    import cv2

    from napari_mammosae.core.phantoms.phantom import make_phantom

    drawn = folder.parent / "drawn"
    drawn.mkdir(exist_ok=True)
    folder.mkdir()
    for i in range(count):
        source = drawn / f"{i % IMAGES}.png"
        if not source.exists():
            cv2.imwrite(str(source), make_phantom(i).pixels)
        (folder / f"image-{i:03d}.png").hardlink_to(source)
    return folder


def now() -> np.ndarray:
    """Wall-clock seconds, and seconds of this process on the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def throughput(report: Report, name: str, model: MammoSAE, folder: Path, at_most: float | None) -> None:
    """Seconds an image of the run and of the bare loop, in turn."""
    import torch

    from napari_mammosae.core.images.mammogram import read_mammogram
    from napari_mammosae.core.runs.making.make import write_run
    from napari_mammosae.core.runs.opening import open_run

    paths = sorted((folder / "images").iterdir())
    tensors = [read_mammogram(path).to_input(model.preprocessing) for path in paths]
    bare, whole, before = [], [], []
    for round_ in range(ROUNDS + 1):
        start = now()
        with torch.inference_mode():
            for x in tensors:
                model.encode(model.features(x))
        middle, begun = now(), []
        write_run(
            folder / "images",
            model,
            folder / f"{name}-{round_}",
            maps=True,
            progress=lambda *_, begun=begun: begun.append(now()),
        )
        bare.append(middle - start)
        whole.append(now() - begun[0])
        before.append(begun[0] - middle)
    bare, whole, before = (np.array(found[1:]) for found in (bare, whole, before))  # the first round warms up
    live = np.diff(open_run(folder / f"{name}-0").pooled().tocsr().indptr).mean()
    ratio = np.median(whole / bare, axis=0)
    report.add(f"{name}: features and encoding of decoded tensors", np.median(bare[:, 0]) / IMAGES, "s an image")
    report.add(f"{name}: run with maps, files and regions included", np.median(whole[:, 0]) / IMAGES, "s an image")
    report.add(f"{name}: time of the run over that of the bare loop", ratio[0], at_most=at_most)
    report.add(f"{name}: the same of the main process's time on the processor", ratio[1])
    report.add(f"{name}: before the first image", np.median(before[:, 0]), "s a run")
    report.add(f"{name}: live latents", live, "an image")


def throughputs(report: Report, folder: Path) -> None:
    """With B5's sizes, where the bound holds, and with the embedded model."""
    import torch
    from compute import model as b5

    from napari_mammosae.core.images.mammogram import read_mammogram
    from napari_mammosae.core.models.loading import load_model
    from napari_mammosae.core.runs.making.process import keep_freed_memory

    torch.set_num_threads(2)
    draw(folder / "images", IMAGES)
    model = b5("float32", False)
    x = read_mammogram(next((folder / "images").iterdir())).to_input(model.preprocessing)
    with torch.inference_mode():
        peaks = model.encode(model.features(x)).amax((0, 2, 3))
        model.sae.encoder_bias -= torch.quantile(peaks, 0.97)
        start = time.perf_counter()
        for _ in range(2):
            model.encode(model.features(x))
        report.add("B5: bare loop where freed memory is handed back", (time.perf_counter() - start) / 2, "s an image")
    keep_freed_memory()
    throughput(report, "B5", model, folder, 1 / 0.9)
    model.unload()
    throughput(report, "demo", load_model("demo", device="cpu"), folder, None)


def measured(images: Path, out: Path) -> dict[str, float]:
    """Make a run with maps in a process of its own; its peak memory and speed."""
    command = [sys.executable, str(HERE), "child", str(images), str(out)]
    return json.loads(subprocess.check_output(command, text=True))


def child(images: str, out: str) -> None:
    from napari_mammosae.core.base.progress import Meter
    from napari_mammosae.core.runs.making.make import write_run
    from napari_mammosae.core.runs.making.process import keep_freed_memory

    keep_freed_memory()
    meter, rates, decoder = Meter(), [], [0]

    def progress(text: str, done: int, total: int) -> None:
        rates.append(meter(text, done, total).rate)
        decoder.extend(peak_memory(process.pid) for process in multiprocessing.active_children())

    write_run(images, "demo", out, maps=True, progress=progress)
    found = {"main": peak_memory(os.getpid()), "decoder": max(decoder), "rate": float(np.median(rates[1:]))}
    sys.stdout.write(json.dumps(found))


def peak_memory(process: int) -> int:
    """Bytes that a process had resident at most; `getrusage` would count what its parent had when it began."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1)) * 1024


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory_and_bytes(report: Report, folder: Path) -> None:
    """Peak memory over 100 and 400 images; bytes a stored image."""
    few, many = (measured(draw(folder / f"images-{count}", count), folder / f"run-{count}") for count in (FEW, MANY))
    report.add(f"demo: peak memory over {FEW} images", few["main"] / 1e6, "MB")
    report.add(f"demo: peak memory over {MANY} images", many["main"] / 1e6, "MB")
    report.add("demo: ratio of the two", many["main"] / few["main"], at_most=1.1)
    report.add("demo: peak memory of the decoding process", many["decoder"] / 1e6, "MB")
    report.add("demo: rate", many["rate"], "imagesper second")
    run, maps = folder / f"run-{MANY}", folder / f"run-{MANY}" / "maps"
    report.add("demo: on the disk without maps", (size(run) - size(maps)) / MANY / 1e3, "kB an image")
    report.add("demo: on the disk with maps", size(run) / MANY / 1e3, "kB an image")
    import pyarrow.parquet as pq

    cells = sum(pq.ParquetFile(part).metadata.num_rows for part in maps.glob("*.parquet"))
    report.add("demo: maps", size(maps) / cells, "bytes a non-zero cell")


def main() -> None:
    report = Report("Runs", __doc__.partition("\n\n")[2].replace("\n", " "))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughputs(report, folder)
        memory_and_bytes(report, folder)
    report.finish()


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["child"] else main()

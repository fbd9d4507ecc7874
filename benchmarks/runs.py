"""Runs: throughput against the bare computation, bytes on the disk.

Throughput: a run with maps over 1520 x 912 PNGs (decoding, regions, pooled values, files), in turn with the bare loop
(features, encoding, mean and maximum of every latent, of tensors that are decoded already), round after round in one
process that keeps freed memory, as the command line does. Counted from the first image that is asked for to the last
file; before it come the start of the decoding process and two images that tell how much room the maps take. B5: random
weights of EfficientNet-B5's shapes; about 3 % of the 16,384 latents fire. Bytes: the embedded model over synthetic
phantoms.
"""

from __future__ import annotations

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

DRAWN, ROUNDS, MANY = 6, 5, 200


def draw(folder: Path, count: int) -> Path:
    """Link `count` images to a few phantoms: their content does not matter here, their number does."""
    import cv2

    from napari_mammosae.core.phantoms.phantom import make_phantom

    drawn = folder.parent / "drawn"
    drawn.mkdir(exist_ok=True)
    folder.mkdir()
    for i in range(count):
        source = drawn / f"{i % DRAWN}.png"
        if not source.exists():
            cv2.imwrite(str(source), make_phantom(i).pixels)
        (folder / f"image-{i:03d}.png").hardlink_to(source)
    return folder


def now() -> np.ndarray:
    """Wall-clock seconds, and seconds of this process on the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def throughput(report: Report, name: str, model: MammoSAE, images: Path, at_most: float) -> None:
    """Seconds an image of the run and of the bare loop, in turn."""
    import torch

    from napari_mammosae.core.images.mammogram import read_mammogram
    from napari_mammosae.core.runs.making.make import write_run
    from napari_mammosae.core.runs.opening import open_run

    paths, folder = sorted(images.iterdir()), images.parent
    tensors = [read_mammogram(path).to_input(model.preprocessing) for path in paths[:DRAWN]]
    bare, whole, before = [], [], []
    for round_ in range(ROUNDS + 1):
        start = now()
        with torch.inference_mode():
            for number in range(len(paths)):
                latents = model.encode(model.features(tensors[number % DRAWN]))
                latents.mean((2, 3)), latents.amax((2, 3))
        middle, begun = now(), []
        write_run(
            images,
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
    report.add(f"{name}: bare loop over decoded tensors", np.median(bare[:, 0]) / len(paths), "s an image")
    report.add(f"{name}: run with maps, files and regions included", np.median(whole[:, 0]) / len(paths), "s an image")
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
    few, more = draw(folder / "images", DRAWN), draw(folder / "more", 8 * DRAWN)
    model = b5("float32", False)
    x = read_mammogram(next(few.iterdir())).to_input(model.preprocessing)
    with torch.inference_mode():
        peaks = model.encode(model.features(x)).amax((0, 2, 3))
        model.sae.encoder_bias -= torch.quantile(peaks, 0.97)
        start = time.perf_counter()
        for _ in range(2):
            model.encode(model.features(x))
        report.add("B5: bare loop where freed memory is handed back", (time.perf_counter() - start) / 2, "s an image")
    keep_freed_memory()
    throughput(report, "B5", model, few, 1 / 0.9)
    model.unload()
    throughput(report, "demo", load_model("demo", device="cpu"), more, 1.35)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def bytes_on_disk(report: Report, folder: Path) -> None:
    """Bytes a stored image."""
    import pyarrow.parquet as pq

    from napari_mammosae.core.runs.making.make import write_run

    run = write_run(draw(folder / "many", MANY), "demo", folder / "run", maps=True).path
    maps = run / "maps"
    report.add("demo: on the disk without maps", (size(run) - size(maps)) / MANY / 1e3, "kB an image")
    report.add("demo: on the disk with maps", size(run) / MANY / 1e3, "kB an image")
    cells = sum(pq.ParquetFile(part).metadata.num_rows for part in maps.glob("*.parquet"))
    report.add("demo: maps", size(maps) / cells, "bytes a non-zero cell")


def main() -> None:
    report = Report("Runs", __doc__.partition("\n\n")[2].replace("\n", " "))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughputs(report, folder)
        bytes_on_disk(report, folder)
    report.finish()


if __name__ == "__main__":
    main()

"""Runs: throughput against the bare computation, memory over the number of images, bytes on the disk.

Throughput: a run over 1520 x 912 PNGs (decoding, regions, pooled values, maps, files) with random weights of
EfficientNet-B5's shapes, in turn with features and encoding alone of tensors that are decoded already. About 3 % of
the 16,384 latents fire, as on real images. Memory and bytes: the embedded model over synthetic phantoms, each run in a
process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import Report

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent / "tests"))

IMAGES, ROUNDS, FEW, MANY = 6, 2, 100, 400


def draw(folder: Path, count: int) -> Path:
    """Link `count` images to a few phantoms: their content does not matter here, their number does."""
    import cv2

    from napari_mammosae.core.phantoms import make_phantom

    drawn = folder.parent / "drawn"
    drawn.mkdir(exist_ok=True)
    folder.mkdir()
    for i in range(count):
        source = drawn / f"{i % IMAGES}.png"
        if not source.exists():
            cv2.imwrite(str(source), make_phantom(i).pixels)
        (folder / f"image-{i:03d}.png").hardlink_to(source)
    return folder


def throughput(report: Report, folder: Path) -> None:
    """Seconds an image of the run and of the bare loop, in turn."""
    import torch
    from compute import model as b5

    from napari_mammosae.core.images import read_mammogram
    from napari_mammosae.core.runs import make_run, open_run

    torch.set_num_threads(2)
    model = b5("float32", False)
    images = draw(folder / "images", IMAGES)
    tensors = [read_mammogram(path).to_input(model.preprocessing) for path in sorted(images.iterdir())]
    with torch.inference_mode():
        peaks = model.encode(model.features(tensors[0])).amax((0, 2, 3))
        model.sae.encoder_bias -= torch.quantile(peaks, 0.97)
    bare, whole, computing = [], [], []
    for round_ in range(ROUNDS + 1):
        start = time.perf_counter()
        with torch.inference_mode():
            for x in tensors:
                model.encode(model.features(x))
        bare.append(time.perf_counter() - start)
        out, begun = folder / f"run-{round_}", []
        start = time.perf_counter()
        make_run(images, model, out, maps=True, progress=lambda _, begun=begun: begun.append(time.perf_counter()))
        whole.append(time.perf_counter() - start)
        computing.append(time.perf_counter() - begun[0])
    bare, whole, computing = (np.median(seconds[1:]) / IMAGES for seconds in (bare, whole, computing))
    live = np.diff(open_run(folder / "run-0").pooled().tocsr().indptr).mean()
    report.add("B5: features and encoding of decoded tensors", bare, "s an image")
    report.add("B5: run with maps, files and regions included", computing, "s an image")
    report.add("B5: time of the run over that of the bare loop", computing / bare, at_most=1 / 0.9)
    report.add("B5: start of the decoding process and space estimate", (whole - computing) * IMAGES, "s a run")
    report.add("B5: live latents", live, "an image")


def measured(images: Path, out: Path, maps: bool) -> dict[str, float]:
    """Make a run in a process of its own; its peak memory and speed."""
    command = [sys.executable, str(HERE), "child", str(images), str(out), "maps" if maps else ""]
    return json.loads(subprocess.check_output(command, text=True))


def child(images: str, out: str, maps: str) -> None:
    from napari_mammosae.core.runs import make_run

    rates = []
    make_run(images, "demo", out, maps=bool(maps), progress=lambda state: rates.append(state.rate))
    unit = 1024 if sys.platform == "linux" else 1
    peak = [resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    sys.stdout.write(json.dumps({"main": peak[0], "decoder": peak[1], "rate": float(np.median(rates[1:]))}))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory_and_bytes(report: Report, folder: Path) -> None:
    """Peak memory over 100 and 400 images; bytes a stored image."""
    few = measured(draw(folder / "few", FEW), folder / "run-few", False)
    many = measured(draw(folder / "many", MANY), folder / "run-many", True)
    again = measured(folder / "few", folder / "run-few-maps", True)
    report.add(f"demo: peak memory over {FEW} images, with maps", again["main"] / 1e6, "MB")
    report.add(f"demo: peak memory over {MANY} images, with maps", many["main"] / 1e6, "MB")
    report.add("demo: ratio of the two", many["main"] / again["main"], at_most=1.1)
    report.add("demo: peak memory of a decoding process", many["decoder"] / 1e6, "MB")
    report.add("demo: rate with maps", many["rate"], "images a second")
    report.add("demo: rate without maps", few["rate"], "images a second")
    report.add("demo: on the disk without maps", size(folder / "run-few") / FEW / 1e3, "kB an image")
    report.add("demo: on the disk with maps", size(folder / "run-many") / MANY / 1e3, "kB an image")
    import pyarrow.parquet as pq

    parts = list((folder / "run-many" / "maps").glob("*.parquet"))
    cells = sum(pq.ParquetFile(part).metadata.num_rows for part in parts)
    report.add("demo: maps", sum(part.stat().st_size for part in parts) / cells, "bytes a non-zero cell")


def main() -> None:
    report = Report("Runs", __doc__.partition("\n\n")[2].replace("\n", " "))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughput(report, folder)
        memory_and_bytes(report, folder)
    report.finish()


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["child"] else main()

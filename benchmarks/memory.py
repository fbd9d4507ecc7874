"""Peak memory of runs: over the number of images, and over the processes that decode.

Small images and a small model, so that what is kept of each image shows; each run in a process of its own (Linux only).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from _report import Report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

FEW, MANY, WORKERS = 1000, 4000, 4
A_NAME_KB, NOISE_MB = 4, 8


def main() -> None:
    import run_memory
    import tiny

    report = Report("Memory of runs", (__doc__ or "").partition("\n\n")[2].replace("\n", " "))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny.write_model(folder / "model")
        images = {count: run_memory.list_images(folder, count) for count in (FEW, MANY)}
        found = {}
        for count, workers in ((FEW, 1), (MANY, 1), (FEW, WORKERS)):
            out = folder / f"run-{count}-{workers}"
            found[count, workers] = peak = run_memory.measured(images[count], model, out, workers)
            of = f"{count:,} images, {workers} decoding process{'es' if workers > 1 else ''}"
            report.add(f"{of}: main process", peak["main"] / 1e6, "MB")
            report.add(f"{of}: largest decoding process", peak["decoder"] / 1e6, "MB")
    few, many, wide = found[FEW, 1], found[MANY, 1], found[FEW, WORKERS]
    growth = (many["main"] - few["main"]) / (MANY - FEW) / 1e3
    report.add("what the main process keeps of an image: its names", growth, "kB", at_most=A_NAME_KB)
    report.add("more in a decoding process", (many["decoder"] - few["decoder"]) / 1e6, "MB", at_most=NOISE_MB)
    report.add(f"more for {WORKERS} decoding processes", (wide["main"] - few["main"]) / 1e6, "MB", at_most=NOISE_MB)
    report.finish()


if __name__ == "__main__":
    main()

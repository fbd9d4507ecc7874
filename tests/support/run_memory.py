"""A script: a run over many images in a process of its own; prints the memory that it and its decoders took at most.

`run_memory.py IMAGES MODEL OUT WORKERS`
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil

import tiny
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.making.process import keep_freed_memory

DIFFERENT = 8


def list_images(folder: Path, count: int) -> Path:
    """So many names of a few pictures; patients and labels would add a row of a table each."""
    pictures = [tiny.write_image(folder / "pictures" / f"{i}.png", i, tiny.SIZE) for i in range(DIFFERENT)]
    images = folder / f"images-{count}"
    images.mkdir()
    for i in range(count):
        (images / f"image-{i:06d}.png").hardlink_to(pictures[i % DIFFERENT])
    return images


def measured(images: Path, model: Path, out: Path, workers: int) -> dict[str, int]:
    """Make a run, and return the bytes that the main process and the largest of its decoders had at most."""
    command = [sys.executable, __file__, str(images), str(model), str(out), str(workers)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    found: dict[str, int] = json.loads(subprocess.check_output(command, text=True, env=environment))
    return found


def peak_memory(process: int) -> int:
    """Bytes that a process had resident at most; `getrusage` would count what its parent had when it began."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def main(images: str, model: str, out: str, workers: str) -> None:
    keep_freed_memory()
    decoders = [0]

    def look(_: str, done: int, total: int) -> None:
        if done % 50 == 0:
            decoders.extend(peak_memory(child.pid) for child in psutil.Process().children())

    write_run(images, load_model(model, device="cpu"), out, maps=True, workers=int(workers), progress=look)
    sys.stdout.write(json.dumps({"main": peak_memory(os.getpid()), "decoder": max(decoders)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

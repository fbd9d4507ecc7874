"""Make the run that comes with the package: 40 synthetic phantoms under the embedded model.

    python scripts/make_ready_run.py [--out FOLDER]

FOLDER is src/napari_mammosae/sample_data unless it is given. Into it go `run`, with every map,
`model-facts.safetensors`, small pictures of all phantoms, the tables of what is on them, and the images of the few that
are shown first: the others are drawn when they are asked for, with the same pixels.

The phantoms are the first, from the demo run's first seed on, of the eight kinds with and without a mass, suspicious
calcifications and a view marker: three of each kind in which the marker goes with the mass, as in the training, and
seven of each in which it goes against it, so that what the shortcut costs can be seen on few images.
"""

import argparse
import os
import shutil
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2

from napari_mammosae.core.base.files import write_atomic
from napari_mammosae.core.base.provenance import provenance
from napari_mammosae.core.models.files.facts_file import write_facts
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.phantoms.dataset import write_image, write_labels, write_list, write_tables
from napari_mammosae.core.phantoms.phantom import has_marker, labels_of, make_phantom, names_of
from napari_mammosae.core.reports.latent_pictures import grey
from napari_mammosae.core.runs.files.layout import KINDS
from napari_mammosae.core.runs.making.demo import FIRST_SEED
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.ready import FACTS, PHANTOMS, RUN, THUMBNAILS

SAMPLE_DATA = Path(__file__).parent.parent / "src" / "napari_mammosae" / "sample_data"
SHOWN = (900_052, 900_016, 900_004, 900_005, 900_006, 900_000)
"""Seeds of the phantoms whose images are in the package, in the order in which they are shown."""
WITH, AGAINST = 3, 7
"""Phantoms of each kind in which the marker goes with the mass, and against it."""
QUALITY = 90
"""Of the small pictures, as JPEG counts it."""


def seeds() -> list[int]:
    """Return the seeds of the run: those shown first, then the others as they rise."""
    found: list[int] = []
    seen: Counter[tuple[bool, ...]] = Counter()
    for seed in count(FIRST_SEED):
        if len(found) == 4 * (WITH + AGAINST):
            break
        mass, _, marker = kind = _kind(seed)
        if seen[kind] < (WITH if mass == marker else AGAINST):
            seen[kind] += 1
            found.append(seed)
    assert set(SHOWN) <= set(found), "a phantom that is shown is not among the first of its kind"
    return [*SHOWN, *(seed for seed in found if seed not in SHOWN)]


def _kind(seed: int) -> tuple[bool, ...]:
    return *labels_of(seed).values(), has_marker(seed)


def write_ready_run(out: Path) -> None:
    """Draw, compute, and put everything in its place."""
    model = load_model(out / "demo" / "model.toml", device="cpu", engine="torch")
    chosen = seeds()
    with tempfile.TemporaryDirectory() as temporary:
        drawn, made = Path(temporary) / "phantoms", Path(temporary) / "run"
        phantoms = [make_phantom(seed) for seed in chosen]
        for phantom in phantoms:
            write_image(drawn, phantom)
        write_labels(drawn, ((*names_of(seed), labels_of(seed)) for seed in chosen))
        images = write_list(drawn, (names_of(seed)[0] for seed in chosen))
        write_run(images, model, made, labels=drawn / "labels.csv", maps=True, workers=0, block=len(chosen))
        for name in ("run.json", "images.parquet", *KINDS):
            _put(made / name, out / RUN / name)
        for seed in SHOWN:
            _put(drawn / f"{names_of(seed)[0]}.png", out / PHANTOMS / f"{names_of(seed)[0]}.png")
        run = open_run(made, model)
        (out / THUMBNAILS).mkdir(parents=True, exist_ok=True)
        for row, phantom in enumerate(phantoms):
            small = grey(drawn / f"{phantom.image_id}.png", run.frame(row))
            with write_atomic(out / THUMBNAILS / f"{phantom.image_id}.jpg") as path:
                path.write_bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    write_facts(out / FACTS, model.facts)
    write_tables(out / PHANTOMS, phantoms, provenance("ready run", {"seeds": chosen}, model))
    (out / PHANTOMS / "phantoms.json").unlink()  # it names the machine's program versions
    print(f"{len(chosen)} phantoms of {len({names_of(seed)[1] for seed in chosen})} patients", flush=True)


def _put(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SAMPLE_DATA)
    write_ready_run(parser.parse_args().out)


if __name__ == "__main__":
    main()

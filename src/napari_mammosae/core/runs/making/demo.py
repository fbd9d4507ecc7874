"""The embedded model's run over synthetic phantoms: too big to ship, so it is made on first use and kept."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.caches import cache_folder
from ...base.errors import RunError
from ...base.files import sha256_file, write_atomic
from ...base.progress import Report, ignore
from ...base.provenance import provenance
from ...base.reading import reads
from ...base.structured import read_json
from ...models.engines.threads import torch_threads
from ...models.files.model_files import find_model
from ..files.layout import writing
from ..settings import FORMAT, read_info
from ..sources import Entry
from .decode import Decoded, Decoder, Failed
from .make import write_run
from .model_spec import ModelSpec, load

if TYPE_CHECKING:
    from ...phantoms.phantom import Phantom

COUNT = 200
FIRST_SEED = 900_000
"""Far from the seeds the model was trained on; here the view marker stands on half of the images, mass or not."""


def demo_run(progress: Report | None = None, *, count: int = COUNT, model: ModelSpec = "demo") -> Path:
    """Return the demo run's folder, made (or finished, when it was interrupted) if it is not there yet.

    It lies in the user's cache folder: ``demo-run-200``, and beside it ``phantoms`` with the images, `labels.csv`,
    `findings.csv` and `structures.csv`. Phantoms are drawn in other processes while the latents of those before are
    computed here.

    Parameters
    ----------
    progress
        Called with how many images are finished. What it raises stops the work, which can be resumed.
    count, model
        Other than the embedded default for tests.

    Raises
    ------
    RunError
        The disk is full, or the cache folder cannot be written.
    ModelError
        The embedded model is missing.
    """
    loaded = load(model)
    folder = demo_folder(loaded.model_sha256, loaded.sae_sha256, count)
    phantoms, run = folder / "phantoms", folder / f"demo-run-{count}"
    info = read_info(run)
    if info is None or not info["complete"]:
        report = progress or ignore

        def computed(_: str, done: int = 0, total: int = 0) -> None:
            report("Drawing synthetic phantoms and computing their latents", done, total)

        images = _announce(phantoms, count)
        cores = os.cpu_count() or 1
        with torch_threads(max(1, cores // 2)):  # the other half draws
            write_run(
                images,
                loaded,
                run,
                labels=phantoms / "labels.csv",
                maps=True,
                workers=min(cores, 8),
                decoder=Drawer,
                progress=computed,
            )
    if not (phantoms / "structures.csv").exists():
        _write_truth(phantoms, count)
    return run


def demo_hashes() -> tuple[str, str]:
    """Hashes of the embedded model's weights and of its SAE's, from its files."""
    files = find_model("demo")
    assert files.classifier is not None
    assert files.sae is not None
    return sha256_file(files.classifier), sha256_file(files.sae)


def finished_demo_run() -> Path | None:
    """Return the demo run's folder where the run is complete; None where there is work to do."""
    folder = demo_folder(*demo_hashes())
    run = folder / f"demo-run-{COUNT}"
    info = read_info(run)
    complete = info is not None and info["complete"] and (folder / "phantoms" / "structures.csv").exists()
    return run if complete else None


def demo_folder(model_sha256: str, sae_sha256: str, count: int = COUNT) -> Path:
    """Where the demo run of these weights lies; one of another format cannot be finished, and has another place."""
    from .... import __version__

    name = f"demo-{__version__}-{FORMAT}-{model_sha256[:8]}-{sae_sha256[:8]}-{count}"
    return cache_folder() / name


class Drawer(Decoder):
    """Draws a phantom that is not there yet, then reads it as any other image."""

    __slots__ = ()

    def __call__(self, entry: Entry) -> Decoded | Failed:
        """Draw and read one image.

        Raises
        ------
        RunError
            The disk is full: not a fault of this image, so the run ends.
        """
        draw(entry.path.parent, FIRST_SEED + entry.image)
        return super().__call__(entry)


def draw(folder: Path, seed: int) -> None:
    """Write one phantom if it is not there, its facts last: they say that it is."""
    from ...phantoms.dataset import write_image
    from ...phantoms.phantom import make_phantom

    path = _facts(folder, seed)
    if path.exists():
        return
    phantom = make_phantom(seed)
    facts: dict[str, Any] = {
        name: getattr(phantom, name)
        for name in ("image_id", "patient", "laterality", "view", "spacing", "labels", "boxes")
    }
    with writing(path):
        write_image(folder, phantom)
        with write_atomic(path) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")


def _announce(folder: Path, count: int) -> Path:
    """Write what is known of the phantoms before they are drawn: their list, which is returned, and their labels."""
    from ...phantoms.dataset import write_labels, write_list
    from ...phantoms.phantom import labels_of, names_of

    seeds = range(FIRST_SEED, FIRST_SEED + count)
    with writing(folder):
        (folder / "facts").mkdir(parents=True, exist_ok=True)
        write_labels(folder, ((*names_of(seed), labels_of(seed)) for seed in seeds))
        return write_list(folder, (names_of(seed)[0] for seed in seeds))


def _write_truth(folder: Path, count: int) -> None:
    """Write the boxes of findings and structures, known once everything is drawn."""
    from ...phantoms.dataset import write_tables

    with writing(folder / "structures.csv"):
        phantoms = [_read(_facts(folder, seed)) for seed in range(FIRST_SEED, FIRST_SEED + count)]
        write_tables(folder, phantoms, provenance("phantoms", {"count": count, "seed": FIRST_SEED}))


@reads(RunError, "the facts of a phantom")
def _read(path: Path) -> "Phantom":
    import numpy as np

    from ...phantoms.phantom import Phantom

    facts = read_json(path, RunError)
    facts["boxes"] = tuple((name, tuple(box)) for name, box in facts["boxes"])
    facts["spacing"] = tuple(facts["spacing"])
    return Phantom(**facts, pixels=np.empty((0, 0), np.uint8), masks={})


def _facts(folder: Path, seed: int) -> Path:
    return folder / "facts" / f"{seed}.json"

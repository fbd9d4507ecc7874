"""The embedded model's run over synthetic phantoms: too big to ship, so it is made on first use and kept."""

import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import write_atomic
from ..verdict_places import cache_folder
from ..verdict_rescue import rescue_cached_verdicts
from .layout import writing
from .make import ModelSpec, load, make_run
from .progress import RunProgress
from .settings import read_info
from .workers import initialise

if TYPE_CHECKING:
    from ..phantoms import Phantom

COUNT = 200
FIRST_SEED = 900_000
"""Far from the seeds the model was trained on; here the view marker stands on half of the images, mass or not."""

Report = Callable[[str, int, int], None]


def demo_run(progress: Report | None = None, *, count: int = COUNT, model: ModelSpec = "demo") -> Path:
    """Return the demo run's folder, made (or finished, when it was interrupted) if it is not there yet.

    It lies in the user's cache folder: ``run`` beside ``phantoms`` with the images, `labels.csv`, `findings.csv` and
    `structures.csv`. Verdicts on its latents do not: see `verdict_places.default_path`.

    Parameters
    ----------
    progress
        Called with what is done, how many are, and of how many. What it raises stops the work, which can be resumed.
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
    rescue_cached_verdicts()
    info = read_info(folder / "run")
    if info is not None and info["complete"]:
        return folder / "run"
    report = progress or _silent
    images = draw_phantoms(folder / "phantoms", count, report)

    def computed(state: RunProgress) -> None:
        report("computing latents of synthetic phantoms", state.done, state.total)

    make_run(images, loaded, folder / "run", labels=images / "labels.csv", maps=True, progress=computed)
    return folder / "run"


def demo_folder(model_sha256: str, sae_sha256: str, count: int = COUNT) -> Path:
    """Where the demo run of these weights lies."""
    from napari_mammosae import __version__

    name = f"demo-{__version__}-{model_sha256[:8]}-{sae_sha256[:8]}-{count}"
    return cache_folder() / name


def draw_phantoms(folder: Path, count: int, report: Report) -> Path:
    """Draw what is missing of the demo's phantoms, in several processes, and write their tables."""
    from ..phantoms.dataset import write_tables

    seeds = range(FIRST_SEED, FIRST_SEED + count)
    if not (folder / "labels.csv").exists():
        with writing(folder):
            (folder / "facts").mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in seeds if not _facts(folder, seed).exists()]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), context, initializer=initialise) as pool:
            waiting = [pool.submit(_draw, folder, seed) for seed in missing]
            try:
                for done, future in enumerate(as_completed(waiting), count - len(missing) + 1):
                    future.result()
                    report("drawing synthetic phantoms", done, count)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        write_tables(folder, [_read(_facts(folder, seed)) for seed in seeds])
    return folder


def _draw(folder: Path, seed: int) -> None:
    """Write one phantom, its facts last: they say that it is there."""
    from ..phantoms import make_phantom
    from ..phantoms.dataset import write_image

    phantom = make_phantom(seed)
    path = _facts(folder, seed)
    facts: dict[str, Any] = {
        name: getattr(phantom, name)
        for name in ("image_id", "patient", "laterality", "view", "spacing", "labels", "boxes")
    }
    with writing(path):
        write_image(folder, phantom)
        with write_atomic(path) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")


def _read(path: Path) -> "Phantom":
    import numpy as np

    from ..phantoms import Phantom

    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["boxes"] = tuple((name, tuple(box)) for name, box in facts["boxes"])
    facts["spacing"] = tuple(facts["spacing"])
    return Phantom(**facts, pixels=np.empty((0, 0), np.uint8), masks={})


def _facts(folder: Path, seed: int) -> Path:
    return folder / "facts" / f"{seed}.json"


def _silent(text: str, done: int, total: int) -> None:
    return

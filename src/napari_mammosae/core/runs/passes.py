"""Images of a run passed through its network again, where what a run keeps does not tell; the time is said before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from ..base.progress import Report, ignore
from ..base.text import duration
from ..models.compute import features_and_latents
from .ready import files_of_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from ..models.model import MammoSAE
    from ..stats.measures import IntArray
    from .run import Run

Result = TypeVar("Result")
DRAWN = 50
"""Images that are passed through the network where no number is given."""


def pass_images(
    run: Run,
    model: MammoSAE,
    rows: IntArray,
    work: Callable[[Tensor], Result],
    *,
    root: Path | None = None,
    report: Report = ignore,
    notice: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Do something with the features of images of a run, one image after the other.

    Parameters
    ----------
    run, model
        A run and the model it was made with.
    rows
        Positions in the run's table.
    work
        Given the features (1, d, H', W') of the SAE's layer.
    root
        Folder of the images; by default looked for around the run.
    report
        Called before each image.
    notice
        Given a sentence that says how long all will take, once the first image is done.

    Raises
    ------
    RunError
        The run was made with another model.
    ImageError
        A file is not found, cannot be read, or is not the one the run was made from.
    """
    run.check_model(model)
    files = files_of_run(run)
    if root is not None:
        files.root = root
    found = []
    for done, row in enumerate(rows):
        report("Passing images through the network", done, len(rows))
        start = time.perf_counter()
        image = files.read(int(row))
        found.append(work(features_and_latents(model, image.prepared(model.preprocessing), image.name)[0]))
        if done == 0 and len(rows) > 1:
            each, others = time.perf_counter() - start, len(rows) - 1
            notice(f"one image took {each:.1f} s; the other {others:,} take about {duration(each * others)}")
    return found

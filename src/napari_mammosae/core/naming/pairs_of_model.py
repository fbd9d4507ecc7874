"""Which latents of a model react to one thing alone, and how many of an untrained SAE do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.progress import ignore
from ..phantoms.pairs import read_pairs
from ..runs.make import make_run
from .pair_measures import PairMeasures, measure_pairs

if TYPE_CHECKING:
    from pathlib import Path

    from ..base.progress import Report
    from ..models.model import MammoSAE

TRAINED, UNTRAINED = "trained SAE", "untrained SAE"


def evaluate_pairs(
    folder: Path | str, model: MammoSAE, out: Path, *, seed: int = 0, progress: Report = ignore
) -> tuple[PairMeasures, PairMeasures]:
    """Run a model, with its SAE and with an untrained one, over pairs of images, and measure both.

    Parameters
    ----------
    folder
        As `write_pairs` leaves it.
    model
        The model.
    out
        Folder for both runs; the same call again resumes them.
    seed
        Of the untrained SAE.
    progress
        Takes reports.

    Raises
    ------
    FindingsError
        The folder has no pairs.
    RunError
        A run cannot be made.
    """
    from ..models.sae.stand_ins import with_stand_in

    pairs = read_pairs(folder)
    found = []
    for name, own in ((TRAINED, model), (UNTRAINED, with_stand_in(model, "untrained", seed))):
        run = make_run(pairs.folder, own, out / name.replace(" ", "-"), progress=progress)
        found.append(measure_pairs(run, pairs, name))
    return found[0], found[1]

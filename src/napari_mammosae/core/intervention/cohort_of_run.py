"""A run as an intervention sees it: the logits that go with a label, the images that count, the order of entry."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import SettingsError
from ..ranking.files import read_published_folder
from ..runs.classes import Unit, labelled_rows, logits_of_label
from .cohort import Cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models.model import MammoSAE
    from ..runs.run import Run
    from ..stats.measures import IntArray

PUBLISHED = "published:"


def cohort_of_run(
    run: "Run", model: "MammoSAE", label: str, *, split: str | None = None, unit: Unit = "image"
) -> Cohort:
    """Put the images of a run, the linear tail of its model and a label together.

    Raises
    ------
    RunError
        If the run was made with another model or SAE, or has no such label.
    ModelError
        If what follows the SAE is not linear.
    SettingsError
        As `logits_of_label` and `labelled_rows`.
    """
    run.check_model(model)
    rows, labels = labelled_rows(run, label, split, unit)
    logits = logits_of_label(run, label)
    everything = Cohort.of(
        run.pooled("mean"),
        model.attribution[logits],
        model.constant[logits],
        logits=run.logits[:, logits],
        patients=run.images["patient"].to_numpy(),
    )
    return everything.take(rows, labels)


def published_orders(order: str) -> "Sequence[IntArray]":
    """Return the published order of every class from `published:DIR`.

    Raises
    ------
    SettingsError
        If the folder holds no such rankings.
    """
    folder = Path(order.removeprefix(PUBLISHED))
    if not folder.is_dir():
        raise SettingsError(f"{folder.name} is no folder of published rankings.")
    return [ranking.order for ranking in read_published_folder(folder).values()]

"""The test predictions that a released checkpoint stores beside its weights, row by row against those of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base.errors import CheckpointError, RunError
from ..base.names import slug
from ..base.reading import reads
from ..stats.predictions import probabilities

if TYPE_CHECKING:
    from ..runs.run import Run

CLOSE = 0.01
"""Difference of probabilities above which a row is counted."""


@dataclass(frozen=True, slots=True)
class PredictionCheck:
    """How far the predictions of a run are from those that the checkpoint stores.

    Attributes
    ----------
    file
        Name of the checkpoint.
    scale
        What was compared: "probabilities", or "logits" where the stored numbers are not all within 0 and 1.
    differences
        (rows, C): the run's predictions minus the stored ones, in the order of the rows.
    """

    file: str
    scale: str
    differences: NDArray[np.float64]

    def describe(self) -> str:
        """``a.pth: 4,000 test rows, probabilities differ by 1.2e-05 at most ...``."""
        size = np.abs(self.differences)
        return (
            f"{self.file}: {len(size):,} test rows compared, {self.scale} differ by {size.max():.2g} at most and by "
            f"{np.median(size):.2g} in the middle; rows that differ by more than {CLOSE}: {self.far:,}"
        )

    @property
    def far(self) -> int:
        """Number of rows that differ by more than 0.01."""
        return int((np.abs(self.differences) > CLOSE).any(axis=1).sum())


def check_predictions(run: "Run", model: str | Path | None = None) -> PredictionCheck:
    """Compare a run with the test predictions that its model's checkpoint stores.

    The rows compared are those whose split is `test`, in the order of the table that the run's labels came from:
    findings where it has rows of findings, else images.

    Parameters
    ----------
    run
        Made with the model, over all rows of the published table.
    model
        Name or `model.toml` of its model; by default the published model that has the run's hash.

    Raises
    ------
    RunError
        The run has no test rows, or is of none of the models that are here.
    CheckpointError
        The checkpoint stores no predictions, or not those of these rows.
    """
    file = _classifier_of(run, model)
    stored = read_predictions(file)
    rows = _test_rows(run)
    logits = run.logits[rows]
    if stored.shape != logits.shape:
        raise CheckpointError(
            f"{file.name} stores {stored.shape[0]:,} predictions of {stored.shape[1]}, the run has {len(rows):,} test "
            f"rows of {logits.shape[1]}; make the run over all rows of vindr_detection_v1_folds.csv"
        )
    within = bool(((stored >= 0) & (stored <= 1)).all())
    found = probabilities(logits, run.task) if within else logits
    return PredictionCheck(file.name, "probabilities" if within else "logits", found - stored)


@reads(CheckpointError, "a weights file with predictions")
def read_predictions(file: Path) -> NDArray[np.float64]:
    """Return the predictions that a checkpoint stores, (rows, C)."""
    from ..models.weights.checkpoints import load_tensors

    content = load_tensors(file)[0]
    found = content.get("predictions") if isinstance(content, Mapping) else None
    if found is None:
        raise CheckpointError(f"{file.name} stores no predictions; expected a released downstream checkpoint")
    values = np.asarray(found, np.float64)
    if values.ndim not in (1, 2) or not values.size or not np.isfinite(values).all():
        raise CheckpointError(f"{file.name} stores predictions that are not finite numbers, one for each test row")
    return values.reshape(len(values), -1)


def _classifier_of(run: "Run", model: str | Path | None) -> Path:
    from ..base.files import sha256_file
    from ..models.files.model_files import find_model
    from ..models.published.catalogue import published_models
    from ..models.published.places import is_ready

    wanted = run.info["model_sha256"]
    names = [model] if model is not None else [name for name in published_models() if is_ready(name)]
    for name in names:
        files = find_model(name)
        file = files.classifier
        if file is not None and (files.hashes.get("classifier") or sha256_file(file)) == wanted:
            return file
    what = f"{Path(model).name} is not its model" if model is not None else "its model is none of those that are ready"
    raise RunError(
        f"{run.path.name} was made with {run.info['model']}, SHA-256 {wanted[:12]}…; {what}. Give its model.toml"
    )


def _test_rows(run: "Run") -> NDArray[np.intp]:
    """Return the row of `run.images` of every test row."""
    rows = run.rows
    table = run.images if rows is None else rows.sort_values("row", kind="stable")
    if "split" not in table or not (test := table["split"].map(_is_test)).any():
        raise RunError(f"{run.path.name} has no rows whose split is test; give the run labels with a column split")
    numbers = table.loc[test, "image"].to_numpy()
    return np.searchsorted(run.numbers, numbers)


def _is_test(split: object) -> bool:
    return isinstance(split, str) and slug(split) == "test"

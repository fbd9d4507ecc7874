"""`train_sae` for scripts and notebooks: images and a model in, a trained autoencoder out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.arguments import expect
from ..base.progress import reporting
from .fit import fit_saes
from .folder import TrainingFolder
from .results import FittedSAE, finish_training
from .settings import SAETrainingSettings, TrainKind, TrainPrecision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..base.progress import Report
    from ..models.model import MammoSAE

DEFAULT = SAETrainingSettings()


def train_sae(
    images: str | Path,
    model: MammoSAE,
    out: str | Path | None = None,
    *,
    labels: str | Path | Sequence[str | Path] = (),
    kind: TrainKind = DEFAULT.kind,
    k: int | None = DEFAULT.k,
    groups: Sequence[int] | None = DEFAULT.groups,
    expansion: int = DEFAULT.expansion,
    epochs: int = DEFAULT.epochs,
    learning_rate: float | None = DEFAULT.learning_rate,
    l1: float | None = DEFAULT.l1,
    resample_every: int = DEFAULT.resample_every,
    scale_inputs: bool | None = DEFAULT.scale_inputs,
    precision: TrainPrecision = DEFAULT.precision,
    share: float = 1.0,
    skip_background: bool = False,
    hold_out: float = 0.1,
    seed: int = DEFAULT.seed,
    workers: int = 0,
    progress: bool | Report = False,
) -> FittedSAE:
    """Train a sparse autoencoder on a model's features of images, and measure it on images held out.

    Parameters
    ----------
    images, labels
        As for `make_run`; labels measure what the autoencoder costs the prediction.
    model
        Its layer is the one trained on; its own autoencoder is not used.
    out
        File for the weights, in the safetensors format; their record is written beside it. Features and checkpoints
        are kept in a folder beside it until then, so that the same call resumes a training that was stopped. None
        writes none: the autoencoder is the result's `sae`.
    kind, k, groups, expansion, epochs, learning_rate, l1, resample_every, scale_inputs, precision,
    seed
        See `SAETrainingSettings`.
    share
        Of each training image's cells.
    skip_background
        Whether cells that lie wholly in the background are not trained on.
    hold_out
        Share of the patients whose images are measured and not trained on.
    workers
        Number of decoding processes; 0 decodes in a thread of this one.
    progress
        Whether to show a progress bar a stage.

    Raises
    ------
    ImageError, FindingsError, RunError, WriteError
        The images or tables cannot be used, or there is no room for features or weights.
    SettingsError
        A setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> fitted = ms.train_sae("phantoms", ms.load_model("demo"), "sae.safetensors", epochs=20)  # doctest: +SKIP
    >>> fitted.stats.explained_variance  # doctest: +SKIP
    """
    expect(model, "model")
    settings = SAETrainingSettings(
        expansion, epochs, learning_rate, l1, resample_every=resample_every, seed=seed, kind=kind, k=k,
        groups=None if groups is None else tuple(groups), scale_inputs=scale_inputs,
        precision=precision,
    )  # fmt: skip
    given = [labels] if isinstance(labels, (str, Path)) else labels
    with (
        tempfile.TemporaryDirectory() as temporary,
        reporting(progress) as report,
    ):
        folder = TrainingFolder(Path(temporary)) if out is None else TrainingFolder.of(Path(out))
        fitted = fit_saes(
            images, model, folder, {"": settings},
            labels=[Path(table) for table in given], share=share, skip_background=skip_background, hold_out=hold_out,
            workers=workers, progress=report,
        )[""]  # fmt: skip
    if out is not None:
        chosen = {"images": images, "labels": list(given), "share": share, "skip_background": skip_background}
        finish_training(folder, {Path(out): fitted}, model, chosen | {"hold_out": hold_out})
    return fitted

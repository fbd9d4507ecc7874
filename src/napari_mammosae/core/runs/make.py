"""`make_run` for scripts and notebooks: a loaded model in, an open run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.progress import reporting
from .making import make
from .opening import open_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..annotations.positives import Positive, Uncertain
    from ..base.progress import Report
    from .making.model_spec import ModelSpec
    from .run import Run


def make_run(
    images: str | Path,
    model: ModelSpec,
    out: str | Path,
    *,
    labels: str | Path | Sequence[str | Path] | None = None,
    positive: Positive | None = None,
    uncertain: Uncertain = "unknown",
    split: str | None = None,
    maps: bool = False,
    workers: int | None = 0,
    batch: int | None = None,
    crop: bool = True,
    strict: bool = False,
    progress: bool | Report = False,
) -> Run:
    """Compute the latents of every image into a folder, and open it.

    The same call again resumes where the last one stopped, and computes nothing where the run is complete.

    Parameters
    ----------
    images
        A folder, a glob, a CSV with a column `path`, whose other columns are labels; or the root of a published data
        set, or a VinDr CSV.
    model
        A loaded model, the name of one, or a `model.toml`.
    out
        The run's folder.
    labels
        One or more label tables; see `read_labels`.
    positive
        The text that counts as positive: of every label that has it, or of each label by name. Known pairs such as
        malignant and normal need none.
    uncertain
        What uncertain labels count as, -1 among 0 and 1 for example.
    split
        Only images of this split of the label tables.
    maps
        Keep every cell that fires, not only pooled values: needed to localise and for `Run.latents`.
    workers
        Number of decoding processes; 0 decodes in a thread of this one, None: as many as the device needs.
    batch
        Images computed at a time; None: one on the CPU, and on a GPU as many as fit, up to 16.
    crop
        Whether images of another size than the model's are cropped and resized; otherwise they fail.
    strict
        Whether failed images are an error, raised after the run was completed.
    progress
        Whether to show a progress bar, or a function that takes reports.

    Raises
    ------
    RunError
        The folder holds another run or cannot be written, or memory ran out.
    ImageError, FindingsError, ModelError, CheckpointError
        The images, tables, or model cannot be used at all.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.make_run("phantoms", "demo", "run", labels="phantoms/labels.csv", maps=True)
    <Run run: 12 images, 2048 latents of demo, with maps>
    """
    with reporting(progress) as report:
        made = make.write_run(
            images, model, out, labels=labels, positive=positive, uncertain=uncertain, split=split,
            maps=maps, workers=workers, batch=batch, crop=crop, strict=strict,
            progress=report,
        )  # fmt: skip
    return open_run(made.path)

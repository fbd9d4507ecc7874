"""What runs in the worker thread for runs: opening one, making one, the demo's. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.base.errors import RunError
from ...process.local import LocalModel, start_torch
from ..image.tasks import ModelChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.annotations.boxes import Findings
    from ...core.base.progress import Report
    from ...core.models.facts import ModelFacts
    from ...core.runs.run import Run
    from ...process.handle import ModelHandle

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run to be made.

    Attributes
    ----------
    images
        A folder, a glob, or a CSV with a column `path`.
    labels
        Tables of labels.
    out
        The run's folder; an unfinished run in it is gone on with.
    maps
        Whether every cell that fires is kept.
    batch
        Images computed at a time; None leaves it to the device.
    workers
        Processes that decode images.
    """

    images: str
    out: Path
    labels: tuple[Path, ...] = ()
    maps: bool = True
    batch: int | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class RunEntries:
    """What is written in the form for a new run; `batch` 0 leaves it to the device."""

    images: str = ""
    labels: str = ""
    out: str = ""
    maps: bool = True
    batch: int = 0
    workers: int = 1

    @property
    def order(self) -> RunOrder | None:
        """The run that is asked for; None while something is missing."""
        images, out = self.images.strip(), self.out.strip()
        if not images or not out:
            return None
        labels = tuple(Path(part.strip()).expanduser() for part in self.labels.split(",") if part.strip())
        return RunOrder(images, Path(out).expanduser(), labels, self.maps, self.batch or None, self.workers)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An open run, and what was found beside it.

    Attributes
    ----------
    handle, choice
        The model that was loaded for it, for the viewer to go on with; None when none was.
    findings
        Annotated boxes of its images.
    root
        Folder its image files lie in; None when only guesses are left.
    note
        A sentence for the user.
    """

    run: Run
    handle: ModelHandle | None = None
    choice: ModelChoice | None = None
    findings: Findings | None = None
    root: Path | None = None
    note: str = ""


class OtherModelError(RunError):
    """The run does not belong to the model that is loaded."""


def open_run_folder(path: Path, loaded: ModelFacts | None, report: Report) -> Opened:
    """Open a run, its tables read, so that nothing is left to wait for.

    Raises
    ------
    RunError
        It is no complete run.
    OtherModelError
        It was made with another model than the loaded one.
    """
    from ...core.runs.run import open_run

    report(f"Opening {path.name}")
    run = open_run(path)
    if loaded is not None:
        try:
            run.check_model(loaded)
        except RunError as error:
            raise OtherModelError(str(error)) from error
    report(f"Reading the tables of {path.name}")
    failed = run.info["images"] - len(run.images)
    run.pooled("mean")
    note = (
        f"{failed:,} of {run.info['images']:,} images could not be used; see failures.csv for the reasons."
        if failed
        else ""
    )
    return Opened(run, note=note)


def open_demo_run(choice: ModelChoice, loaded: ModelFacts | None, report: Report) -> Opened:
    """Open the embedded model's run over phantoms, made first where it is not there yet.

    Raises
    ------
    OtherModelError
        Another model is loaded: said before the work, not after it.
    """
    from ...core.annotations.boxes import read_findings
    from ...core.runs.making.demo import demo_run
    from ...core.runs.making.model_spec import load

    choice = replace(ModelChoice(name=DEMO), device=choice.device)
    start_torch(report)
    report(f"Loading {choice.title}")
    model = load(choice.recipe)
    if loaded is not None and (loaded.model_sha256, loaded.sae_sha256) != (model.model_sha256, model.sae_sha256):
        raise OtherModelError(
            f"The demo run belongs to the model {model.name!r}, but {loaded.name} is loaded; unload it first."
        )
    path = demo_run(report, model=model)
    opened = open_run_folder(path, loaded, report)
    findings = read_findings(path.parent / "phantoms" / "findings.csv")
    return replace(opened, handle=LocalModel(model), choice=choice, findings=findings, root=path.parent / "phantoms")


def make_and_open(
    order: RunOrder, choice: ModelChoice, loaded: ModelFacts | None, notice: Callable[[str], None], report: Report
) -> Opened:
    """Make a run, or finish it, and open it.

    Raises
    ------
    MammoSAEError
        As `write_run` does.
    OtherModelError
        Another model than the chosen one is loaded by now.
    """
    from ...core.images.listing import resolve_images
    from ...core.runs.making.make import write_run
    from ...core.runs.making.model_spec import load

    listed = resolve_images(order.images)
    start_torch(report)
    report(f"Loading {choice.title}")
    model = load(choice.recipe)
    made = write_run(
        order.images,
        model,
        order.out,
        labels=list(order.labels),
        maps=order.maps,
        batch=order.batch,
        workers=order.workers,
        progress=report,
        notice=notice,
    )
    opened = open_run_folder(made.path, loaded, report)
    return replace(opened, handle=LocalModel(model), choice=choice, root=listed.root)

"""What runs in the worker thread for runs: opening one, making one, the demo's. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.base.errors import RunError
from ...process.batch import BatchJob
from ...process.tasks import RunJob
from ..image import tasks as model_tasks
from ..image.tasks import ModelChoice
from .prefetch import Ready, make_ready

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...core.annotations.boxes import Findings
    from ...core.annotations.positives import Uncertain
    from ...core.base.progress import Report
    from ...core.models.facts import ModelFacts
    from ...core.runs.run import Run
    from ...process.handle import ModelHandle
    from ...process.opening import ModelOpener

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class RunEntries:
    """What is written in the form for a new run; `batch` 0 and `workers` -1 leave it to the device."""

    images: str = ""
    labels: str = ""
    out: str = ""
    maps: bool = True
    batch: int = 0
    workers: int = -1
    positive: str = ""
    uncertain: Uncertain = "unknown"
    compile: bool = True

    @property
    def job(self) -> RunJob | None:
        """The run that is asked for; None while something is missing."""
        images, out = self.images.strip(), self.out.strip()
        if not images or not out:
            return None
        labels = tuple(Path(part.strip()).expanduser() for part in self.labels.split(",") if part.strip())
        positive = tuple(part.strip() for part in self.positive.split(",") if part.strip())
        return RunJob(
            images, Path(out).expanduser(), labels, self.maps, self.batch or None,
            None if self.workers < 0 else self.workers, positive, self.uncertain, self.compile,
        )  # fmt: skip


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
    undecided
        Labels of texts of which it is not known which one is positive, with their texts.
    first
        The first image, where it was read already.
    """

    run: Run
    handle: ModelHandle | None = None
    choice: ModelChoice | None = None
    findings: Findings | None = None
    root: Path | None = None
    note: str = ""
    undecided: dict[str, list[str]] = field(default_factory=dict)
    first: Ready | None = None


class OtherModelError(RunError):
    """The run does not belong to the model that is loaded."""


def open_run_folder(
    path: Path, loaded: ModelFacts | None, report: Report, positive: Mapping[str, str] | None = None
) -> Opened:
    """Open a run, its tables read, so that nothing is left to wait for; `positive` as `open_run` takes it.

    Raises
    ------
    RunError
        It is no complete run.
    OtherModelError
        It was made with a different model from the loaded one.
    """
    from ...core.runs.opening import open_run
    from ...core.runs.positive import undecided

    report(f"Opening {path.name}")
    run = open_run(path)
    open_labels = undecided(run.labels, run.info["categories"])
    if positive:
        run = open_run(path, positive=positive)
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
    return Opened(run, note=note, undecided=open_labels)


def open_ready_run(models: ModelOpener, choice: ModelChoice, loaded: ModelFacts | None, report: Report) -> Opened:
    """Open the run that comes with the package; the model's weights are loaded once something is to be computed.

    Raises
    ------
    OtherModelError
        Another model is loaded.
    """
    from ...core.annotations.boxes import read_findings
    from ...core.models.files.model_files import SAMPLE_DATA
    from ...core.runs.ready import PHANTOMS, files_of_run, ready_facts, ready_run

    choice = _demo_choice(choice, loaded)
    path = ready_run()
    opened = open_run_folder(path, loaded, report)
    findings = read_findings(SAMPLE_DATA / PHANTOMS / "findings.csv")
    handle = models.know(choice.recipe, ready_facts()) if loaded is None else None
    first = make_ready(opened.run, 0, files_of_run(opened.run), handle)
    return replace(opened, handle=handle, choice=choice, findings=findings, first=first)


def open_demo_run(models: ModelOpener, choice: ModelChoice, loaded: ModelFacts | None, report: Report) -> Opened:
    """Open the embedded model's larger run over phantoms, made first where it is not there yet.

    Raises
    ------
    OtherModelError
        Another model is loaded: said before the work, not after it.
    """
    from ...core.annotations.boxes import read_findings
    from ...core.runs.making.demo import finished_demo_run

    choice = _demo_choice(choice, loaded)
    path = finished_demo_run() or BatchJob("make_demo_run", choice.recipe).result(report)
    opened = open_run_folder(path, loaded, report)
    findings = read_findings(path.parent / "phantoms" / "findings.csv")
    handle = model_tasks.load(models, choice, report) if loaded is None else None
    return replace(opened, handle=handle, choice=choice, findings=findings, root=path.parent / "phantoms")


def _demo_choice(choice: ModelChoice, loaded: ModelFacts | None) -> ModelChoice:
    from ...core.runs.making.demo import demo_hashes

    if loaded is not None and (loaded.model_sha256, loaded.sae_sha256) != demo_hashes():
        raise OtherModelError(
            f"The demo run belongs to the model {DEMO!r}, but {loaded.name} is loaded; unload it first."
        )
    return replace(ModelChoice(name=DEMO), device=choice.device)


def make_and_open(
    models: ModelOpener, job: RunJob, choice: ModelChoice, loaded: ModelFacts | None, report: Report
) -> Opened:
    """Make a run, or finish it, and open it.

    Raises
    ------
    MammoSAEError
        As `write_run` does.
    OtherModelError
        Another model than the chosen one is loaded by now.
    """
    from ...core.datasets.find import list_images

    listed, _ = list_images(job.images)
    path, notices = BatchJob("make_run", choice.recipe, job).result(report)
    opened = open_run_folder(path, loaded, report)
    handle = model_tasks.load(models, choice, report) if loaded is None else None
    note = " ".join([opened.note, *notices]).strip()
    return replace(opened, handle=handle, choice=choice, root=listed.root, note=note)

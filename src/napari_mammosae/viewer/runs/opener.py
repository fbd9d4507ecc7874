"""Opening and making runs: the work goes on while docks come and go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.base.errors import MammoSAEError
from ...core.base.text import counted
from ..app.status import Status
from ..context import Controller
from . import tasks
from .tasks import OtherModelError, RunEntries

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from ...core.base.progress import Report
    from ...process.tasks import RunJob
    from ..context import Context
    from ..image.controller import ImageController
    from .browser import RunBrowser
    from .tasks import Opened


class RunOpener(Controller):
    """Brings runs into a viewer's session.

    Attributes
    ----------
    jobs
        Its own, since a run may take hours and looking at images goes on meanwhile.
    line
        What there is to say about runs.
    blocked
        What to do again once the loaded model is unloaded; None when no other model is in the way.
    entries
        What is written in the form for a new run.
    undecided, positive
        Labels of the run's texts of which it is not known which one is positive, with their texts; and those that were
        chosen.
    """

    def __init__(self, context: Context, images: ImageController, browser: RunBrowser) -> None:
        super().__init__(context)
        self.images, self.browser = images, browser
        self.jobs = self.new_jobs()
        self.line = Status()
        self.entries = RunEntries()
        self.blocked: Callable[[], None] | None = None
        self.undecided: dict[str, list[str]] = {}
        self.positive: dict[str, str] = {}
        self.jobs.cancelled.connect(self._on_cancelled)
        self.listen(self.session.events.model, self._on_model)

    def open(self, path: Path) -> None:
        """Open a run's folder."""
        work = partial(tasks.open_run_folder, path, self.session.model)
        self._start(f"Opening {path.name}", work, partial(self.open, path))

    def choose_positive(self, label: str, value: str) -> None:
        """Read the open run anew, with a text of a label as its positive value; all other texts count as one class."""
        run, positive = self.session.run, self.positive | {label: value}
        if run is None:
            return
        root = self.browser.files_of(run).root

        def take(opened: Opened) -> Generator[None]:
            self.positive = positive
            yield from self._take(replace(opened, root=root, undecided=self.undecided))

        work = partial(tasks.open_run_folder, run.path, self.session.model, positive=positive)
        self.blocked = None
        again = partial(self.choose_positive, label, value)
        self.jobs.start(f"Opening {run.path.name}", work, take, partial(self._failed, again))

    def open_demo(self) -> None:
        """Open the embedded model's run that comes with the package."""
        work = partial(tasks.open_ready_run, self.images.models, self.images.choice, self.session.model)
        self._start("Opening the demo run", work, self.open_demo)

    def open_large_demo(self) -> None:
        """Open the embedded model's run over many synthetic phantoms; it is made on first use."""
        work = partial(tasks.open_demo_run, self.images.models, self.images.choice, self.session.model)
        self._start("Opening the larger demo run", work, self.open_large_demo)

    def make(self, job: RunJob) -> None:
        """Run the chosen model over images, and open what comes of it."""
        work = partial(tasks.make_and_open, self.images.models, job, self.images.choice, self.session.model)
        self._start(f"Making {job.out.name}", work, partial(self.open, job.out))

    def close_run(self) -> None:
        """Close the open run; verdicts go into the user's own file again."""
        run, self.session.run = self.session.run, None
        if run is not None:
            self.line.tell(f"{run.path.name} closed.")

    def unload_and_retry(self) -> None:
        """Unload the model that is in the way, and do again what it was in the way of."""
        again, self.blocked = self.blocked, None
        self.images.unload()
        if again is not None:
            again()

    def _start(self, title: str, work: Callable[[Report], Opened], again: Callable[[], None]) -> None:
        self.blocked = None
        self.jobs.start(title, work, self._take_opened, partial(self._failed, again))

    def _take_opened(self, opened: Opened) -> Generator[None]:
        self.positive = {}
        yield from self._take(opened)

    def _take(self, opened: Opened) -> Generator[None]:
        """Show a run in all docks; its boxes, and each place that takes long, are a turn of the event loop."""
        run, self.undecided = opened.run, opened.undecided
        if self.session.handle is None and opened.handle is not None and opened.choice is not None:
            self.images.take_model(opened.choice, opened.handle)
        if opened.root is not None:
            self.browser.files_of(run).root = opened.root
        if opened.findings is not None:
            self.session.findings = opened.findings
            yield
        yield from self.session.open_run(run)
        if self.session.run is not run:  # closed meanwhile
            return
        if opened.first is not None:
            self.browser.keep(0, opened.first)
        kept = "with" if run.has_maps else "without"
        self.line.tell(" ".join([f"{counted(len(run), 'image')}, {kept} maps.", opened.note]).strip())
        yield
        if self.session.image is None and self.session.run is run and len(run):
            self.browser.show(0)

    def _failed(self, again: Callable[[], None], error: Exception) -> None:
        if isinstance(error, OtherModelError):
            self.blocked = again
        if isinstance(error, MammoSAEError):
            self.line.tell(str(error), error=True)
        else:
            self.images.report_failure(error)
            self.line.tell(*self.status.last_told[:1], error=True)

    def _on_cancelled(self, title: str) -> None:
        self.line.tell(f"Cancelled: {title}. Start it again to resume.")

    def _on_model(self, model: Any) -> None:
        """Say it when a model is loaded that the open run was not made with."""
        run = self.session.run
        if run is None or model is None:
            return
        try:
            run.check_model(model)
        except MammoSAEError as error:
            self.line.tell(str(error), error=True)

"""What is known about latents as pages to share: one file for a latent, or a small site for several."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from psygnal import Signal

from ...core.base.errors import MammoSAEError
from ...core.base.provenance import NOTICE
from ..context import Context, Controller
from ..runs.browser import RunBrowser
from .tasks import write_latents


class LatentPages(Controller):
    """Writes pages about latents of the open run in a thread, as the command `pages` does.

    Attributes
    ----------
    said
        Emits what came of it, for the user.
    jobs
        The writing.
    verdicts
        Path of the file of verdicts in use.
    """

    said = Signal(str)

    def __init__(self, context: Context, browser: RunBrowser, verdicts: Callable[[], Path]) -> None:
        super().__init__(context)
        self.browser, self.verdicts = browser, verdicts
        self.jobs = self.new_jobs()

    @property
    def obstacle(self) -> str:
        """Why nothing can be written now; empty where it can."""
        run, model = self.session.run, self.session.model
        if run is None:
            return "Open a run to export pages about its latents."
        if model is not None and model.n_latents != run.n_latents:
            return "The model shown is another than the run's."
        return "Turn off blind mode to export pages: they show labels and verdicts." if self.session.blind else ""

    @property
    def name(self) -> str:
        """What a page or a site is called unless the user says otherwise, without an ending."""
        return "" if self.session.run is None else f"{self.session.run.path.name}-latents"

    def export(self, latents: Sequence[int], path: Path, *, site: bool) -> None:
        """Write the page of one latent into the file `path`, or a site of several into the folder `path`."""
        run, findings, handle = self.session.run, self.session.findings, self.session.handle
        files = self.browser.files_of(run)
        work = partial(write_latents, list(latents), path, site, run, files, findings, handle, self.verdicts())
        title = f"Exporting {len(latents):,} pages" if site else f"Exporting the page of latent {latents[0]}"
        self.jobs.start(title, work, partial(self._written, files.root is None), self._failed)

    def _written(self, without_images: bool, path: Path) -> None:
        lost = " The images were not found, so there are no pictures." if without_images else ""
        self.said.emit(f"{path.parent.name}/{path.name} written.{lost} {NOTICE.capitalize()}.")

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.status.report_failure(error)
        self.said.emit(str(error))

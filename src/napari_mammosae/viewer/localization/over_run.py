"""One latent localised over the open run: worked out in a worker when asked for, and kept."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ...core.annotations.image_boxes import ALL_FINDINGS
from ...core.runs.run import Run
from ..app.session import HIDDEN
from ..context import Controller
from .controller import Localizer
from .result import Choice
from .tasks import measure_over_run

if TYPE_CHECKING:
    from ...core.annotations.boxes import Findings
    from ...core.localization.over_run import LatentOverRun
    from ...core.localization.run_boxes import RunBoxes

NO_RUN = "Open a run to measure the current latent over many images."
NO_MAPS = "keeps pooled values only; make a run with maps (`run --maps`) to localise over it."


class RunMeasures(Controller):
    """Figures of the current latent over the session's run, for the choice of the localizer.

    Attributes
    ----------
    changed
        Emits when `result` or `obstacle` changed.
    jobs
        The measuring.
    obstacle
        Why nothing can be measured, for the user; empty when it can.
    result
        Of the current latent, finding and choice; None until it was measured.
    """

    changed = Signal()

    def __init__(self, localizer: Localizer) -> None:
        super().__init__(localizer.context)
        self.localizer = localizer
        self.jobs = self.new_jobs()
        self.obstacle = ""
        self.result: LatentOverRun | None = None
        self._boxes: tuple[Any, Any, RunBoxes] | None = None
        self._kept: dict[tuple[int, Choice], LatentOverRun] = {}
        events = self.session.events
        self.listen(events.run, self._forget)
        self.listen(events.findings, self._forget)
        self.listen(events.current, self.refresh)
        self.listen(events.blind, self.refresh)
        self.listen(localizer.chosen, self.refresh)
        self.refresh()

    @property
    def choice(self) -> Choice:
        """What is measured: where only one finding has boxes, that one."""
        choice, findings = self.localizer.choice, self.session.findings
        names = findings.names if findings is not None else ()
        if choice.finding == ALL_FINDINGS and len(names) == 1:
            return replace(choice, finding=names[0])
        return choice

    def refresh(self, *_: object) -> None:
        """Show what is known for the present choice."""
        run, findings, latent = self.session.run, self.session.findings, self.session.current
        self.obstacle, self.result = "", None
        if run is None:
            self.obstacle = NO_RUN
        elif self.session.blind:
            self.obstacle = HIDDEN
        elif not run.has_maps:
            self.obstacle = f"{run.path.name} {NO_MAPS}"
        elif findings is None:
            self.obstacle = "Load the annotated boxes of the run's images."
        elif self.choice.finding == ALL_FINDINGS:
            self.obstacle = "Choose a finding: over a run each is measured by itself."
        elif latent is None:
            self.obstacle = "Choose a latent."
        elif latent >= run.n_latents:
            self.obstacle = f"{run.path.name} was made with another SAE, of {run.n_latents:,} latents."
        else:
            self.result = self._kept.get((latent, self.choice))
        self.changed.emit()

    def measure(self) -> None:
        """Measure the current latent."""
        run, findings, latent, choice = self.session.run, self.session.findings, self.session.current, self.choice
        if self.obstacle or latent is None or findings is None:
            return
        boxes = self._boxes[2] if self._boxes is not None and self._boxes[:2] == (run, findings) else None
        self.jobs.start(
            f"Measuring latent {latent} over {run.path.name}",
            partial(measure_over_run, run, findings, boxes, latent, choice),
            partial(self._take, run, findings, latent, choice),
            self._failed,
        )

    def _take(
        self, run: Run, findings: "Findings", latent: int, choice: Choice, found: tuple["RunBoxes", "LatentOverRun"]
    ) -> None:
        if run is self.session.run and findings is self.session.findings:
            self._boxes = run, findings, found[0]
            self._kept[latent, choice] = found[1]
        self.refresh()

    def _failed(self, error: Exception) -> None:
        self.status.tell(str(error) or type(error).__name__, error=True)
        self.changed.emit()

    def _forget(self, *_: object) -> None:
        self.jobs.cancel()
        self._kept.clear()
        self._boxes = None
        self.refresh()

"""What the latents of the open run stand for: read from the run's folder, or measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ...core.base.errors import MammoSAEError
from ...core.base.text import counted, readable
from ..app.best_labels import BestLabels
from ..context import Context, Controller
from . import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from ...core.reports.concepts import Report
    from ...core.verdicts.suggestions import Suggestion

NO_RUN = "Open a run with labels to see which label the latent goes with."
NOT_MEASURED = "Click Measure to see which label each latent goes with."
BADGE = " (confounder)"


class ConceptTable(Controller):
    """The table of the open run's latents and labels, and the names that its model suggests.

    Parameters
    ----------
    context
        Of the viewer.
    keep
        Keeps suggestions with the verdicts; returns how many are new.

    Attributes
    ----------
    changed
        Emits when the table or what there is to say changed.
    jobs
        Reading and measuring.
    note
        What there is to say where there is no table.
    """

    changed = Signal()

    def __init__(self, context: Context, keep: Callable[[Sequence[Suggestion]], int]) -> None:
        super().__init__(context)
        self._keep = keep
        self.jobs = self.new_jobs()
        self.note = NO_RUN
        self._report: Report | None = None
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._on_blind)
        self._on_run()

    @property
    def usable(self) -> bool:
        """Whether there is a run to measure, and the judge may know of labels."""
        return self.session.run is not None and bool(self.session.run.labels) and not self.session.blind

    @property
    def can_name(self) -> bool:
        """Whether there are a run and a model to name its latents, and the judge may know of names."""
        return self.session.run is not None and self.session.handle is not None and not self.session.blind

    def row(self, latent: int | None) -> dict[str, Any] | None:
        """Return what is known of a latent; None where nothing is, it never fires, or the judge is blind."""
        if self._report is None or latent is None or self.session.blind:
            return None
        found = self._report.latents[self._report.latents["latent"] == latent]
        return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}

    @property
    def shortcuts(self) -> pd.DataFrame | None:
        """The report of shortcuts; None where there is none, or the judge is blind."""
        report = self._report
        return None if report is None or self.session.blind or report.shortcuts.empty else report.shortcuts

    @property
    def measured(self) -> bool:
        """Whether there is a table that may be seen."""
        return self._report is not None and not self.session.blind

    def measure(self) -> None:
        """Begin to measure; the report is written into the run's folder."""
        run = self.session.run
        self.jobs.start(
            "Measuring concepts",
            partial(tasks.measure, run, self.session.model),
            partial(self._take, run),
            self._failed,
        )

    def name(self) -> None:
        """Begin to name the latents; the names are suggestions in the verdict file."""
        run, handle = self.session.run, self.session.handle
        if run is None or handle is None:
            return
        work = partial(tasks.name, run, handle)
        self.jobs.start("Naming latents", work, partial(self._take_names, run), self._unnamed)

    def _take_names(self, run: Any, found: list[Suggestion]) -> None:
        if run is not self.session.run:
            return
        with self.status.telling():
            new, sure = self._keep(found), sum(name.beats_chance for name in found)
            self.status.tell(
                f"{counted(len(found), 'latent')} named, {sure:,} better than chance; {new:,} of the names are new. "
                "See the columns Name and Score."
            )

    def _unnamed(self, error: Exception) -> None:
        self.status.report_failure(error)

    def _on_run(self, *_: object) -> None:
        self.jobs.cancel()
        run = self.session.run
        self._report = None
        self._give_columns()
        self.note = NO_RUN if run is None else NOT_MEASURED
        self.changed.emit()
        if run is not None:
            self.jobs.start("Reading concepts", partial(tasks.read, run), partial(self._take, run), self._failed)

    def _on_blind(self, *_: object) -> None:
        self.changed.emit()

    def _take(self, run: Any, report: Report | None) -> None:
        if run is self.session.run:
            self._report = report
            self._give_columns()
            self.changed.emit()

    def _give_columns(self) -> None:
        """Let the table of latents show the best label of each."""
        run, report = self.session.run, self._report
        if run is None or report is None:
            self.session.best_labels = None
            return
        table = report.latents[report.latents["latent"] < run.n_latents]
        found = BestLabels.empty(run.n_latents)
        at = table["latent"].to_numpy()
        found.labels[at] = [
            f"{readable(str(label))}{BADGE if confounder else ''}"
            for label, confounder in zip(table["concept"], table["confounder"], strict=True)
        ]
        found.r[at], found.auroc[at], found.chance[at] = table["r"], table["auroc"], ~table["accepted"]
        self.session.best_labels = found

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.status.report_failure(error)
        self.note = str(error)
        self.changed.emit()

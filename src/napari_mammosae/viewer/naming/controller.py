"""What the latents of the open run stand for: read from the run's folder, or measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ...core.base.errors import MammoSAEError
from ..context import Context, Controller
from . import tasks

if TYPE_CHECKING:
    import pandas as pd

NO_RUN = "Open a run with labels to see which label the latent goes with."
NOT_MEASURED = "Click Measure to see which label each latent goes with."
HIDDEN = "Hidden in blind mode."


class ConceptTable(Controller):
    """The table of the open run's latents and labels.

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

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.note = NO_RUN
        self._table: pd.DataFrame | None = None
        self.listen(self.session.events.run, self._on_run)
        self.listen(self.session.events.blind, self._on_blind)
        self._on_run()

    @property
    def usable(self) -> bool:
        """Whether there is a run to measure, and the judge may know of labels."""
        return self.session.run is not None and bool(self.session.run.labels) and not self.session.blind

    def row(self, latent: int | None) -> dict[str, Any] | None:
        """Return what is known of a latent; None where nothing is, it never fires, or the judge is blind."""
        if self._table is None or latent is None or self.session.blind:
            return None
        found = self._table[self._table["latent"] == latent]
        return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}

    @property
    def measured(self) -> bool:
        """Whether there is a table that may be seen."""
        return self._table is not None and not self.session.blind

    def measure(self) -> None:
        """Begin to measure; the report is written into the run's folder."""
        run = self.session.run
        self.jobs.start(
            "Measuring concepts",
            partial(tasks.measure, run, self.session.model),
            partial(self._take, run),
            self._failed,
        )

    def _on_run(self, *_: object) -> None:
        self.jobs.cancel()
        run = self.session.run
        self._table = None
        self.note = NO_RUN if run is None else NOT_MEASURED
        self.changed.emit()
        if run is not None:
            self.jobs.start("Reading concepts", partial(tasks.read, run), partial(self._take, run), self._failed)

    def _on_blind(self, *_: object) -> None:
        self.changed.emit()

    def _take(self, run: Any, table: pd.DataFrame | None) -> None:
        if run is self.session.run:
            self._table = table
            self.changed.emit()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MammoSAEError):
            self.status.report_failure(error)
        self.note = str(error)
        self.changed.emit()

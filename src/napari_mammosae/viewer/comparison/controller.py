"""Two runs of two models under one SAE: which they are, what is compared, and what came of it."""

from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from ...core.base.progress import Progress
from ...core.base.text import counted
from ...core.comparison.models import ModelComparison
from ...core.runs.protocol import ProtocolName
from ...core.runs.run import Run
from ..context import Context, Controller
from ..widgets.column_table import ColumnTable
from .table import COLUMNS
from .tasks import classes_in_both, compared, opened, written


class ModelComparer(Controller):
    """Opens the runs, compares them, and writes the result.

    Attributes
    ----------
    changed
        Emits when the runs, the choice or the comparison changed.
    said
        Emits the new `text`.
    runs
        The two runs, None where none is chosen.
    protocol
        The protocol that is followed; None for all images.
    label, category
        A label that both runs have, and the class that is set against the rest; empty and None while there is none.
    comparison, table
        What came of it, None until it is there, and its latents as they are listed.
    text
        What there is to say.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.jobs.progressed.connect(self._on_progress)
        self.runs: list[Run | None] = [None, None]
        self.label = ""
        self.category: int | None = None
        self.protocol: ProtocolName | None = None
        self.comparison: ModelComparison | None = None
        self.table = ColumnTable()
        self.text = ""
        self.listen(self.session.events.run, self._on_run)
        self._on_run(self.session.run)

    @property
    def labels(self) -> list[str]:
        """Labels that both runs have."""
        first, second = self.runs
        return [] if first is None or second is None else [name for name in first.labels if name in second.labels]

    @property
    def classes(self) -> list[tuple[int, str]]:
        """Classes of the label that both runs have, number and name."""
        first, second = self.runs
        known = first is not None and second is not None and self.label in self.labels
        return classes_in_both(first, second, self.label) if known else []  # type: ignore[arg-type]

    def open(self, index: int, path: Path) -> None:
        """Take the run in a folder as the first (0) or second (1) one."""
        other = self.runs[1 - index]
        work = partial(opened, path, {} if other is None else other.chosen)
        self.jobs.start(f"Opening {path.name}", work, partial(self.take_run, index), self._failed)

    def take_run(self, index: int, run: Run) -> None:
        """Take a run that is open as the first (0) or second (1) one."""
        self.jobs.cancel()  # a comparison with the run before is of no use
        self.runs[index], self.category = run, None
        self._take(None)
        self.say("")
        if None in self.runs:
            return
        if not self.labels:
            self.say("The runs have no label in common.")
            return
        self.choose_label(self.label if self.label in self.labels else self.labels[0])

    def choose_label(self, label: str) -> None:
        """Compare for another label."""
        self.label = label
        self.choose_class(next((number for number, _ in self.classes), None))

    def choose_class(self, number: int | None) -> None:
        """Compare for another class."""
        self.category = number
        self.changed.emit()
        first, second = self.runs
        if first is None or second is None or number is None:
            self.say("The label has no class in common in the two runs.")
            return
        work = partial(compared, first, second, self.label, number, self.protocol)
        self.jobs.start("Comparing", work, self._take, self._failed)

    def choose_protocol(self, protocol: ProtocolName | None) -> None:
        """Compare over the images of a protocol, or over all."""
        self.protocol = protocol
        self.choose_class(self.category)

    def export(self, folder: Path) -> None:
        """Write tables and figures while the window goes on; the same files as the command `compare`."""
        first, second = self.runs
        assert self.comparison is not None
        assert first is not None
        assert second is not None
        work = partial(written, self.comparison, folder, (first, second), self.label)
        self.jobs.start(f"Writing into {folder.name}", work, self._written, self._not_written)

    def say(self, text: str) -> None:
        """Put a text where the user looks for it."""
        self.text = text
        self.said.emit(text)

    def _on_run(self, run: Any) -> None:
        if run is not None and self.runs[0] is None:
            self.take_run(0, run)
            return
        for index, own in enumerate(self.runs):
            if run is not None and own is not None and own is not run and own.path == run.path:
                self.take_run(index, run)  # read anew, with another positive value of a label
        self.changed.emit()

    def _take(self, comparison: ModelComparison | None) -> None:
        self.comparison = comparison
        if comparison is not None:
            self.table.sort_key = ""  # by the size of the change
            self.table.show(COLUMNS, {column.key: comparison.latents[column.key].to_numpy() for column in COLUMNS})
            counts = comparison.latents["state"].value_counts()
            change = f"{counted(counts.get('gained', 0), 'latent')} gained, {counts.get('lost', 0):,} lost."
            notes = [f"{note[:1].upper()}{note[1:].removesuffix('.')}." for note in comparison.notes]
            self.say(" ".join([change, *notes]))
        self.changed.emit()

    def _written(self, paths: list[Path]) -> None:
        self.say(f"Wrote {', '.join(path.name for path in paths)}")

    def _not_written(self, error: Exception) -> None:
        self.say(str(error))

    def _failed(self, error: Exception) -> None:
        self._take(None)
        text = str(error)
        self.say(text[:1].upper() + text[1:])

    def _on_progress(self, progress: Progress) -> None:
        self.say(f"{progress.text} …")

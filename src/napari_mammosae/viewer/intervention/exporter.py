"""Writing the present edit into files while the window goes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from ..context import Controller

if TYPE_CHECKING:
    from pathlib import Path

    from .over_run import EditOverRun


class EditExporter(Controller):
    """Exports the edit; an export goes on when the dock it was asked for in is closed.

    Attributes
    ----------
    said
        Emits what came of it, and whether it begins or ends.
    jobs
        The writing.
    """

    said = Signal(str)

    def __init__(self, over_run: EditOverRun) -> None:
        super().__init__(over_run.context)
        self.over_run = over_run
        self.jobs = self.new_jobs()

    def export(self, path: Path) -> None:
        """Write everything about the present edit beside `path`, a CSV.

        Raises
        ------
        SettingsError
            If there is no edit to write.
        """
        from .export import record_of, write_edit

        work = partial(write_edit, path, record_of(self.over_run))
        self.jobs.start(f"Writing {path.name}", work, self._written, self._not_written)
        self.said.emit(f"Writing {path.name} …")

    def _written(self, paths: list[Path]) -> None:
        self._say(f"Wrote {', '.join(one.name for one in paths)}")

    def _not_written(self, error: Exception) -> None:
        self._say(str(error), error=True)

    def _say(self, text: str, *, error: bool = False) -> None:
        self.status.tell(text, error=error)
        self.said.emit(text)

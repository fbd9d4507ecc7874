"""Open a run, or the demo's; what is being worked on, how far it is, and what went wrong."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog

from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from .opener import RunOpener

FIRST = "No run is open. The demo run (synthetic phantoms) takes a minute or two to make the first time."


class RunPart(Part):
    """The buttons for runs, their progress and their status line."""

    new_asked = Signal()
    """The user wants to make a run, or to go back from it."""

    def __init__(self, opener: RunOpener) -> None:
        super().__init__(opener.context)
        self.opener = opener
        self.demo_button = ui.button(
            "Demo run",
            "The embedded model over synthetic phantoms; made on first use, then kept",
            self.opener.open_demo,
        )
        self.open_button = ui.button("Open…", "Open the folder of a run that was made before", self._choose)
        self.new_button = ui.button(
            "New…",
            "Run the model over a folder of images, with labels if there are any",
            self.new_asked,
            checkable=True,
        )
        self.close_button = ui.button("Close", "Close the run; nothing of it is deleted", self.opener.close_run)
        self.progress = JobBar(opener.jobs)
        self.progress.cancel_button.setToolTip("Stop. Finished images are kept, and the run can be resumed.")
        self.unload_button = ui.button("Unload model and continue", clicked=self.opener.unload_and_retry)
        self.warning = ui.warning_sign()
        self.status = ui.wrapped()

        ui.column(
            self,
            row(self.demo_button, self.open_button, self.new_button, self.close_button, stretch=0),
            self.progress,
            row(self.warning, self.status, stretch=1),
            self.unload_button,
            spacing=4,
        )

        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._say)
        self.listen(self.opener.line.told, self._on_told)
        self.listen(self.session.events.run, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        busy, run = self.opener.jobs.busy, self.session.run
        for button in (self.demo_button, self.open_button):
            button.setEnabled(not busy)
        self.close_button.setVisible(run is not None)
        self.unload_button.setVisible(not busy and self.opener.blocked is not None)
        self._on_told(*self.opener.line.last_told)
        if busy:
            self._say(self.progress.text)

    def _on_told(self, text: str, error: bool) -> None:
        run = self.session.run
        name = f"{run.path.parent.name}/{run.path.name}" if run is not None else ""
        self._say(text or (f"{name}: {len(run):,} images." if run is not None else FIRST), error)
        self.status.setToolTip(str(run.path) if run is not None else "")
        self.unload_button.setVisible(self.opener.blocked is not None)

    def _say(self, text: str, error: bool = False) -> None:
        self.warning.setVisible(error)
        self.status.setText(text)

    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a run")
        if name:
            self.opener.open(Path(name))

"""Open a run, or the demo's; what is being worked on, how far it is, and what went wrong."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog

from ...core.base.caches import is_embedded
from ...core.base.text import counted, readable
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from ..widgets.plain import Label
from .opener import RunOpener

FIRST = "No run is open. The demo run has 40 synthetic phantoms and opens at once."


class RunPart(Part):
    """The buttons for runs, their progress and their status line."""

    new_asked = Signal()
    """The user wants to make a run, or to go back from it."""

    def __init__(self, opener: RunOpener) -> None:
        super().__init__(opener.context)
        self.opener = opener
        self.demo_button = ui.button(
            "Demo run",
            "The embedded model over 40 synthetic phantoms, ready to look at",
            self.opener.open_demo,
        )
        self.large_button = ui.button(
            "Demo run of 200 images (two minutes)",
            "The embedded model over 200 synthetic phantoms: made in about two minutes on first use, then kept",
            self.opener.open_large_demo,
        )
        self.open_button = ui.button("Open…", "Open the folder of a run that was made before", self._choose)
        self.new_button = ui.button(
            "New…",
            "Run the model over a folder of images, with labels if there are any",
            self.new_asked,
            checkable=True,
        )
        self.close_button = ui.button("Close", "Close the run; its files stay", self.opener.close_run)
        self.progress = JobBar(opener.jobs)
        self.progress.cancel_button.setToolTip("Stop. Finished images are kept, and the run can be resumed.")
        self.unload_button = ui.button("Unload model and continue", clicked=self.opener.unload_and_retry)
        self.label_box = ui.chooser(8, "Label with text values whose positive value is not known")
        self.value_box = ui.chooser(8, "Text that counts as positive; all others count as one class")
        self.positive = row(Label("Positive"), self.label_box, self.value_box)
        self.warning = ui.warning_sign()
        self.status = ui.wrapped()

        ui.column(
            self,
            row(self.demo_button, self.open_button, self.new_button, self.close_button, stretch=0),
            self.progress,
            self.positive,
            row(self.warning, self.status, stretch=1),
            self.large_button,
            self.unload_button,
            spacing=4,
        )

        self.label_box.activated.connect(self._offer_values)
        self.value_box.activated.connect(self._choose_positive)
        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._say)
        self.listen(self.opener.line.told, self._on_told)
        self.listen(self.session.events.run, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        busy, run = self.opener.jobs.busy, self.session.run
        for button in (self.demo_button, self.open_button):
            button.setEnabled(not busy)
        self.large_button.setVisible(not busy and (run is None or is_embedded(run.path)))
        self.close_button.setVisible(run is not None)
        self.unload_button.setVisible(not busy and self.opener.blocked is not None)
        self.positive.setVisible(run is not None and bool(self.opener.undecided))
        ui.offer(self.label_box, [(readable(name), name) for name in self.opener.undecided], self._label)
        self._offer_values()
        self._on_told(*self.opener.line.last_told)
        if busy:
            self._say(self.progress.text)

    def _on_told(self, text: str, error: bool) -> None:
        run = self.session.run
        name = _name_of(run.path) if run is not None else ""
        self._say(text or (f"{name}: {counted(len(run), 'image')}." if run is not None else FIRST), error)
        self.status.setToolTip(str(run.path) if run is not None else "")
        self.unload_button.setVisible(self.opener.blocked is not None)

    def _say(self, text: str, error: bool = False) -> None:
        self.warning.setVisible(error)
        self.status.setText(text)

    @property
    def _label(self) -> str:
        """The label whose texts are offered."""
        labels, chosen = list(self.opener.undecided), self.label_box.currentData()
        return chosen if chosen in labels else labels[0] if labels else ""

    def _offer_values(self, *_: object) -> None:
        label = self._label
        values = [(value, value) for value in self.opener.undecided.get(label, ())]
        ui.offer(self.value_box, [("not known", None), *values], self.opener.positive.get(label))
        self.value_box.setEnabled(not self.opener.jobs.busy)

    def _choose_positive(self, *_: object) -> None:
        if (value := self.value_box.currentData()) is not None:
            self.opener.choose_positive(self._label, value)
        self._offer_values()

    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a run")
        if name:
            self.opener.open(Path(name))


def _name_of(run: Path) -> str:
    """What a run is called: several are called alike, so the folder that it lies in is named too."""
    return "Demo run" if is_embedded(run) else f"{run.parent.name}/{run.name}"

"""How far heavy work is: a thin bar and a button that cancels it."""

from contextlib import ExitStack

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from ..app.jobs import Jobs
from ..app.listening import connect_until


class JobBar(QWidget):
    """Shows itself for as long as one of the given jobs runs.

    Parameters
    ----------
    jobs
        What is shown, and cancelled by the button.
    """

    said = Signal(str)
    """What is being done and how far it is, in words."""
    turned = Signal()
    """A job began, or the last one ended."""

    def __init__(self, *jobs: Jobs) -> None:
        super().__init__()
        self.jobs = jobs
        self.bar, self.cancel_button = QProgressBar(), QPushButton("Cancel")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setMinimumWidth(24)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel_button)
        undo = ExitStack()
        self.destroyed.connect(undo.close)
        for one in jobs:
            self.cancel_button.clicked.connect(one.cancel)
            for event in (one.started, one.ended):
                connect_until(undo, event, self._turn)
            connect_until(undo, one.progressed, self._show)
        self._show()
        if not self.busy:
            self.hide()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return any(one.busy for one in self.jobs)

    @property
    def text(self) -> str:
        """What is being done and how far it is; empty while nothing runs."""
        progress = next((one.progress for one in self.jobs if one.progress is not None), None)
        return f"{progress.describe()} …" if progress is not None else ""

    def _turn(self, *_: object) -> None:
        self.setVisible(self.busy)
        self.turned.emit()
        self._show()

    def _show(self, *_: object) -> None:
        for one in self.jobs:
            if one.progress is not None:
                self.bar.setRange(0, one.progress.total)  # a total of 0: busy
                self.bar.setValue(one.progress.done)
                self.said.emit(self.text)
                return

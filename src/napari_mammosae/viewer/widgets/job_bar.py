"""How far heavy work is: a thin bar and a button that cancels it."""

from contextlib import ExitStack
from typing import Any

from qtpy.QtCore import QElapsedTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from ..app.jobs import Jobs
from ..app.listening import connect_until

_MOVED = 213
"""`QEvent::StyleAnimationUpdate`, which PyQt6 does not name."""
_FRAME = 200
"""Between two pictures of a moving bar, in ms."""


class MovingBar(QProgressBar):
    """A progress bar that moves at five pictures a second while it is busy.

    The style asks for 30. Without a graphics card each of them composes the whole window anew, canvas and all, on the
    processor: most of a core, which the work under way needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawn = QElapsedTimer()

    def event(self, event: Any) -> bool:
        """Pass over calls of the style's animation that come early."""
        if event.type().value != _MOVED:
            return bool(super().event(event))
        event.setAccepted(self.isVisible())  # else the style ends the animation
        if self.isVisible() and not (self._drawn.isValid() and self._drawn.elapsed() < _FRAME):
            self._drawn.start()
            self.update()
        return True


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
        self.bar, self.cancel_button = MovingBar(), QPushButton("Cancel")
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

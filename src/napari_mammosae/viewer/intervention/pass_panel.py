"""The pass of an edit through the network, for models whose SAE reads an inner layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout

from ..widgets.parts import Part, hint, row

if TYPE_CHECKING:
    from ...core.base.progress import Progress
    from .controller import Intervention


class PassPart(Part):
    """A button, for as long as the prediction with the present edit is not known, and how far the pass is.

    The result belongs to exactly the settings it was asked for: others hide it, going back to them shows it again.
    """

    def __init__(self, intervention: Intervention) -> None:
        super().__init__(intervention.context)
        self.intervention, self.jobs = intervention, intervention.passing
        self.why = hint(QLabel())
        self.why.setWordWrap(True)
        self.compute_button, self.cancel_button = QPushButton("Compute the prediction"), QPushButton("Cancel")
        self.compute_button.setToolTip("Pass the image with its edited latents through the network")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.status = QLabel()
        self.status.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for widget in (self.why, row(self.compute_button, self.cancel_button), self.bar, self.status):
            layout.addWidget(widget)
        self.compute_button.clicked.connect(intervention.compute_pass)
        self.cancel_button.clicked.connect(self.jobs.cancel)
        self.listen(intervention.changed, self.refresh)
        self.listen(self.jobs.started, self.refresh)
        self.listen(self.jobs.progressed, self._on_progress)
        self.listen(self.jobs.ended, self.refresh)
        self.refresh()
        if self.jobs.progress is not None:
            self._on_progress(self.jobs.progress)

    def refresh(self, *_: object) -> None:
        """Follow the intervention."""
        model, busy = self.session.model, self.jobs.busy
        inner = model is not None and self.session.maps is not None and model.layer != "head" and bool(model.classes)
        self.setVisible(inner)
        if model is not None and inner:
            self.why.setText(f"The SAE reads {model.layer}: each edit needs a pass through the rest of the network.")
        self.compute_button.setEnabled(not busy and self.intervention.awaited is not None)
        self.cancel_button.setVisible(busy)
        self.bar.setVisible(busy)
        if not busy:
            self._say(self.intervention.pass_note)

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setMaximum(progress.total)
        self.bar.setValue(progress.done)
        self._say(f"{progress.text} …")

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))

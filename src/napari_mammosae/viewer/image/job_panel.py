"""Compute, cancel, unload; what is going on, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QPushButton, QStyle, QVBoxLayout

from ..app.keymap import help_rows
from ..widgets.job_bar import JobBar
from ..widgets.parts import NOTICE, Part, hint, row
from ..widgets.plain import Label
from .preferences_form import edit_preferences

if TYPE_CHECKING:
    from .controller import ImageController


class JobPart(Part):
    """The buttons for heavy work, its progress, and the status line."""

    def __init__(self, images: ImageController) -> None:
        super().__init__(images.context)
        self.jobs = images.jobs
        self.compute_button = QPushButton("Compute latents")
        self.compute_button.setToolTip("Run the model on the image and stack every latent over it")
        self.unload_button = QPushButton("Unload")
        self.unload_button.setToolTip("Unload the model and free its memory")
        self.progress = JobBar(images.jobs)
        self.warning = Label()  # a sign rather than a colour: it shows in every theme, and to every eye
        self.warning.setPixmap(self.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning).pixmap(18, 18))
        self.status = Label()
        self.status.setWordWrap(True)
        notice = hint(Label(NOTICE))
        self.preferences_button = QPushButton("Preferences…")
        self.preferences_button.setToolTip("Model, device, colours and annotator that a new window starts with")
        keys = QLabel("Keys")  # its tooltip is a table
        keys.setToolTip(key_table())

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.compute_button, self.progress, self.unload_button, self.preferences_button))
        layout.addWidget(row(self.warning, self.status, stretch=1))
        layout.addWidget(row(notice, keys))

        self.compute_button.clicked.connect(images.compute)
        self.progress.cancel_button.clicked.connect(images.cancel)
        self.unload_button.clicked.connect(images.unload)
        self.preferences_button.clicked.connect(lambda: edit_preferences(self))
        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._on_told)
        self.listen(self.context.status.told, self._on_told)
        self.listen(self.session.events.model, self._refresh)
        self.listen(self.session.events.image, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        busy = self.jobs.busy
        self.compute_button.setEnabled(not busy)
        self.compute_button.setVisible(not busy)
        self.unload_button.setEnabled(self.session.model is not None)
        self._on_told(*((self.progress.text, False) if busy else self.context.status.last_told))

    def _on_told(self, text: str, error: bool = False) -> None:
        self.warning.setVisible(error)
        self.status.setText(text)


def key_table() -> str:
    """Every key and what it does, as a table for a tooltip."""
    return (
        "<table>"
        + "".join(f"<tr><td><b>{key}</b>&nbsp;</td><td>{help}</td></tr>" for key, help in help_rows())
        + "</table>"
    )

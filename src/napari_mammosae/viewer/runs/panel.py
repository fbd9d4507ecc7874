"""The *Images* dock: a run over many images, opened or made, and its images one after the other."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QStackedWidget, QVBoxLayout

from ..widgets.parts import Dock, Scrolled
from ..workspace import controller_of
from .form_panel import RunForm
from .list_panel import ImageListPart
from .run_panel import RunPart


class ImagesDock(Dock):
    """Opens a run and goes through its images; the current latent and the order stay.

    The state lives in the viewer's controller: a run goes on being made while the dock is closed.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.run = RunPart(self.controller)
        self.list = ImageListPart(self.controller)
        self.form = RunForm(self.controller)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.list)
        self.pages.addWidget(Scrolled(self.form))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.run)
        layout.addWidget(self.pages, 1)
        self.run.new_asked.connect(self._turn)
        self.form.started.connect(self._show_list)
        self.run.listen(self.controller.session.events.run, self._show_list)

    def cleanup(self) -> None:
        """Stop listening to the session; destroying the widget does the same."""
        for part in (self.run, self.list, self.form):
            part.cleanup()

    def _turn(self) -> None:
        self.pages.setCurrentIndex(int(self.run.new_button.isChecked()))

    def _show_list(self, *_: object) -> None:
        self.run.new_button.setChecked(False)
        self._turn()

"""The *Verdicts* dock: judge the current latent, look at suspects, keep and exchange what was decided."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout

from ..widgets.parts import NOTICE, Dock, Scrolled, hint
from ..workspace import controller_of
from .files_panel import VerdictFilesPart
from .form_panel import VerdictForm
from .suspects_panel import SuspectsPart


class VerdictsDock(Dock):
    """What people decide about latents. The state lives in the viewer's controller: keys work without this dock."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.form = VerdictForm(self.controller)
        self.suspects = SuspectsPart(self.controller)
        self.files = VerdictFilesPart(self.controller)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.hide()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.suspects, "Suspects")
        self.tabs.addTab(Scrolled(self.files), "File and agreement")
        notice = hint(QLabel(NOTICE))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.form)
        layout.addWidget(self.status)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(notice)
        self.form.listen(self.controller.told, self._on_told)

    def cleanup(self) -> None:
        """Save what was typed and stop listening; destroying the widget stops the listening as well."""
        self.form.hand_in()
        for part in (self.form, self.suspects, self.files):
            part.cleanup()

    def _on_told(self, text: str, error: bool) -> None:
        """Show errors, and what they were about no longer than they hold."""
        self.status.setText(text if error else "")
        self.status.setVisible(error)

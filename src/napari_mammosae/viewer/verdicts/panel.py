"""The *Verdicts* dock: judge the current latent, look at suspects, keep and exchange what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout

from ..widgets.parts import NOTICE, Dock, Scrolled, hint
from ..widgets.plain import Label
from .files_panel import VerdictFilesPart
from .form_panel import VerdictForm
from .suspects_panel import SuspectsPart

if TYPE_CHECKING:
    from .controller import Reviewer
    from .exchange import VerdictExchange
    from .suspects import SuspectSearch


class VerdictsPanel(Dock):
    """What people decide about latents; the keys work without it."""

    def __init__(self, reviewer: Reviewer, search: SuspectSearch, exchange: VerdictExchange) -> None:
        super().__init__(reviewer.context)
        self.form = VerdictForm(reviewer)
        self.suspects = SuspectsPart(search)
        self.files = VerdictFilesPart(exchange)
        self.own(self.form, self.suspects, self.files)
        self.status = Label()
        self.status.setWordWrap(True)
        self.status.hide()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.suspects, "Suspects")
        self.tabs.addTab(Scrolled(self.files), "File and agreement")
        notice = hint(Label(NOTICE))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.form)
        layout.addWidget(self.status)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(notice)
        self.listen(self.context.status.told, self._on_told)
        self._on_told(*self.context.status.last_told)

    def _on_told(self, text: str, error: bool) -> None:
        """Show errors, and what they were about no longer than they hold."""
        self.status.setText(text if error else "")
        self.status.setVisible(error)

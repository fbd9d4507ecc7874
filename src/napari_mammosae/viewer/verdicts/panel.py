"""The *Verdicts* dock: judge the current latent, look at suspects, keep and exchange what was decided."""

from qtpy.QtWidgets import QSizePolicy, QTabWidget

from ..widgets import ui
from ..widgets.parts import NOTICE, Dock, Scrolled, Squeezed, flatten, hint
from ..widgets.plain import Label
from .controller import Reviewer
from .exchange import VerdictExchange
from .files_panel import VerdictFilesPart
from .form_panel import VerdictForm
from .suspects import SuspectSearch
from .suspects_panel import SuspectsPart


class VerdictsPanel(Dock):
    """What people decide about latents; the keys work without it."""

    def __init__(self, reviewer: Reviewer, search: SuspectSearch, exchange: VerdictExchange) -> None:
        super().__init__(reviewer.context)
        self.form = VerdictForm(reviewer)
        self.suspects = SuspectsPart(search)
        self.files = VerdictFilesPart(exchange)
        self.own(self.form, self.suspects, self.files)
        self.status = ui.wrapped()
        self.status.hide()
        self.tabs = QTabWidget()
        flatten(self.tabs)
        self.tabs.addTab(self.suspects, "Suspects")
        self.tabs.addTab(Scrolled(self.files), "File and agreement")
        notice = hint(Label(NOTICE))
        content = Squeezed()  # taller than a small screen
        ui.column(content, self.form, self.tabs, grow=self.tabs, spacing=4)
        # else its rows would be cut off before it scrolls
        self.form.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        scrolled = Scrolled(content)
        ui.column(self, scrolled, self.status, notice, grow=scrolled, spacing=4, margins=(6, 6, 6, 6))
        self.listen(self.context.status.told, self._on_told)
        self._on_told(*self.context.status.last_told)

    def _on_told(self, text: str, error: bool) -> None:
        """Show errors, and what they were about no longer than they hold."""
        self.status.setText(text if error else "")
        self.status.setVisible(error)

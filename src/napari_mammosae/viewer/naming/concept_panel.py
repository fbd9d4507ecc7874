"""Which label the current latent goes with, with a badge where that says nothing of the breast."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from ...core.base.text import readable
from ..app.session import HIDDEN
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from .shortcuts_panel import ShortcutsPart

if TYPE_CHECKING:
    from .controller import ConceptTable

SILENT = "The latent does not fire in the run."


class ConceptPart(Part):
    """A tab about the current latent."""

    def __init__(self, concepts: ConceptTable) -> None:
        super().__init__(concepts.context)
        self.concepts = concepts
        self.text = QLabel()  # not one that breaks long words: it would break the tags
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.button = ui.button(
            "Measure", "Measure which label of the run each latent goes with, against chance", concepts.measure
        )
        self.name_button = ui.button(
            "Name latents", "Suggest a name for each latent from the model's own text tower", concepts.name
        )
        self.shortcuts = ShortcutsPart(concepts)
        self._undo.callback(self.shortcuts.cleanup)
        self.progress = JobBar(concepts.jobs)
        buttons = row(self.button, self.name_button)
        ui.column(self, self.text, buttons, self.progress, self.shortcuts, spacing=3, margins=(0, 2, 0, 0))
        self.layout().addStretch(1)  # type: ignore[union-attr]
        self.progress.turned.connect(self._refresh)
        self.listen(concepts.changed, self._refresh)
        for event in (self.session.events.current, self.session.events.model):
            self.listen(event, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        concepts = self.concepts
        self.button.setEnabled(concepts.usable and not concepts.jobs.busy)
        self.name_button.setEnabled(concepts.can_name and not concepts.jobs.busy)
        if self.session.blind:
            self.text.setText(HIDDEN)
            return
        if not concepts.measured:
            self.text.setText(escape(concepts.note))
            return
        found = concepts.row(self.session.current)
        if found is None:
            self.text.setText(SILENT)
            return
        badge = " <b style='color:#e05050'>confounder</b>" if found["confounder"] else ""
        verdict = "beyond chance" if found["accepted"] else "within chance"
        after = (
            f"Next: {escape(readable(str(found['next'])))}, behind by {found['margin']:.3f}."
            if found["next"] == found["next"]
            else ""
        )
        self.text.setText(
            f"<b>{escape(readable(str(found['concept'])))}</b>{badge}: r {found['r']:+.3f}, AUROC {found['auroc']:.3f} "
            f"({found['pool']}), q {found['q_value']:.2g}, {verdict}.<br>{after}"
        )

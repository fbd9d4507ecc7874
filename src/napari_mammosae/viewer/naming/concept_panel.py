"""Which label the current latent goes with, with a badge where that says nothing of the breast."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt

from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part
from .controller import HIDDEN, ConceptTable

SILENT = "The latent does not fire in the run."


class ConceptPart(Part):
    """A tab about the current latent."""

    def __init__(self, concepts: ConceptTable) -> None:
        super().__init__(concepts.context)
        self.concepts = concepts
        self.text = ui.wrapped()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.button = ui.button(
            "Measure", "Measure which label of the run each latent goes with, against chance", concepts.measure
        )
        self.progress = JobBar(concepts.jobs)
        ui.column(self, self.text, self.button, self.progress, spacing=3, margins=(0, 2, 0, 0))
        self.layout().addStretch(1)  # type: ignore[union-attr]
        self.progress.turned.connect(self._refresh)
        self.listen(concepts.changed, self._refresh)
        self.listen(self.session.events.current, self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        concepts = self.concepts
        self.button.setEnabled(concepts.usable and not concepts.jobs.busy)
        if self.session.blind:
            self.text.setText(HIDDEN)
            return
        if not concepts.measured:
            self.text.setText(escape(concepts.note))
            return
        row = concepts.row(self.session.current)
        if row is None:
            self.text.setText(SILENT)
            return
        badge = " <b style='color:#e05050'>confounder</b>" if row["confounder"] else ""
        verdict = "beyond chance" if row["accepted"] else "within chance"
        after = (
            f"Next: {escape(str(row['next']))}, behind by {row['margin']:.3f}." if row["next"] == row["next"] else ""
        )
        self.text.setText(
            f"<b>{escape(str(row['concept']))}</b>{badge}: r {row['r']:+.3f}, AUROC {row['auroc']:.3f} "
            f"({row['pool']}), q {row['q_value']:.2g}, {verdict}.<br>{after}"
        )

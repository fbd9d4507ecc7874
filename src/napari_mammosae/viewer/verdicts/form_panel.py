"""The verdict on the current latent, what others say of it, undo, and how much is done."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QCheckBox, QProgressBar

from ...core.verdicts.store import Event
from ..app.keymap import tooltip
from ..widgets import ui
from ..widgets.parts import row
from ..widgets.plain import ElidedLabel
from .book import speaks, when
from .controller import Reviewer
from .fields import VerdictFields
from .name_panel import NamePart


class VerdictForm(VerdictFields):
    """Judges the current latent, and shows all that is said about it."""

    def __init__(self, reviewer: Reviewer) -> None:
        self.title, self.said = ElidedLabel(), ui.wrapped()
        self.name = NamePart(reviewer)
        self.next_button = ui.button(
            "Next unreviewed", tooltip("Next live latent without a verdict, down the stack", "next_unreviewed")
        )
        self.undo_button = ui.button("Undo", tooltip("Undo the last verdict, concept or note", "undo"))
        self.redo_button = ui.button("Redo", tooltip("Redo it", "redo"))
        self.blind = QCheckBox("Blind")
        self.blind.setToolTip("Hide scores, labels, predictions and other people's verdicts while you review")
        self.screenshot = ui.tipped(
            QCheckBox("Keep screenshots"),
            "Save a screenshot of the canvas with each verdict. Look out for names burned into the image.",
        )
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        super().__init__(reviewer)
        self._undo.callback(self.name.cleanup)

    def _lay_out(self) -> None:
        ui.column(
            self,
            self.title,
            row(*self.buttons.values(), stretch=-1),
            self.name,
            row(self.concept, self.words_button),
            self.note,
            row(self.next_button, self.undo_button, self.redo_button),
            row(self.blind, self.screenshot),
            self.progress,
            self.said,
            spacing=4,
        )

    def show_latent(self, *_: object) -> None:
        """Show what is said about the current latent, and what is being typed about it."""
        super().show_latent()
        latent = self.session.current
        self._write_texts(self.book.mine.get(latent) if latent is not None else None)
        self._show_progress()

    def _write_texts(self, event: Event | None) -> None:
        latent = self.session.current
        if latent is None or self.book.subject is None:
            self.title.setText("Load a model or open a run to review its latents.")
            self.said.setText("")
            return
        line = self.book.line(latent)
        self.title.setText(f"Latent {latent}: {line or self._without_line()}")
        lines = []
        if event is not None:
            lines.append(f"{event.annotator}, {when(event)}{f', on {event.image}' if event.image else ''}")
        for other in () if self.session.blind else self.book.others.get(latent, ()):
            if not speaks(other):
                continue
            said = other.verdict or other.concept or "a note"
            lines.append(f"{other.annotator}: {said}, {when(other)}. {other.note}")
        self.said.setText("\n".join(lines))

    def _without_line(self) -> str:
        if self.book.problem:
            return "verdicts cannot be read"
        return "reading verdicts …" if self.book.reading else "no verdict yet"

    def _show_progress(self) -> None:
        live = self.reviewer.live_latents()
        done = sum(1 for latent in live.tolist() if self.book.verdict(latent)) if self.book.mine else 0
        self.progress.setMaximum(max(int(live.size), 1))
        self.progress.setValue(done)
        self.progress.setFormat(f"{done:,} of {live.size:,} live latents reviewed")
        self.next_button.setEnabled(bool(live.size))

    def _edit(self, name: str) -> None:
        """Put a suggested name into the field; it is saved once it is confirmed."""
        self.concept.setEditText(name)
        self.concept.lineEdit().selectAll()
        self.concept.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.reviewer.type_concept(name)

    def _connect(self) -> None:
        super()._connect()
        self.next_button.clicked.connect(self.reviewer.next_unreviewed)
        self.undo_button.clicked.connect(self.reviewer.undo)
        self.redo_button.clicked.connect(self.reviewer.redo)
        self.blind.toggled.connect(self.reviewer.set_blind)
        self.screenshot.toggled.connect(self._on_screenshot)
        for sequence, action in (
            (QKeySequence.StandardKey.Undo, self.reviewer.undo),
            (QKeySequence.StandardKey.Redo, self.reviewer.redo),
        ):
            ui.on_keys(self, sequence, action)
        self.listen(self.session.events.blind, self._on_blind)
        self.listen(self.reviewer.editing, self._edit)
        self.blind.setChecked(self.session.blind)
        self.screenshot.setChecked(self.reviewer.with_screenshot)

    def _on_blind(self, blind: bool) -> None:
        self.blind.setChecked(blind)

    def _on_screenshot(self, wanted: bool) -> None:
        self.reviewer.with_screenshot = wanted

"""The verdict on the current latent: four buttons, a concept, a note, undo, and how much is done."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QCheckBox, QComboBox, QCompleter, QLineEdit, QMenu, QProgressBar, QPushButton
from superqt.utils import signals_blocked

from ...core.verdicts.store import VERDICTS, Event
from ..app.keymap import key_for, tooltip
from ..widgets import ui
from ..widgets.parts import Part, row
from ..widgets.plain import Label
from .book import speaks, when
from .controller import Reviewer
from .name_panel import NamePart

MEANINGS = {
    "lesion": "Fires on lesions",
    "anatomy": "Fires on normal anatomy",
    "spurious": "Fires on things unrelated to disease, such as markers, borders or air",
    "unsure": "Reviewed, but undecided",
}


class VerdictForm(Part):
    """Judges the current latent."""

    def __init__(self, reviewer: Reviewer) -> None:
        super().__init__(reviewer.context)
        self.reviewer, self.book = reviewer, reviewer.book
        self.title, self.said = Label(), ui.wrapped()
        self.buttons: dict[str, QPushButton] = {}
        for verdict in VERDICTS:
            tip = tooltip(MEANINGS[verdict], f"judge_{verdict}")
            button = ui.button(f"{verdict.capitalize()} {key_for(f'judge_{verdict}')}", tip, checkable=True)
            # a click gives the verdict; a click on the one that is given takes it back
            button.clicked.connect(lambda checked, verdict=verdict: reviewer.judge(verdict if checked else ""))
            self.buttons[verdict] = button
        self.concept = ui.tipped(QComboBox(), "What the latent shows, in a word or two. Names you use are remembered.")
        self.concept.setEditable(True)
        self.concept.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.concept.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.concept.lineEdit().setPlaceholderText("Concept: view marker, nipple …")
        completer = QCompleter(self.concept.model(), self.concept)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.concept.setCompleter(completer)
        self.words_button = ui.button("±", "Add the name to the list of concepts, or remove it")
        self.words_button.setFixedWidth(self.words_button.fontMetrics().horizontalAdvance("±") + 28)
        self.words_menu = QMenu(self.words_button)
        self.add_action = self.words_menu.addAction("Add to the list")
        self.remove_action = self.words_menu.addAction("Remove from the list")
        self.words_button.setMenu(self.words_menu)
        self.name = NamePart(reviewer)
        self._undo.callback(self.name.cleanup)
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note")
        self.next_button = ui.button(
            "Next unreviewed", tooltip("Next live latent without a verdict, down the stack", "next_unreviewed")
        )
        self.undo_button = ui.button("Undo", tooltip("Undo the last verdict, concept or note", "undo"))
        self.redo_button = ui.button("Redo", tooltip("Redo it", "redo"))
        self.blind = QCheckBox("Blind")
        self.blind.setToolTip("Hide scores, labels, predictions and other people's verdicts while you review")
        self.screenshot = ui.tipped(
            QCheckBox("Keep screenshots"),
            "Save a screenshot of the canvas with each verdict. Watch for names burned into the image.",
        )
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)

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
        self._connect()
        self._fill_concepts()
        self.show_latent()

    # What is shown

    def show_latent(self, *_: object) -> None:
        """Show what is said about the current latent, and what is being typed about it."""
        latent, typed = self.session.current, self.reviewer.typed
        event = self.book.mine.get(latent) if latent is not None else None
        known = latent is not None and self.book.subject is not None
        for widget in (*self.buttons.values(), self.concept, self.note, self.words_button):
            widget.setEnabled(known)
        for verdict, button in self.buttons.items():
            button.setChecked(event is not None and event.verdict == verdict)
        concept, note = (event.concept, event.note) if event is not None else ("", "")
        if typed.latent == latent:
            concept = concept if typed.concept is None else typed.concept
            note = note if typed.note is None else typed.note
        if self.concept.currentText().strip() != concept.strip():  # blanks at the end: the next word is on its way
            with signals_blocked(self.concept):
                self.concept.setEditText(concept)
        if self.note.text().strip() != note.strip():
            self.note.setText(note)
        self._write_texts(event)
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

    def _fill_concepts(self) -> None:
        words = self.book.concepts()
        if words != [self.concept.itemText(i) for i in range(self.concept.count())]:
            text = self.concept.currentText()
            with signals_blocked(self.concept):
                self.concept.clear()
                self.concept.addItems(words)
                self.concept.setEditText(text)

    # What is decided

    def _on_concept_typed(self) -> None:
        """Half a word that is being completed is no concept yet."""
        if not self.concept.completer().popup().isVisible():
            self.reviewer.hand_in()

    def _on_concept_chosen(self, *_: object) -> None:
        self.reviewer.type_concept(self.concept.currentText())
        self.reviewer.hand_in()

    def _on_changed(self, *_: object) -> None:
        self._fill_concepts()
        self.show_latent()

    def _edit(self, name: str) -> None:
        """Put a suggested name into the field; it is saved once it is confirmed."""
        self.concept.setEditText(name)
        self.concept.lineEdit().selectAll()
        self.concept.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.reviewer.type_concept(name)

    def _list_concept(self, listed: bool) -> None:
        concept = self.concept.currentText().strip()
        if concept:
            with self.context.status.telling():
                self.book.list_concept(concept, listed)

    def _connect(self) -> None:
        self.note.textEdited.connect(self.reviewer.type_note)
        self.note.editingFinished.connect(self.reviewer.hand_in)
        self.concept.lineEdit().textEdited.connect(self.reviewer.type_concept)
        self.concept.lineEdit().editingFinished.connect(self._on_concept_typed)
        self.concept.activated.connect(self._on_concept_chosen)
        self.add_action.triggered.connect(lambda: self._list_concept(True))
        self.remove_action.triggered.connect(lambda: self._list_concept(False))
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
        events = self.session.events
        for event, callback in (
            (events.current, self.show_latent),
            (events.maps, self.show_latent),
            (events.run, self.show_latent),
            (events.blind, self._on_blind),
            (self.book.changed, self._on_changed),
            (self.reviewer.judged, self.show_latent),
            (self.reviewer.editing, self._edit),
        ):
            self.listen(event, callback)
        self.blind.setChecked(self.session.blind)
        self.screenshot.setChecked(self.reviewer.with_screenshot)

    def _on_blind(self, blind: bool) -> None:
        self.blind.setChecked(blind)
        self.show_latent()

    def _on_screenshot(self, wanted: bool) -> None:
        self.reviewer.with_screenshot = wanted

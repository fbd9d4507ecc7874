"""The verdict on the current latent: four buttons, a concept and a note, in whichever dock they are wanted."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QCompleter, QLineEdit, QMenu, QPushButton
from superqt.utils import signals_blocked

from ...core.verdicts.store import VERDICTS
from ..app.keymap import key_for, tooltip
from ..widgets import ui
from ..widgets.parts import Part, row
from .controller import Reviewer

MEANINGS = {
    "lesion": "Fires on lesions",
    "anatomy": "Fires on normal anatomy",
    "spurious": "Fires on things unrelated to disease, such as markers, borders or air",
    "unsure": "Reviewed, but undecided",
}


class VerdictFields(Part):
    """Judges the current latent; several of them show, and change, the same."""

    def __init__(self, reviewer: Reviewer) -> None:
        super().__init__(reviewer.context)
        self.reviewer, self.book = reviewer, reviewer.book
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
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note")
        self._lay_out()
        self._connect()
        self._fill_concepts()
        self.show_latent()

    def _lay_out(self) -> None:
        """Put the fields into two rows."""
        ui.column(
            self,
            row(*self.buttons.values(), stretch=-1),
            row(self.concept, self.words_button, self.note, stretch=0),
            spacing=3,
            margins=(0, 0, 0, 0),
        )

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

    def _fill_concepts(self) -> None:
        words = self.book.concepts()
        if words != [self.concept.itemText(i) for i in range(self.concept.count())]:
            text = self.concept.currentText()
            with signals_blocked(self.concept):
                self.concept.clear()
                self.concept.addItems(words)
                self.concept.setEditText(text)

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
        events = self.session.events
        for event, callback in (
            (events.current, self.show_latent),
            (events.maps, self.show_latent),
            (events.run, self.show_latent),
            (events.blind, self.show_latent),
            (self.book.changed, self._on_changed),
            (self.reviewer.judged, self.show_latent),
        ):
            self.listen(event, callback)

"""Who judges, in which file, and what goes in and out of it: export, merge, agreement."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMenu, QPushButton

from ..annotation.draw_panel import may_replace
from ..widgets import ui
from ..widgets.forms import PathEdit, ask
from ..widgets.parts import Part, row
from ..widgets.plain import ElidedLabel
from .exchange import VerdictExchange

EXPORTS = "CSV (*.csv);;JSON (*.json)"
IMPORTS = "Verdicts (*.csv *.json *.sqlite *.db);;All files (*)"
FILES = "Verdict files (*.sqlite);;All files (*)"


class VerdictFilesPart(Part):
    """Chooses annotator and file, and moves verdicts in and out. Nothing here is deleted or overwritten unasked."""

    def __init__(self, exchange: VerdictExchange) -> None:
        super().__init__(exchange.context)
        self.exchange, self.book = exchange, exchange.book
        self.annotator = QLineEdit(self.book.annotator)
        self.annotator.setToolTip("Your name. The verdicts of others stay as they are.")
        self.file, self.file_button = ElidedLabel(), QPushButton("Change")
        menu = QMenu(self.file_button)
        menu.addAction("Another file…").triggered.connect(self._choose_file)
        menu.addAction("Default location").triggered.connect(lambda: exchange.use(None))
        self.file_button.setMenu(menu)
        self.export_button = ui.button(
            "Export…",
            "Write the verdicts as CSV or JSON with their provenance, without screenshots",
            self._choose_export,
        )
        self.merge_button = ui.button(
            "Import / merge…", "Add verdicts of other files; importing a file twice has no effect", self._choose_merge
        )
        self.first, self.second = ui.chooser(6, "First annotator"), ui.chooser(6, "Second annotator")
        self.first.setPlaceholderText("first")
        self.second.setPlaceholderText("second")
        self.compare_button = ui.button(
            "Agreement", "Cohen's kappa of two annotators over the latents that both reviewed", exchange.compare
        )
        self.result = ui.wrapped(exchange.text)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form = ui.form(self, 4)
        form.setContentsMargins(2, 4, 2, 2)
        form.addRow("Annotator", self.annotator)
        form.addRow("File", row(self.file, self.file_button))
        form.addRow(row(self.export_button, self.merge_button))
        form.addRow(row(self.first, self.second, self.compare_button))
        form.addRow(self.result)

        self.annotator.editingFinished.connect(self._on_annotator)
        for box in (self.first, self.second):
            box.activated.connect(self._take)
        self.listen(exchange.said, self._say)
        self.listen(self.book.changed, self._refresh)
        self._refresh()

    def _take(self, *_: object) -> None:
        self.exchange.pair = self.first.currentText(), self.second.currentText()

    def _say(self, text: str) -> None:
        self.result.setText(text)

    def _refresh(self, *_: object) -> None:
        path, run = self.book.path, self.session.run
        usual = run is not None and path.parent == run.path
        self.file.setText(f"{path.name} in {'the run' if usual else path.parent.name}")
        self.file.setToolTip(f"{path}\n{self.book.notice}".strip())
        if not self.annotator.hasFocus():
            self.annotator.setText(self.book.annotator)
        others = {event.annotator for events in self.book.others.values() for event in events}
        names = sorted(others | ({self.book.annotator} if self.book.mine else set()))
        for place, box in enumerate((self.first, self.second)):
            if names != [box.itemText(i) for i in range(box.count())]:
                chosen = self.exchange.pair[place]
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else min(place, len(names) - 1))
        if len(names) > 1 and self.first.currentText() == self.second.currentText():
            self.second.setCurrentIndex((self.first.currentIndex() + 1) % len(names))
        self._take()
        blind = self.session.blind
        self.compare_button.setEnabled(len(names) > 1 and not blind)
        self.export_button.setEnabled(bool(names))
        self.merge_button.setEnabled(self.book.subject is not None)
        if self.book.notice:
            self.exchange.say(self.book.notice)

    def _on_annotator(self) -> None:
        self.exchange.reviewer.set_annotator(self.annotator.text())

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "File for verdicts", str(self.book.path), FILES, options=QFileDialog.Option.DontConfirmOverwrite
        )  # an existing file is gone on with, not overwritten
        if name:
            self.exchange.use(Path(name))

    def _choose_export(self) -> None:
        file = {"mode": "w", "filter": EXPORTS, "tooltip": "CSV or JSON, by the end of the name"}
        history = {"tooltip": "Every decision and undo, not only the current state"}
        found = ask("Export verdicts", self, {
            "path": {"widget_type": PathEdit, "label": "File", "value": Path.home() / "verdicts.csv", "options": file},
            "history": {"label": "With history", "value": self.exchange.whole_log, "options": history},
        })  # fmt: skip
        if found is None:
            return
        self.exchange.whole_log, path = found["history"], found["path"].expanduser()
        path = path if path.suffix else path.with_suffix(".csv")
        if may_replace(self, path):
            self.exchange.export(path)

    def _choose_merge(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Verdicts to add", "", IMPORTS)
        if names:
            self.exchange.merge([Path(name) for name in names])

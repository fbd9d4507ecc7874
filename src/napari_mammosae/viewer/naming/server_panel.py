"""The form that names latents with a server: where it is, which model, how many latents; folded until asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit, QMessageBox, QSpinBox, QWidget

from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from ..widgets.plain import plain

if TYPE_CHECKING:
    from .server import ServerNaming

MOST, AT_ONCE = 100_000, 64


class ServerPart(Part):
    """Names from a vision-language model."""

    def __init__(self, naming: ServerNaming) -> None:
        super().__init__(naming.context)
        self.naming = naming
        self.fold = ui.button("Name with a server…", "Ask a vision-language model what latents show", checkable=True)
        self.url = ui.tipped(QLineEdit(), "OpenAI-compatible server: Ollama, llama.cpp, vLLM, LM Studio")
        self.model = ui.tipped(QComboBox(), "The server's name for the model; leave empty if it has only one")
        self.model.setEditable(True)
        self.model.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.list_button = ui.button("List", "Ask the server which models it has", self._list)
        self.latents = ui.tipped(QLineEdit(), "Numbers such as 3, 17, 40-44. Empty: those that contribute most")
        self.latents.setPlaceholderText("most important")
        self.most = ui.tipped(QSpinBox(), "Name at most this many latents")
        self.most.setRange(1, MOST)
        self.parallel = ui.tipped(QSpinBox(), "Questions asked at once; the server must be able to work on several")
        self.parallel.setRange(1, AT_ONCE)
        self.parallel.setSuffix(" at once")
        self.against = ui.tipped(
            QLineEdit(),
            "Run over the same images with an untrained or random SAE, or with channels. As many of its latents are "
            "named in the same way.",
        )
        self.against.setPlaceholderText("no other run")
        self.against_button = ui.button("Choose…", "Choose the run to compare with", self._choose_against)
        self.start = ui.button("Name", "Show the cost, then ask the server", self._name)
        self.note, self.progress = ui.wrapped(), JobBar(naming.jobs)
        self.form = QWidget()
        rows = ui.form(self.form, 3)
        rows.addRow("Server", row(self.url, self.parallel))
        rows.addRow("Model", row(self.model, self.list_button))
        rows.addRow("Latents", row(self.latents, self.most, self.start))
        rows.addRow("Against", row(self.against, self.against_button))
        ui.column(self, self.fold, self.form, self.progress, self.note, spacing=3)
        self.form.hide()
        self.fold.toggled.connect(self._refresh)
        self.url.textEdited.connect(self._take)
        self.latents.textEdited.connect(self._take)
        self.against.textEdited.connect(self._take)
        self.model.editTextChanged.connect(self._take)
        self.most.valueChanged.connect(self._take)
        self.parallel.valueChanged.connect(self._take)
        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._say)
        self.listen(naming.changed, self._refresh)
        self._refresh()

    def _list(self) -> None:
        self.naming.list_models(accept)

    def _name(self) -> None:
        self.naming.name(accept)

    def _choose_against(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Run to compare with"):
            self.against.setText(name)
            self._take()

    def _take(self, *_: object) -> None:
        self.naming.form = replace(
            self.naming.form, url=self.url.text(), model=self.model.currentText(), latents=self.latents.text(),
            most=self.most.value(), parallel=self.parallel.value(), against=self.against.text(),
        )  # fmt: skip

    def _refresh(self, *_: object) -> None:
        naming, form = self.naming, self.naming.form
        widgets = (self.url, self.model, self.latents, self.against, self.most, self.parallel)
        for widget in widgets:
            widget.blockSignals(True)
        if self.url.text() != form.url:
            self.url.setText(form.url)
        if self.latents.text() != form.latents:
            self.latents.setText(form.latents)
        if self.against.text() != form.against:
            self.against.setText(form.against)
        if [self.model.itemText(at) for at in range(self.model.count())] != naming.models:
            self.model.clear()
            self.model.addItems(naming.models)
        if self.model.currentText() != form.model:
            self.model.setEditText(form.model)
        self.most.setValue(form.most)
        self.parallel.setValue(form.parallel)
        for widget in widgets:
            widget.blockSignals(False)
        busy = naming.jobs.busy
        self.form.setVisible(self.fold.isChecked() and not busy)  # what can be done meanwhile is to cancel
        self.start.setEnabled(naming.usable)
        if not busy:
            ui.show_text(self.note, naming.note)

    def _say(self, text: str) -> None:
        ui.show_text(self.note, text)


def accept(title: str, text: str) -> bool:
    """Ask the user; no is the answer that Enter gives."""
    buttons = QMessageBox.StandardButton
    answer = QMessageBox.question(
        QApplication.activeWindow(), plain(title), plain(text), buttons.Yes | buttons.No, buttons.No
    )
    return bool(answer == buttons.Yes)

"""What is needed to make a run: images, labels, a folder for it, and what to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
)

from ..widgets.parts import Part, row
from .tasks import RunEntries

if TYPE_CHECKING:
    from .opener import RunOpener

TABLES = "Tables (*.csv);;All files (*)"


class RunForm(Part):
    """A form that makes a run with the model chosen in the *Model & image* dock."""

    started = Signal()

    def __init__(self, opener: RunOpener) -> None:
        super().__init__(opener.context)
        self.opener, entries = opener, opener.entries
        self.images, self.labels, self.out = (QLineEdit(text) for text in (entries.images, entries.labels, entries.out))
        self.images.setPlaceholderText("folder, pattern, or CSV with a column path")
        self.images.setToolTip("Folders are searched with all their subfolders; a CSV may bring labels of its own")
        self.labels.setPlaceholderText("none")
        self.labels.setToolTip("VinDr-Mammo tables, or a CSV with a column image and one for each label")
        self.out.setPlaceholderText("new folder, or an unfinished run to resume")
        self.out.setToolTip("If the folder holds an unfinished run, it is resumed")
        self.images_button, self.labels_button, self.out_button = (QPushButton("…") for _ in range(3))
        for button in (self.images_button, self.labels_button, self.out_button):
            button.setFixedWidth(button.fontMetrics().horizontalAdvance("…") + 24)
        menu = QMenu(self.images_button)
        menu.addAction("Folder…").triggered.connect(self._choose_folder)
        menu.addAction("CSV…").triggered.connect(self._choose_list)
        self.images_button.setMenu(menu)
        self.maps = QCheckBox("Keep maps")
        self.maps.setChecked(entries.maps)
        self.maps.setToolTip("Keep the latent maps. Needed for suspects, localisation and opening images at once.")
        self.batch, self.workers = QSpinBox(), QSpinBox()
        self.batch.setRange(0, 256)
        self.batch.setSpecialValueText("auto")
        self.batch.setValue(entries.batch)
        self.batch.setToolTip("Number of images computed at once; auto: one on the CPU, eight on a GPU")
        self.workers.setRange(0, 64)
        self.workers.setValue(entries.workers)
        self.workers.setToolTip("Number of processes that decode images while the model computes")
        self.model = QLabel()
        self.model.setWordWrap(True)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.start_button = QPushButton("Start")

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("Images", row(self.images, self.images_button))
        form.addRow("Labels", row(self.labels, self.labels_button))
        form.addRow("Run folder", row(self.out, self.out_button))
        form.addRow("Model", self.model)
        form.addRow("", self.maps)
        form.addRow("Batch", row(self.batch, QLabel("decoders"), self.workers))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.note)
        layout.addWidget(self.start_button)
        layout.addStretch(1)

        self.labels_button.clicked.connect(self._choose_labels)
        self.out_button.clicked.connect(self._choose_out)
        for edit in (self.images, self.labels, self.out):
            edit.textChanged.connect(self._take)
        self.maps.toggled.connect(self._take)
        for box in (self.batch, self.workers):
            box.valueChanged.connect(self._take)
        self.start_button.clicked.connect(self._start)
        self.listen(opener.jobs.started, self._refresh)
        self.listen(opener.jobs.ended, self._refresh)
        self._refresh()

    def showEvent(self, event: object) -> None:
        """The model may have been chosen anew meanwhile."""
        self._refresh()
        super().showEvent(event)

    def _take(self, *_: object) -> None:
        """Hand in what is written, so that it outlives this form."""
        self.opener.entries = RunEntries(
            self.images.text(), self.labels.text(), self.out.text(), self.maps.isChecked(), self.batch.value(),
            self.workers.value(),
        )  # fmt: skip
        self._refresh()

    def _refresh(self, *_: object) -> None:
        choice = self.opener.images.choice
        self.model.setText(f"{choice.title} on {choice.device}, {choice.precision}")
        self.start_button.setEnabled(not self.opener.jobs.busy)
        out = self.out.text().strip()
        there = bool(out) and (Path(out).expanduser() / "run.json").is_file()
        self.start_button.setText("Resume this run" if there else "Start")

    def _start(self) -> None:
        order = self.opener.entries.order
        if order is None:
            self.note.setText("Choose the images, and a folder for the run.")
            return
        self.note.setText("")
        self.opener.make(order)
        self.started.emit()

    def _choose_folder(self) -> None:
        self._fill(self.images, QFileDialog.getExistingDirectory(self, "Folder of images"))

    def _choose_list(self) -> None:
        self._fill(self.images, QFileDialog.getOpenFileName(self, "CSV that lists images", "", TABLES)[0])

    def _choose_labels(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Tables of labels", "", TABLES)
        self._fill(self.labels, "; ".join(names))

    def _choose_out(self) -> None:
        self._fill(self.out, QFileDialog.getExistingDirectory(self, "Folder of the run"))

    def _fill(self, edit: QLineEdit, text: str) -> None:
        if not text:
            return
        edit.setText(text)
        if edit is self.images and not self.out.text():
            self.out.setText(str(Path(text).with_name(f"{Path(text).stem}-run")))

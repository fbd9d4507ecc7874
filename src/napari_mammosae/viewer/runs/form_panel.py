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
from .tasks import RunOrder

if TYPE_CHECKING:
    from ..image.controller import Controller

TABLES = "Tables (*.csv);;All files (*)"


class RunForm(Part):
    """A form that makes a run with the model chosen in the *Model & image* dock."""

    started = Signal()

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.images, self.labels, self.out = QLineEdit(), QLineEdit(), QLineEdit()
        self.images.setPlaceholderText("folder, pattern, or CSV with a column path")
        self.images.setToolTip("Folders are searched with all their subfolders; a CSV may bring labels of its own")
        self.labels.setPlaceholderText("none")
        self.labels.setToolTip("VinDr-Mammo tables, or a CSV with a column image and one for each label")
        self.out.setPlaceholderText("new folder, or a run to go on with")
        self.out.setToolTip("An unfinished run in it is gone on with; its finished images are not computed again")
        self.images_button, self.labels_button, self.out_button = (QPushButton("…") for _ in range(3))
        for button in (self.images_button, self.labels_button, self.out_button):
            button.setFixedWidth(button.fontMetrics().horizontalAdvance("…") + 24)
        menu = QMenu(self.images_button)
        menu.addAction("Folder…").triggered.connect(self._choose_folder)
        menu.addAction("CSV…").triggered.connect(self._choose_list)
        self.images_button.setMenu(menu)
        self.maps = QCheckBox("Keep maps")
        self.maps.setChecked(True)
        self.maps.setToolTip("Every cell that fires: needed for suspects, localisation, and images shown at once")
        self.batch, self.workers = QSpinBox(), QSpinBox()
        self.batch.setRange(0, 256)
        self.batch.setSpecialValueText("auto")
        self.batch.setToolTip("Images computed at a time; auto: one on the CPU, eight on a GPU")
        self.workers.setRange(0, 64)
        self.workers.setValue(1)
        self.workers.setToolTip("Processes that decode images while the model computes")
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
        self.out.textChanged.connect(self._refresh)
        self.start_button.clicked.connect(self._start)
        self.listen(controller.runs.jobs.started, self._refresh)
        self.listen(controller.runs.jobs.ended, self._refresh)
        self._refresh()

    def showEvent(self, event: object) -> None:
        """The model may have been chosen anew meanwhile."""
        self._refresh()
        super().showEvent(event)

    @property
    def order(self) -> RunOrder | None:
        """What the form asks for; None while something is missing."""
        images, out = self.images.text().strip(), self.out.text().strip()
        if not images or not out:
            return None
        labels = tuple(Path(part.strip()).expanduser() for part in self.labels.text().split(";") if part.strip())
        return RunOrder(
            images, Path(out).expanduser(), labels, self.maps.isChecked(), self.batch.value() or None,
            self.workers.value(),
        )  # fmt: skip

    def _refresh(self, *_: object) -> None:
        choice = self.controller.choice
        self.model.setText(f"{choice.title} on {choice.device}, {choice.precision}")
        self.start_button.setEnabled(not self.controller.runs.jobs.busy)
        out = self.out.text().strip()
        there = bool(out) and (Path(out).expanduser() / "run.json").is_file()
        self.start_button.setText("Go on with this run" if there else "Start")

    def _start(self) -> None:
        order = self.order
        if order is None:
            self.note.setText("Say which images, and which folder the run is to be written to.")
            return
        self.note.setText("")
        self.controller.runs.make(order)
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

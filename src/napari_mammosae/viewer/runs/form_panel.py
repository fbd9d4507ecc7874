"""What is needed to make a run: images, labels, a folder for it, and what to keep."""

from functools import partial
from pathlib import Path

from magicgui.widgets import CheckBox, ComboBox, LineEdit, show_file_dialog
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from ...core.annotations.positives import UNCERTAIN
from ..widgets import ui
from ..widgets.forms import PathEdit, form_of
from ..widgets.parts import Part
from ..widgets.plain import ElidedLabel, Label
from .opener import RunOpener
from .tasks import RunEntries

TABLES = "Tables (*.csv);;All files (*)"
DECODERS = [("auto", -1), *((str(count), count) for count in (*range(5), 6, 8, 10, 12, 14, 16, 24, 32))]
BATCHES = [("auto", 0), *((str(count), count) for count in (1, 2, 4, 8, 16, 32, 64))]


class RunForm(Part):
    """A form that makes a run with the model chosen in the *Model & image* dock."""

    started = Signal()

    def __init__(self, opener: RunOpener) -> None:
        super().__init__(opener.context)
        self.opener, entries = opener, opener.entries
        self.images = PathEdit(
            label="Images", mode="d", value=entries.images, placeholder="Folder, pattern or CSV of images",
            tooltip="Folder (subfolders included), pattern such as images/*.dcm, or CSV with a column path",
        )  # fmt: skip
        self.labels = PathEdit(
            label="Labels", mode="rm", filter=TABLES, value=entries.labels, placeholder="None",
            tooltip="VinDr-Mammo tables, or CSV files with a column image and one for each label, separated by commas",
        )  # fmt: skip
        self.out = PathEdit(
            label="Run folder", mode="d", value=entries.out, placeholder="New folder, or a run to resume",
            tooltip="If the folder holds an unfinished run, it is resumed",
        )  # fmt: skip
        self.maps = CheckBox(
            text="Keep maps", value=entries.maps,
            tooltip="Keep the latent maps. Needed for suspects, localisation and opening images at once.",
        )  # fmt: skip
        self.batch = ComboBox(
            label="Batch", choices=BATCHES, value=entries.batch,
            tooltip="Number of images computed at once; auto: one on the CPU, up to 16 on a GPU",
        )  # fmt: skip
        self.workers = ComboBox(
            label="Decoders", choices=DECODERS, value=entries.workers,
            tooltip="Number of decoding processes; 0 decodes in the main process, auto: as many as the device needs",
        )  # fmt: skip
        self.compile = CheckBox(
            text="Compile for long runs", value=entries.compile,
            tooltip="On a GPU, compile the network for 50,000 images or more; it takes a minute the first time",
        )  # fmt: skip
        self.positive = LineEdit(
            label="Positive", value=entries.positive,
            tooltip="Positive text of labels, such as shape=round, separated by commas; known pairs need none",
        )  # fmt: skip
        self.uncertain = ComboBox(
            label="Uncertain", choices=UNCERTAIN, value=entries.uncertain,
            tooltip="What uncertain labels count as: -1 among 0 and 1, or texts such as uncertain",
        )  # fmt: skip
        self.model, self.note, self.start_button = ElidedLabel(), Label(), QPushButton("Start")
        self.note.setWordWrap(True)
        menu = QMenu(self)  # in place of the button's own action, which knows folders alone
        for text, mode in (("Folder…", "d"), ("CSV…", "r")):
            menu.addAction(text).triggered.connect(partial(self._choose_images, mode))
        self.images.choose_btn.native.setMenu(menu)

        entered = (self.images, self.labels, self.out, self.maps, self.batch, self.workers, self.positive,
                   self.uncertain, self.compile)  # fmt: skip
        form = form_of(*entered)
        form.insertRow(3, "Model", self.model)
        ui.column(self, form, self.note, self.start_button, spacing=4).addStretch(1)

        for widget in entered:
            widget.changed.connect(self._take)
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
            self.images.text,
            self.labels.text,
            self.out.text,
            self.maps.value,
            self.batch.value,
            self.workers.value,
            self.positive.value,
            self.uncertain.value,
            self.compile.value,
        )
        self._refresh()

    def _refresh(self, *_: object) -> None:
        choice, out = self.opener.images.choice, self.out.text
        self.model.setText(f"{choice.title} on {choice.device}, {choice.precision}")
        self.model.setToolTip(f"{self.model.text()}; chosen in the Model & image dock")
        self.start_button.setEnabled(not self.opener.jobs.busy)
        there = bool(out) and (Path(out).expanduser() / "run.json").is_file()
        self.start_button.setText("Resume this run" if there else "Start")

    def _start(self, *_: object) -> None:
        job = self.opener.entries.job
        if job is None:
            self.note.setText("Choose the images, and a folder for the run.")
            return
        self.note.setText("")
        self.opener.make(job)
        self.started.emit()

    def _choose_images(self, mode: str, *_: object) -> None:
        if chosen := show_file_dialog(mode, "Images", filter=TABLES, parent=self):
            self.images.value = Path(chosen)
            if not self.out.text:
                self.out.value = Path(chosen).with_name(f"{Path(chosen).stem}-run")

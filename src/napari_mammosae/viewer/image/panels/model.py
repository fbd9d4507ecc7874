"""Which model, on which device, in which precision; and its files when it is not a named one."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLineEdit, QWidget
from superqt.utils import signals_blocked

from ....core.base.text import size_text
from ....core.models.facts import ModelFacts
from ....process.handle import MemoryUse
from ...app.preferences import remember
from ...widgets import ui
from ...widgets.parts import Part, hint, row
from ...widgets.plain import ElidedLabel
from ..controller import ImageController
from ..open_layers import OpenLayers
from ..tasks import ModelChoice, model_names
from .download import DownloadPart

FILES = "Local files…"
WEIGHTS = "Weights and model files (*.pth *.pt *.tar *.safetensors *.toml);;All files (*)"
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
ENGINES = ("auto", "torch", "compiled", "openvino")


def describe_place(facts: ModelFacts, memory: MemoryUse | None) -> str:
    """Say where a loaded model computes and in which precision, and what memory of a GPU is in use and free."""
    words = [facts.device, facts.precision]
    if memory is not None and memory.device == facts.device:
        if memory.card:
            words[0] = f"{facts.device} ({memory.card})"
        if memory.used is not None and memory.free is not None:
            words.append(f"{size_text(memory.used)} in use, {size_text(memory.free)} free")
        elif memory.weights:
            words.append(f"weights {size_text(memory.weights)}")
    return ", ".join(words)


class FileRow(QWidget):
    """One weights file: its name, a button to choose it, one to leave it out."""

    changed = Signal()

    def __init__(self, title: str, tip: str, path: Path | None) -> None:
        super().__init__()
        self._title = title
        self.name = ElidedLabel()
        self.choose_button = ui.button("Choose…", tip, self._choose)
        ui.form(self).addRow(row(self.name, self.choose_button))
        self.set_path(path)

    def set_path(self, path: Path | None) -> None:
        """Take a file, or none."""
        self.path = path
        self.name.setText(path.name if path else "—")
        self.name.setToolTip(str(path) if path else "")
        self.changed.emit()

    def _choose(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, self._title, "", WEIGHTS)
        if name:
            self.set_path(Path(name))


class ModelPart(Part):
    """Choose the model; it is loaded when latents are computed."""

    def __init__(self, images: ImageController, layers: OpenLayers) -> None:
        super().__init__(images.context)
        self.images, self._shown = images, images.choice
        choice = images.choice
        self.name_box = ui.chooser(10, "A model by name, or weights files of your own")
        self.name_box.addItems([*model_names(), FILES])
        if choice.name is not None and self.name_box.findText(choice.name) < 0:
            self.name_box.insertItem(0, choice.name)
        self.name_box.setCurrentText(choice.name or FILES)  # a model.toml of the preferences is an entry of its own
        self.device_box = ui.tipped(QComboBox(), "auto: a GPU if there is one, else the CPU")
        self.precision_box = ui.tipped(
            QComboBox(), "float32 is exact; on a GPU float16 is faster and deviates by about 0.3 %"
        )
        self.device_box.addItems(DEVICES)
        self.device_box.setCurrentText(choice.device)
        self.precision_box.addItems(PRECISIONS)
        self.precision_box.setCurrentText(choice.precision)
        self.engine_box = ui.tipped(QComboBox(), "auto: OpenVINO on a CPU where it is installed, else PyTorch")
        self.engine_box.addItems(ENGINES)
        self.engine_box.setCurrentText(choice.engine)

        tip = "Downstream checkpoint (.pth), or a model.toml that names all files"
        self.classifier = FileRow("Classifier", tip, choice.classifier)
        self.sae = FileRow("Sparse autoencoder", "Sparse autoencoder (.pt or .safetensors)", choice.sae)
        tip = "Pre-training checkpoint (.tar); not needed with a classifier"
        self.backbone = FileRow("Backbone", tip, choice.backbone)
        self.classes = QLineEdit(", ".join(choice.classes))
        self.classes.setToolTip("Names of the logits, separated by commas; needed unless there are one or four")
        self.classes.setPlaceholderText("from the number of logits")
        self.layer = QLineEdit(choice.layer or "")
        self.layer.setToolTip("The layer that the SAE reads: head, or blocks.N for the output of block N")
        self.layer.setPlaceholderText("head")
        self.files = QWidget()
        files = ui.form(self.files)
        files.addRow("Classifier", self.classifier)
        files.addRow("SAE", self.sae)
        files.addRow("Layer", self.layer)
        files.addRow("Backbone", self.backbone)
        files.addRow("Classes", self.classes)

        form = ui.form(self)
        form.addRow("Model", self.name_box)
        self.download = DownloadPart(images)
        self._undo.callback(self.download.cleanup)
        form.addRow(self.download)
        form.addRow(self.files)
        form.addRow("Run on", row(self.device_box, self.precision_box, self.engine_box))
        self.place = hint(ui.wrapped())
        form.addRow("Loaded", self.place)
        self._form = form
        self.beside_button = ui.button(
            "Open beside", "Keep the open layer, and open the chosen model with its SAE on another layer", layers.add
        )
        form.addRow(self.beside_button)

        for box in (self.name_box, self.device_box, self.precision_box, self.engine_box):
            box.currentTextChanged.connect(self._take)
        for part in (self.classifier, self.sae, self.backbone):
            part.changed.connect(self._take)
        for line in (self.classes, self.layer):
            line.editingFinished.connect(self._take)
        self.files.setVisible(choice.name is None)
        for event in (self.session.events.model, self.session.events.maps):
            self.listen(event, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the choice, and follow what is open: it cannot be opened beside itself."""
        loaded, choice = self.images.loaded_choice, self.images.choice
        if choice != self._shown:
            self._show(choice)
        self.beside_button.setVisible(loaded is not None and loaded != replace(choice, device=loaded.device))
        facts = self.session.model
        self._form.setRowVisible(self.place, facts is not None)
        if facts is not None:
            self.place.setText(describe_place(facts, self.images.memory))

    def _show(self, choice: ModelChoice) -> None:
        """Show a choice that was made elsewhere, such as that of another open layer."""
        self._shown = choice
        boxes = (self.name_box, self.device_box, self.precision_box, self.engine_box)
        rows = {self.classifier: choice.classifier, self.sae: choice.sae, self.backbone: choice.backbone}
        with ExitStack() as blocked:
            for widget in (*boxes, *rows):
                blocked.enter_context(signals_blocked(widget))
            if choice.name is not None and self.name_box.findText(choice.name) < 0:
                self.name_box.insertItem(0, choice.name)
            for box, text in zip(
                boxes, (choice.name or FILES, choice.device, choice.precision, choice.engine), strict=True
            ):
                box.setCurrentText(text)
            for part, path in rows.items():
                part.set_path(path)
        self.classes.setText(", ".join(choice.classes))
        self.layer.setText(choice.layer or "")
        self.files.setVisible(choice.name is None)
        self.download.refresh()

    def _take(self) -> None:
        by_files = self.name_box.currentText() == FILES
        self.files.setVisible(by_files)
        boxes = {"device": self.device_box, "precision": self.precision_box, "engine": self.engine_box}
        how = {name: box.currentText() for name, box in boxes.items()}
        described = self.classifier.path
        if by_files and described is not None and described.suffix == ".toml":
            choice = ModelChoice(str(described), **how)
        elif by_files:
            classes = tuple(name.strip() for name in self.classes.text().split(",") if name.strip())
            choice = ModelChoice(None, self.backbone.path, self.classifier.path, self.sae.path, classes, **how)
            choice = replace(choice, layer=self.layer.text().strip() or None)
        else:
            choice = ModelChoice(self.name_box.currentText(), **how)
            remember("model", name=self.name_box.currentText())
        remember("model", **how)
        self.images.choice = self._shown = choice
        self.download.refresh()
        self.refresh()

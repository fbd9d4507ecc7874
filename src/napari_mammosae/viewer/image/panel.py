"""The *Model & image* dock."""

from napari.layers import Image
from qtpy.QtWidgets import QFrame, QWidget

from ..canvas.actions import CanvasActions
from ..widgets import ui
from ..widgets.parts import Dock, Scrolled
from .controller import ImageController
from .open_layers import OpenLayers
from .panels.diagnosis import DiagnosisPanel
from .panels.heads import HeadsPart
from .panels.image import ImagePart
from .panels.job import JobPart
from .panels.latent import LatentPart, PredictionPart
from .panels.layers import LayersPart
from .panels.model import ModelPart
from .panels.prompt import PromptPart


class ModelPanel(Dock):
    """From an image and a model to every latent over it."""

    def __init__(self, images: ImageController, actions: CanvasActions, layers: OpenLayers) -> None:
        super().__init__(images.context)
        self.images = images
        self.image = ImagePart(images, actions)
        self.model, self.layers = ModelPart(images, layers), LayersPart(layers)
        self.prediction = PredictionPart(self.context)
        self.heads = HeadsPart(images.heads)
        self.prompt = PromptPart(images.prompts)
        self.latent = LatentPart(self.context, actions)
        self.diagnosis = DiagnosisPanel(self.session)
        self.diagnosis.hide()  # of no concern until something is wrong
        self.diagnosis_button = ui.button(
            "Diagnostic report and caches", "Show or hide them", self.diagnosis.setVisible, checkable=True
        )
        self.job = JobPart(images)
        self.own(self.image, self.model, self.layers, self.prediction, self.heads, self.prompt, self.latent, self.job)
        content = QWidget()
        parts = (
            self.image,
            _line(),
            self.model,
            self.layers,
            _line(),
            self.prediction,
            self.heads,
            self.prompt,
            self.latent,
            _line(),
            self.diagnosis_button,
            self.diagnosis,
        )
        ui.column(content, *parts, margins=(6, 6, 6, 6)).addStretch(1)
        scrolled = Scrolled(content)
        ui.column(self, scrolled, self.image.notes, self.job, grow=scrolled)
        self.job.layout().setContentsMargins(6, 0, 6, 6)
        if self.context.scene.image_layer is None and (layer := self._likely_image()) is not None:
            images.use_layer(layer)

    def _likely_image(self) -> Image | None:
        """The selected layer if it can be a mammogram, else the topmost that can."""
        viewer, candidates = self.context.scene.viewer, self.images.candidates()
        active = viewer.layers.selection.active if viewer is not None else None
        return active if active in candidates else candidates[-1] if candidates else None


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line

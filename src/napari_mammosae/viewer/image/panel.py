"""The *Model & image* dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from ..widgets.parts import Dock, Scrolled
from ..workspace import controller_of
from .image_panel import ImagePart
from .job_panel import JobPart
from .latent_panel import LatentPart, PredictionPart
from .model_panel import ModelPart

if TYPE_CHECKING:
    from napari.layers import Image


class ModelDock(Dock):
    """From an image and a model to every latent over it.

    The state lives in the viewer's session and controller; this widget may be closed and opened again at any time.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.image = ImagePart(self.controller)
        self.model = ModelPart(self.controller)
        self.prediction = PredictionPart(self.controller)
        self.latent = LatentPart(self.controller)
        self.job = JobPart(self.controller)
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        for part in (self.image, _line(), self.model, _line(), self.prediction, self.latent):
            inner.addWidget(part)
        inner.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(content), 1)
        outer.addWidget(self.job)
        self.job.layout().setContentsMargins(6, 0, 6, 6)
        if self.controller.scene.image_layer is None and (layer := self._likely_image()) is not None:
            self.controller.use_layer(layer)

    def cleanup(self) -> None:
        """Stop listening to the session; destroying the widget does the same."""
        for part in (self.image, self.model, self.prediction, self.latent, self.job):
            part.cleanup()

    def _likely_image(self) -> Image | None:
        """The selected layer if it can be a mammogram, else the topmost that can."""
        viewer, candidates = self.controller.scene.viewer, self.controller.candidates()
        active = viewer.layers.selection.active if viewer is not None else None
        return active if active in candidates else candidates[-1] if candidates else None


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line

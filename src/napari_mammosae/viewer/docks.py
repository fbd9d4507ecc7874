"""The docks that napari opens: each takes the workspace of its viewer and hands its controllers to a panel."""

from __future__ import annotations

from typing import Any

from .comparison.panel import ComparePanel
from .exam.panel import ExamPart
from .guide.controller import guide_of
from .guide.panel import GuidePanel
from .image.panel import ModelPanel
from .image.panels.layers import LayersPart
from .intervention.panel import IntervenePanel
from .latents.panel import LatentsPanel
from .localization.panel import LocalizePanel
from .naming.concept_panel import ConceptPart
from .naming.server_panel import ServerPart
from .runs.panel import ImagesPanel
from .sessions.controller import keeper_of
from .sessions.panel import SessionPart
from .verdicts.fields import VerdictFields
from .verdicts.panel import VerdictsPanel
from .widgets.parts import Scrolled
from .workspace import workspace_of


class GuideDock(GuidePanel):
    """*Next steps*."""

    short_title = "Steps"

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(guide_of(work))
        self.workspace = work


class ModelDock(ModelPanel):
    """*Model & image*."""

    short_title = "Model"

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.images, work.actions, work.layers)
        self.workspace = work
        self.saved = SessionPart(keeper_of(work))
        self.own(self.saved)
        self.layout().insertWidget(self.layout().count() - 1, self.saved)
        self.saved.layout().setContentsMargins(6, 0, 6, 0)


class ImagesDock(ImagesPanel):
    """*Images*."""

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.opener, work.image_list, work.thumbnails)
        self.workspace, self.exam = work, ExamPart(work.exam)
        self.own(self.exam)
        self.tabs.add(self.exam, "Exam", "All images of a patient's exam together")


class LatentsDock(LatentsPanel):
    """*Latents*."""

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.latents, work.pictures, work.side_by_side, work.pages)
        self.workspace, self.concepts, self.layers = work, ConceptPart(work.concepts), LayersPart(work.layers)
        self.servers = ServerPart(work.server_naming)
        self.fields = VerdictFields(work.reviewer)  # evidence and verdict together
        self.own(self.concepts, self.servers, self.layers, self.fields)
        self.layout().addWidget(self.fields)
        self.layout().insertWidget(0, self.layers)
        self.concepts.layout().addWidget(self.servers)
        self.detail.tabs.addTab(Scrolled(self.concepts), "Concepts")


class VerdictsDock(VerdictsPanel):
    """*Verdicts*."""

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.reviewer, work.suspects, work.exchange)
        self.workspace = work


class LocalizeDock(LocalizePanel):
    """*Localise*."""

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.localizer, work.measures, work.editor, work.opener)
        self.workspace = work


class InterveneDock(IntervenePanel):
    """*Intervene*."""

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.exporter, work.images, work.browser)
        self.workspace = work


class CompareDock(ComparePanel):
    """*Compare models*."""

    short_title = "Compare"

    def __init__(self, napari_viewer: Any) -> None:
        work = workspace_of(napari_viewer)
        super().__init__(work.comparer)
        self.workspace = work

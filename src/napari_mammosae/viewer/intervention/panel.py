"""The *Intervene* dock: keep, remove or scale latents, and watch the prediction."""

from pathlib import Path

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QWidget

from ...core.base.errors import MammoSAEError
from ...core.intervention.edit import Edit
from ..image.controller import ImageController
from ..image.panels.prompt import PromptPart
from ..runs.browser import RunBrowser
from ..widgets import ui
from ..widgets.parts import NOTICE, Dock, PageTabs, Scrolled, hint, row
from ..widgets.plain import Label
from .export import EditExporter, caption, record_of
from .result_panel import PassPart, ResultPart
from .run_panel import EditOverRunPart
from .set_panel import SetPart

FILES = "Tables and a PNG figure (*.csv);;Tables and a PDF figure (*.pdf);;Tables and an SVG figure (*.svg)"


class IntervenePanel(Dock):
    """Edits of latents on the image shown and on the open run."""

    def __init__(self, exporter: EditExporter, images: ImageController, browser: RunBrowser) -> None:
        super().__init__(exporter.context)
        self.exporter, self.over_run = exporter, exporter.over_run
        self.intervention = self.over_run.intervention
        self.set = SetPart(self.intervention, images)
        self.passing = PassPart(self.intervention)
        self.result = ResultPart(self.intervention)
        self.run = EditOverRunPart(self.over_run, browser)
        self.prompt = PromptPart(images.prompts, self._prompt_edit)
        self.own(self.set, self.prompt, self.passing, self.result, self.run)
        self.export_button = ui.button(
            "Export…",
            "Write the edit, its predictions, terms, curve and flips as tables, and a figure at print size",
            self._on_export,
        )
        self.caption_button = ui.button(
            "Caption", "Copy a caption for the exported figure to the clipboard", self._on_caption
        )
        self.status = ui.wrapped()
        notice = hint(Label(NOTICE))
        notice.setWordWrap(True)
        self.tabs = PageTabs()
        for part, title, tip in (
            (self.result, "This image", "The prediction of this image before and after, and where it comes from"),
            (self.run, "The run", "What the edit does to all images of the open run"),
        ):
            page = QWidget()
            ui.column(page, part, margins=(4, 4, 4, 4))
            self.tabs.add(page, title, tip)
        content = QWidget()
        ui.column(content, self.set, self.prompt, self.passing, self.tabs, grow=self.tabs, margins=(6, 6, 6, 6))
        scrolled, foot = Scrolled(content), row(notice, self.caption_button, self.export_button)
        foot.layout().setContentsMargins(6, 0, 6, 6)
        ui.column(self, scrolled, self.set.banner, self.status, foot, grow=scrolled, spacing=2)
        self.status.setVisible(False)
        for keys, action in (("Ctrl+Z", self.intervention.undo), ("Ctrl+Shift+Z", self.intervention.redo)):
            ui.on_keys(self, keys, action)
        self.listen(self.intervention.changed, self._refresh)
        self.listen(self.session.events.blind, self._refresh)
        self.listen(self.intervention.changed, self.prompt.refresh)
        self.listen(images.prompts.asked, self._on_asked)
        self.listen(exporter.said, self._on_said)
        self.listen(exporter.jobs.ended, self._refresh)
        self.listen(self.context.status.told, self._on_told)
        if self.context.scene.image_layer is None and (candidates := images.candidates()):
            images.use_layer(candidates[-1])
        self._on_told(*self.context.status.last_told)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        view = None if self.session.blind else self.intervention.view
        self.export_button.setEnabled(view is not None and not self.exporter.jobs.busy)
        self.caption_button.setEnabled(view is not None and bool(view.terms))

    def _prompt_edit(self) -> Edit | None:
        view = self.intervention.view
        return view.edit if view is not None and self.intervention.is_on else None

    def _on_asked(self, place: int) -> None:
        self.intervention.change(logit=place)

    def _on_export(self) -> None:
        image = self.session.image
        name = f"{image.image_id}-edit.csv" if image is not None else "edit.csv"
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the edit", name, FILES)
        if not chosen:
            return
        path = Path(chosen)
        try:
            self.exporter.export(path if path.suffix else path.with_suffix(".csv"))
        except MammoSAEError as error:
            self._say(str(error))

    def _on_caption(self) -> None:
        QGuiApplication.clipboard().setText(caption(record_of(self.over_run)))
        self._say("The caption is on the clipboard.")

    def _on_told(self, text: str, is_error: bool) -> None:
        """What goes wrong elsewhere is said here as well: the dock that started it may be closed."""
        self._say(text if is_error else "")

    def _on_said(self, text: str) -> None:
        self._say(text)
        self._refresh()

    def _say(self, text: str) -> None:
        ui.show_text(self.status, text)

"""The *Localise* dock: from the current latent's heatmap to boxes, against the annotated ones."""

from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QSpinBox, QWidget

from ..annotation.controller import BoxEditor
from ..annotation.draw_panel import DrawPart, may_replace
from ..runs.opener import RunOpener
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import NOTICE, Dock, PageTabs, Part, Scrolled, hint, row
from ..widgets.plain import Label
from .boxes_panel import BoxesPart
from .choice_panel import ChoicePart
from .controller import Localizer
from .over_run import RunMeasures
from .result import BoxRow
from .run_panel import RunMeasuresPart
from .tasks import draw_figure

FIGURES = "PNG (*.png);;PDF (*.pdf);;SVG (*.svg)"


class LocalizePanel(Dock):
    """Threshold, found boxes, what became of them, how well a latent localises, and boxes drawn by hand."""

    def __init__(self, localizer: Localizer, measures: RunMeasures, editor: BoxEditor, opener: RunOpener) -> None:
        super().__init__(localizer.context)
        self.localizer, self.editor = localizer, editor
        self.choice = ChoicePart(localizer)
        self.boxes = BoxesPart(localizer)
        self.run = RunMeasuresPart(measures, opener)
        self.draw = DrawPart(editor)
        self.actions_part = ActionsPart(localizer)
        self.own(self.choice, self.choice.together, self.boxes, self.run, self.draw, self.actions_part)
        self.tabs = PageTabs()
        for part, title, tip in (
            (self.boxes, "This image", "Boxes of the current latent on this image"),
            (self.run, "Over the run", "The current latent over all images of the open run"),
            (self.draw, "Draw boxes", "Annotated boxes: draw, correct, save"),
        ):
            self.tabs.add(part, title, tip)
        content = QWidget()
        ui.column(content, self.choice, self.tabs, grow=self.tabs, spacing=4, margins=(6, 6, 6, 6))
        scrolled = Scrolled(content)
        ui.column(self, scrolled, self.actions_part, grow=scrolled, spacing=4)
        self.actions_part.layout().setContentsMargins(6, 0, 6, 6)

        self.boxes.list.jumped.connect(self._on_chosen)
        self.actions_part.hits_button.clicked.connect(self._order_by_box)
        self.boxes.list.itemSelectionChanged.connect(self._follow)
        self.listen(editor.changed, self._on_editor)
        self.listen(localizer.changed, self._follow)
        self._follow()

    def _on_chosen(self, box: BoxRow) -> None:
        if box.annotated and self.editor.editing:
            self.editor.select(box.row)

    def _on_editor(self) -> None:
        """The box selected on the image is selected in the list."""
        if (row := self.editor.selected) is not None:
            self.boxes.list.choose_row(row)
            self._follow()

    def _follow(self, *_: object) -> None:
        box = self.boxes.list.chosen
        self.localizer.box = box.row if box is not None else -1
        self.actions_part.hits_button.setEnabled(box is not None and box.annotated)

    def _order_by_box(self) -> None:
        box = self.boxes.list.chosen
        if box is not None and box.annotated:
            self.localizer.order_by_box(box.edges, f"the {box.title} box")


MOST_PICTURED = 500
"""Latents of a figure: more would take minutes to draw."""


class ActionsPart(Part):
    """What can be done with a box and with the image, how far it is, and what there is to say."""

    def __init__(self, localizer: Localizer) -> None:
        super().__init__(localizer.context)
        self.localizer = localizer
        self.hits_button = ui.button(
            "Latents that hit this box",
            "Order the stack by how well each latent's boxes overlap with the annotated box chosen in the list",
        )
        self.figure_button = ui.button(
            "Figure…",
            "Write a figure as in the paper: the image and the first latents of the stack, with all boxes",
            self._save_figure,
        )
        self.count_box = ui.tipped(QSpinBox(), "Number of latents in the figure")
        self.count_box.setSuffix(" latents")
        self.count_box.setRange(1, MOST_PICTURED)
        self.count_box.setValue(localizer.pictured)
        self.count_box.valueChanged.connect(self._on_count)
        self.progress = JobBar(localizer.jobs)
        self.warning = ui.warning_sign(16)
        self.status = ui.wrapped()
        notice = hint(Label(NOTICE))
        buttons = row(self.hits_button, self.figure_button, self.count_box, self.progress)
        ui.column(self, buttons, row(self.warning, self.status, stretch=1), notice, spacing=2, margins=None)

        self.progress.turned.connect(self._refresh)
        self.progress.said.connect(self._on_told)
        self.listen(self.context.status.told, self._on_told)
        self.listen(localizer.changed, self._refresh)
        self._refresh()
        self._on_told(*((self.progress.text, False) if self.progress.busy else self.context.status.last_told))

    def _refresh(self, *_: object) -> None:
        busy = self.localizer.jobs.busy
        for widget in (self.figure_button, self.count_box):
            widget.setVisible(not busy)
        self.figure_button.setEnabled(not busy and self.session.maps is not None)

    def _on_count(self, count: int) -> None:
        self.localizer.pictured = count

    def _on_told(self, text: str, error: bool = False) -> None:
        self.warning.setVisible(error)
        self.status.setText(text)

    def _save_figure(self) -> None:
        session = self.session
        if session.maps is None or session.image is None or session.order is None or session.model is None:
            return
        name, chosen = QFileDialog.getSaveFileName(
            self, "Save the figure", "figure.png", FIGURES, options=QFileDialog.Option.DontConfirmOverwrite
        )
        if not name:
            return
        path = Path(name)
        if path.suffix.lower() not in (".png", ".pdf", ".svg"):
            path = path.with_name(f"{path.name}.{chosen[:3].lower() or 'png'}")
        if may_replace(self, path):
            shown = session.order.latents[: self.localizer.pictured]
            findings = None if session.blind else session.findings
            work = partial(
                draw_figure, path, session.image, session.maps, session.model, session.order, findings,
                self.localizer.choice, self.localizer.pictured,
                {int(latent): session.called(int(latent)) for latent in shown},
            )  # fmt: skip
            self.localizer.jobs.start(
                f"Drawing {path.name}", work, self.context.status.tell, self.context.status.report_failure
            )

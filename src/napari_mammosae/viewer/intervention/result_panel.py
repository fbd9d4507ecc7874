"""What the edit does to the image shown: predictions, the waterfall, and the logit map."""

from typing import cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ..canvas.latent_view import chance_text, shown_logits
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, hint, row
from ..widgets.plain import Label
from .controller import Intervention
from .layers import MapKind
from .plots import WaterfallPlot

MAPS: dict[MapKind, tuple[str, str]] = {
    "none": ("no map", "No logit map over the image"),
    "before": ("before", "What all latents add to the logit at each position"),
    "after": ("after", "The same after the edit, on the same colours"),
    "difference": ("difference", "What the edit changes at each position"),
}
CONTRIBUTIONS: dict[str, tuple[str, str]] = {
    "integrated": ("integrated gradients", "Mean gradient on the way from no latent to all, times the latents"),
    "gradient": ("gradient x activation", "Gradient at the image's latents, times the latents: one backward pass"),
}
BEFORE = {"delta": "model", "replace": "with SAE"}
"""What the prediction without the edit is, in each form."""


class ResultPart(Part):
    """Probability and logit of every class before and after, and where they come from."""

    def __init__(self, intervention: Intervention) -> None:
        super().__init__(intervention.context)
        self.intervention = intervention
        self._heads: list[QLabel] = []
        self._titles: list[QLabel] = []
        self._cells: list[list[QLabel]] = []
        self.table = QWidget()
        self._grid = QGridLayout(self.table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(0, 1)
        self.class_box = ui.chooser(7, "The class that is explained below, and whose logit map is drawn")
        about = "A layer over the mammogram: red positions push the logit up, blue ones down"
        self.map_box, self.map_label = ui.chooser(None, about, MAPS), Label("Map")
        self.waterfall = WaterfallPlot()
        self.waterfall.setToolTip(
            "Terms of the logit, from the top. Hollow: edited latents. Dotted: before the edit. "
            "Click a bar to go to its latent."
        )
        self.waterfall.picked.connect(self._go_to)
        choosers = row(self.class_box, self.map_label, self.map_box)
        ui.column(self, self.table, choosers, self.waterfall, grow=self.waterfall, spacing=4).addStretch(0)
        self.class_box.activated.connect(lambda index: intervention.change(logit=index))
        self.map_box.activated.connect(self._on_map)
        self.listen(intervention.changed, self.follow)
        for event in (self.session.events.blind, self.session.events.hidden_heads, self.session.events.verdicts):
            self.listen(event, self.follow)
        self.refresh()

    def _go_to(self, latent: int) -> None:
        self.session.current = latent

    def refresh(self, *_: object) -> None:
        """Follow the intervention."""
        one, model = self.intervention, self.session.model
        view, classes = one.view, model.classes if model is not None else ()
        self.setVisible(view is not None and not self.session.blind)
        if [self.class_box.itemData(i) for i in range(self.class_box.count())] != list(classes):
            self.class_box.clear()
            titles = model.titles if model is not None else ()
            for name, title in zip(classes, titles, strict=True):
                self.class_box.addItem(title, name)
            self._build(titles)
        self.map_box.setCurrentIndex(list(MAPS).index(one.map_kind))
        if view is None or model is None or self.session.maps is None:
            self.waterfall.show_terms(())
            return
        self.class_box.setCurrentIndex(one.state.logit)
        effect = view.effect
        self._heads[1].setText(BEFORE[view.edit.form])
        shown = shown_logits(model, self.session.hidden_heads)
        for line, cells in enumerate(self._cells):
            for cell in (self._titles[line], *cells):
                cell.setVisible(line in shown)
            cells[0].setText(f"{chance_text(view.before[line])} ({effect.before[line]:+.2f})")
            cells[1].setText(f"{chance_text(view.after[line])} ({effect.after[line]:+.2f})")
            cells[0].setToolTip(
                f"The model itself: {chance_text(view.model[line])} ({self.session.maps.logits[line]:+.2f})"
            )
            changed = cells[0].text() != cells[1].text()
            font = cells[-1].font()
            if font.bold() != changed:
                font.setBold(changed)
                cells[-1].setFont(font)
        say = self.session.verdicts or (lambda _: None)
        remarks = {term.latent: say(term.latent) or "" for term in view.terms if term.latent >= 0}
        self.waterfall.show_terms(view.terms, self.session.called, remarks)
        self.class_box.setVisible(bool(view.terms) and len(classes) > 1)
        self.waterfall.setVisible(bool(view.terms))
        for widget in (self.map_label, self.map_box):
            widget.setVisible(view.effect.maps is not None)

    def _build(self, titles: tuple[str, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()  # until it is deleted
                widget.deleteLater()
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        self._heads = [Label(text) for text in ("Prediction (logit)", "", "edited")]
        for column, head in enumerate(self._heads):
            hint(head)
            if column:
                head.setAlignment(right)
            self._grid.addWidget(head, 0, column)
        self._titles, self._cells = [], []
        for line, name in enumerate(titles, start=1):
            title = Label(name)
            title.setWordWrap(True)
            self._grid.addWidget(title, line, 0)
            self._titles.append(title)
            cells = [Label(), Label()]
            for column, cell in enumerate(cells, start=1):
                cell.setAlignment(right)
                self._grid.addWidget(cell, line, column)
            self._cells.append(cells)

    def after_text(self, line: int = 0) -> str:
        """What stands in the last column of a class."""
        return str(self._cells[line][-1].text())

    def _on_map(self, index: int) -> None:
        self.intervention.map_kind = cast("MapKind", self.map_box.itemData(index))


class PassPart(Part):
    """A button, for as long as the prediction with the present edit is not known, and how far the pass is.

    The result belongs to exactly the settings it was asked for: others hide it, going back to them shows it again.
    """

    def __init__(self, intervention: Intervention) -> None:
        super().__init__(intervention.context)
        self.intervention, self.jobs = intervention, intervention.passing
        self.why = hint(ui.wrapped())
        self.compute_button = ui.button(
            "Compute the prediction",
            "Pass the image with its edited latents through the network",
            intervention.compute_pass,
        )
        self.method_box = ui.chooser(8, "How contributions are found", CONTRIBUTIONS)
        self.contribution_button = ui.button(
            "Find contributions", "Estimate by gradients what each latent adds", self._find_contributions
        )
        self.found = row(self.method_box, self.contribution_button)
        self.completeness = hint(ui.wrapped())
        self.progress = JobBar(self.jobs)
        self.status = ui.wrapped()
        ui.column(
            self, self.why, self.compute_button, self.found, self.completeness, self.progress, self.status, spacing=3
        )
        self.listen(intervention.changed, self.follow)
        self.progress.turned.connect(self.refresh)
        self.progress.said.connect(self._say)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the intervention."""
        model, busy = self.session.model, self.jobs.busy
        inner = model is not None and self.session.maps is not None and not model.linear and bool(model.classes)
        self.setVisible(inner)
        if model is not None and inner:
            self.why.setText(model.pass_note)
            found, logit = self.intervention.sources.contributions, self.intervention.state.logit
            ui.show_text(self.completeness, "" if found is None else f"{found.describe(logit)}.".capitalize())
        self.compute_button.setEnabled(not busy and self.intervention.awaited is not None)
        self.compute_button.setVisible(not busy)
        self.found.setVisible(not busy)
        self._say(self.progress.text if busy else self.intervention.pass_note)

    def _find_contributions(self) -> None:
        self.intervention.compute_contributions(self.method_box.currentData())

    def _say(self, text: str) -> None:
        ui.show_text(self.status, text)

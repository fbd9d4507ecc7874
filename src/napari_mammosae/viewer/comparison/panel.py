"""The *Compare models* dock: two runs of two models under one SAE, side by side."""

from functools import partial
from html import escape
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QFormLayout, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from ...core.base.text import counted
from ...core.comparison.models import ModelComparison
from ..app.session import HIDDEN
from ..widgets import ui
from ..widgets.parts import NOTICE, Dock, Scrolled, hint, row
from ..widgets.plain import ElidedLabel, Label
from ..widgets.table_view import ColumnTableView
from .controller import ModelComparer
from .plots import MeansPlot

NOTHING = "Choose two runs made with the same SAE, such as a pretrained and a finetuned model's."


class ComparePanel(Dock):
    """Mean activation of every latent by class for each model, latents gained and lost, the worth of predictions."""

    def __init__(self, comparer: ModelComparer) -> None:
        super().__init__(comparer.context)
        self.comparer, self.jobs = comparer, comparer.jobs
        self._drawn: ModelComparison | None = None
        self._make()
        self._lay_out()
        self.listen(comparer.changed, self.follow)
        self.listen(comparer.said, self._say)
        self.listen(self.session.events.blind, self.follow)
        self.refresh()
        self._say(comparer.text)

    def _make(self) -> None:
        self.names = [ElidedLabel("none"), ElidedLabel("none")]
        for name in self.names:
            name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.empty = ui.wrapped(NOTHING)
        tip = "Folder that `napari-mammosae run` wrote"
        self.open_buttons = [ui.button("Open…", tip, partial(self._choose, index)) for index in (0, 1)]
        self.use_button = ui.button(
            "Use open run", "Use the run that is open in this viewer as the first run", self._use_open_run
        )
        self.label_box = ui.chooser(7, "Label that both runs share")
        self.class_box = ui.chooser(7, "Class to compare with the rest")
        self.protocol_box = ui.protocol_box()
        self.plots = [MeansPlot(), MeansPlot()]
        self.facts = ui.wrapped()
        self.facts.setTextFormat(Qt.TextFormat.RichText)
        self.view = ui.tipped(ColumnTableView(self.comparer.table, one_click=True), "Click a latent to look at it")
        self.view.verticalHeader().hide()
        self.view.setMinimumHeight(120)
        self.export_button = ui.button("Export…", "Write the tables and figures into a folder", self._export)
        self.status = ui.wrapped()
        self.label_box.activated.connect(lambda: self.comparer.choose_label(self.label_box.currentText()))
        self.class_box.activated.connect(lambda: self.comparer.choose_class(self.class_box.currentData()))
        self.protocol_box.toggled.connect(lambda on: self.comparer.choose_protocol("paper" if on else None))
        self.view.entered.connect(self._go_to)

    def _lay_out(self) -> None:
        content = QWidget()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("First", row(self.names[0], self.use_button, self.open_buttons[0]))
        form.addRow("Second", row(self.names[1], self.open_buttons[1]))
        form.addRow("Label", row(self.label_box, self.class_box))
        form.addRow(self.protocol_box)
        self.form = form
        ui.column(
            content, form, self.empty, *self.plots, self.facts, self.view, grow=self.view, margins=(6, 6, 6, 6)
        ).addStretch(0)
        notice = hint(Label(NOTICE))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(content), 1)
        foot = QWidget()
        ui.column(foot, self.status, row(notice, self.export_button), margins=(6, 0, 6, 6))
        outer.addWidget(foot)

    # Choosing

    def _choose(self, index: int, _checked: bool = False) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a run")
        if folder:
            self.comparer.open(index, Path(folder))

    def _use_open_run(self) -> None:
        if self.session.run is not None:
            self.comparer.take_run(0, self.session.run)

    # Showing

    def refresh(self) -> None:
        """Follow the comparer."""
        one = self.comparer
        first, second = one.runs
        for label, run, other in ((self.names[0], first, second), (self.names[1], second, first)):
            if run is not None:
                alike = other is not None and other.path.name == run.path.name
                label.setText(f"{run.path.parent.name}/{run.path.name}" if alike else run.path.name)
                label.setToolTip(f"{run.path}: model {run.info['model']}, {counted(len(run), 'image')}")
        self.label_box.clear()
        self.label_box.addItems(one.labels)
        self.label_box.setCurrentText(one.label)
        ui.offer(self.class_box, [(name, number) for number, name in one.classes], one.category)
        with signals_blocked(self.protocol_box):
            self.protocol_box.setChecked(one.protocol is not None)
        both = None not in one.runs
        blind = self.session.blind
        self._say(one.text)
        self.empty.setText(HIDDEN if blind else NOTHING)
        self.empty.setVisible(blind or not both)
        for line in (2, 3):
            self.form.setRowVisible(line, both)
        self.export_button.setEnabled(one.comparison is not None and not blind)
        self.use_button.setEnabled(self.session.run is not None)
        widgets: tuple[QWidget, ...] = (*self.plots, self.facts, self.view)
        for widget in widgets:
            widget.setVisible(one.comparison is not None and not blind)
        if one.comparison is not None and one.comparison is not self._drawn:
            self._show(one.comparison)
        self._drawn = one.comparison

    def _show(self, comparison: ModelComparison) -> None:
        for plot, side in zip(self.plots, (comparison.a, comparison.b), strict=True):
            plot.show_side(side, comparison.label, self.class_box.currentText())
        top = max(plot.top for plot in self.plots)
        for plot in self.plots:
            plot.setYRange(0, 1.25 * top, padding=0)  # room for the number on top
        self.facts.setText(_facts(comparison))

    def _go_to(self, entry: int) -> None:
        latent = int(self.comparer.table.values["latent"][entry])
        if self.session.maps is not None and latent < self.session.maps.shape[0]:
            self.session.current = latent
        else:
            self.comparer.say(f"Latent {latent}: compute the latents of an image with this SAE to look at it.")

    def _export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Write tables and figures into a folder")
        if folder:
            self.comparer.export(Path(folder))

    def _say(self, text: str) -> None:
        ui.show_text(self.status, "" if self.session.blind else text)


def _facts(comparison: ModelComparison) -> str:
    """Separation and performance as a small table."""
    cells = [["", escape(comparison.a.name), escape(comparison.b.name)]]
    apart = comparison.separation
    for title, name, form in (
        ("live latents", "live", "{:,.0f}"),
        ("class distance", "distance", "{:.3g}"),
        ("relative distance", "relative", "{:.3f}"),
        ("cosine", "cosine", "{:.3f}"),
    ):
        cells.append([title, *(form.format(value) for value in apart[name])])
    scores = comparison.performance
    measure = "auroc" if "auroc" in scores else "accuracy"
    for kind in scores["prediction"].unique() if len(scores) else ():
        found = {row["model"]: row for row in scores[scores["prediction"] == kind].to_dict("records")}
        texts = []
        for side in (comparison.a, comparison.b):
            one = found.get(side.name)
            ends = f"<br>[{one[f'{measure}_lo']:.3f}, {one[f'{measure}_hi']:.3f}]" if one and not one["note"] else ""
            texts.append(f"{one[measure]:.3f}{ends}" if one else "")
        cells.append([f"{measure.upper() if measure == 'auroc' else measure} {kind}", *texts])
    why = [escape(f"{name}: no intervals, {note}.") for name, note in _notes(comparison).items()]
    lines = ("".join(f"<td>{cell}&nbsp;&nbsp;</td>" for cell in line) for line in cells)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" + "<br>".join(why)


def _notes(comparison: ModelComparison) -> dict[str, str]:
    """Why a model's measures have no intervals, by its name."""
    scores = comparison.performance
    return {} if not len(scores) else {r["model"]: r["note"] for r in scores.to_dict("records") if r["note"]}

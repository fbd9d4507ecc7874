"""The *Compare models* dock: two runs of two models under one SAE, side by side."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from ..app.jobs import Jobs
from ..widgets.parts import NOTICE, Dock, Scrolled, hint, row
from ..workspace import controller_of
from .plots import MeansPlot
from .table import ComparisonModel
from .tasks import classes_in_both, compared, opened, written

if TYPE_CHECKING:
    from ...core.base.progress import Progress
    from ...core.comparison.models import ModelComparison
    from ...core.runs.run import Run

NOTHING = "Choose two runs made with the same SAE, such as a pretrained and a finetuned model's."


class CompareDock(Dock):
    """Mean activation of every latent by class for each model, latents gained and lost, and what predictions are worth.

    Attributes
    ----------
    runs
        The two runs, None where none is chosen.
    comparison
        What is shown; None until there is one.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = controller_of(napari_viewer)
        self.session = self.controller.session
        self.runs: list[Run | None] = [None, None]
        self.comparison: ModelComparison | None = None
        self._undo = ExitStack()
        self.destroyed.connect(self._undo.close)
        self.jobs = Jobs()
        self._undo.callback(self.jobs.cancel)
        self._make()
        self._lay_out()
        self.session.events.run.connect(self._on_run)
        self._undo.callback(partial(self.session.events.run.disconnect, self._on_run, missing_ok=True))
        self.jobs.progressed.connect(self._on_progress)
        if self.session.run is not None:
            self._take_run(0, self.session.run)
        self._show(None)

    def cleanup(self) -> None:
        """End what runs and stop listening; destroying the widget does the same."""
        self._undo.close()

    def _make(self) -> None:
        self.names = [QElidingLabel("none"), QElidingLabel("none")]
        for name in self.names:
            name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.empty = QLabel(NOTHING)
        self.empty.setWordWrap(True)
        self.open_buttons = [QPushButton("Open…"), QPushButton("Open…")]
        self.use_button = QPushButton("The open one")
        self.use_button.setToolTip("Take the run that is open in this viewer as the first one")
        self.label_box, self.class_box = QComboBox(), QComboBox()
        for box, tip in (
            (self.label_box, "A label that both runs have"),
            (self.class_box, "The class that is set against the rest"),
        ):
            box.setToolTip(tip)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(7)
        self.plots = [MeansPlot(), MeansPlot()]
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.facts.setTextFormat(Qt.TextFormat.RichText)
        self.table, self.view = ComparisonModel(), QTableView()
        self.view.setModel(self.table)
        self.view.setSortingEnabled(True)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.view.horizontalHeader().setResizeContentsPrecision(50)  # rows that are looked at for a column's width
        self.view.setMinimumHeight(120)
        self.view.setToolTip("Click a latent to look at it")
        self.export_button, self.status = QPushButton("Export…"), QLabel()
        self.export_button.setToolTip("Write the tables and figures into a folder")
        self.status.setWordWrap(True)
        for index, button in enumerate(self.open_buttons):
            button.setToolTip("Folder that `napari-mammosae run` wrote")
            button.clicked.connect(partial(self._choose, index))
        self.use_button.clicked.connect(self._use_open_run)
        self.label_box.activated.connect(self._on_label)
        self.class_box.activated.connect(self._compare)
        self.view.clicked.connect(lambda index: self._go_to(index.row()))
        self.export_button.clicked.connect(self._export)

    def _lay_out(self) -> None:
        content = QWidget()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("First", row(self.names[0], self.use_button, self.open_buttons[0]))
        form.addRow("Second", row(self.names[1], self.open_buttons[1]))
        form.addRow("Label", row(self.label_box, self.class_box))
        self.form = form
        layout = QVBoxLayout(content)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(form)
        layout.addWidget(self.empty)
        for plot in self.plots:
            layout.addWidget(plot)
        layout.addWidget(self.facts)
        layout.addWidget(self.view, 1)
        layout.addStretch(0)
        notice = hint(QLabel(NOTICE))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(content), 1)
        foot = QWidget()
        below = QVBoxLayout(foot)
        below.setContentsMargins(6, 0, 6, 6)
        below.addWidget(self.status)
        below.addWidget(row(notice, self.export_button))
        outer.addWidget(foot)

    # Choosing

    def open(self, index: int, path: Path) -> None:
        """Take the run in a folder as the first (0) or second (1) one."""
        self.jobs.start(f"Opening {path.name}", partial(opened, path), partial(self._take_run, index), self._failed)

    def _choose(self, index: int, _checked: bool = False) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a run")
        if folder:
            self.open(index, Path(folder))

    def _use_open_run(self) -> None:
        if self.session.run is not None:
            self._take_run(0, self.session.run)

    def _on_run(self, run: Any) -> None:
        self.use_button.setEnabled(run is not None)
        if run is not None and self.runs[0] is None:
            self._take_run(0, run)

    def _take_run(self, index: int, run: Run) -> None:
        self.runs[index] = run
        self.names[index].setToolTip(f"{run.path}: model {run.info['model']}, {len(run):,} images")
        self._show(None)
        self._say("")
        first, second = self.runs
        for label, one, other in ((self.names[0], first, second), (self.names[1], second, first)):
            if one is not None:
                alike = other is not None and other.path.name == one.path.name
                label.setText(f"{one.path.parent.name}/{one.path.name}" if alike else one.path.name)
        if first is None or second is None:
            return
        chosen = self.label_box.currentText()
        self.label_box.clear()
        self.label_box.addItems([name for name in first.labels if name in second.labels])
        if not self.label_box.count():
            self._say("The runs have no label in common.")
            return
        self.label_box.setCurrentIndex(max(self.label_box.findText(chosen), 0))
        self._on_label()

    def _on_label(self, *_: object) -> None:
        first, second = self.runs
        assert first is not None
        assert second is not None
        self.class_box.clear()
        for number, name in classes_in_both(first, second, self.label_box.currentText()):
            self.class_box.addItem(name, number)
        self._compare()

    def _compare(self, *_: object) -> None:
        first, second = self.runs
        number = self.class_box.currentData()
        if first is None or second is None or number is None:
            self._say("The label has no class in common in the two runs.")
            return
        work = partial(compared, first, second, self.label_box.currentText(), number)
        self.jobs.start("Comparing", work, self._show, self._failed)

    # Showing

    def _show(self, comparison: ModelComparison | None) -> None:
        self.comparison = comparison
        for widget in (*self.plots, self.facts, self.view):
            widget.setVisible(comparison is not None)
        both = None not in self.runs
        self.empty.setVisible(not both)
        self.form.setRowVisible(2, both)
        self.export_button.setEnabled(comparison is not None)
        self.use_button.setEnabled(self.session.run is not None)
        if comparison is None:
            return
        for plot, side in zip(self.plots, (comparison.a, comparison.b), strict=True):
            plot.show_side(side, comparison.label, self.class_box.currentText())
        top = max(plot.top for plot in self.plots)
        for plot in self.plots:
            plot.setYRange(0, 1.25 * top, padding=0)  # room for the number on top
        self.facts.setText(_facts(comparison))
        self.view.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # by size of the change
        self.table.show(comparison.latents)
        self.view.resizeColumnsToContents()
        counts = comparison.latents["state"].value_counts()
        self._say(f"{counts.get('gained', 0):,} latents gained, {counts.get('lost', 0):,} lost.")

    def _go_to(self, line: int) -> None:
        latent = self.table.latent(line)
        if self.session.maps is not None and latent < self.session.maps.shape[0]:
            self.session.current = latent
        else:
            self._say(f"Latent {latent}: compute the latents of an image with this SAE to look at it.")

    def export(self, folder: Path) -> None:
        """Write tables and figures while the window goes on; the same files as the command `compare`."""
        first, second = self.runs
        assert self.comparison is not None
        assert first is not None
        assert second is not None
        work = partial(written, self.comparison, folder, (first, second), self.label_box.currentText())
        self.jobs.start(f"Writing into {folder.name}", work, self._written, self._not_written)

    def _written(self, paths: list[Path]) -> None:
        self._say(f"Wrote {', '.join(path.name for path in paths)}")

    def _not_written(self, error: Exception) -> None:
        self._say(str(error))

    def _export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Write tables and figures into a folder")
        if folder:
            self.export(Path(folder))

    def _failed(self, error: Exception) -> None:
        self._show(None)
        text = str(error)
        self._say(text[:1].upper() + text[1:])

    def _on_progress(self, progress: Progress) -> None:
        self._say(f"{progress.text} …")

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))


def _facts(comparison: ModelComparison) -> str:
    """Separation and performance as a small table."""
    cells = [["", comparison.a.name, comparison.b.name]]
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
    why = [f"{name}: no intervals, {note}." for name, note in _notes(comparison).items()]
    lines = ("".join(f"<td>{cell}&nbsp;&nbsp;</td>" for cell in line) for line in cells)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" + "<br>".join(why)


def _notes(comparison: ModelComparison) -> dict[str, str]:
    """Why a model's measures have no intervals, by its name."""
    scores = comparison.performance
    return {} if not len(scores) else {r["model"]: r["note"] for r in scores.to_dict("records") if r["note"]}

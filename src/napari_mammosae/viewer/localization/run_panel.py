"""The current latent over the open run: measures with intervals, precision-recall and FROC curves."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QFileDialog, QGridLayout, QVBoxLayout
from superqt.utils import signals_blocked

from ...core.base.text import counted, readable, sentence
from ..runs.opener import RunOpener
from ..widgets import ui
from ..widgets.job_bar import JobBar
from ..widgets.parts import Part, row
from .over_run import NO_RUN, RunMeasures
from .plots import DetectionCurvePlot, MeasuresPlot

if TYPE_CHECKING:
    from ...core.localization.over_run import LatentOverRun

BARS = {
    "ap": "AP",
    "precision": "Precision",
    "recall": "Recall",
    "mean_best_iou": "Best IoU",
    "pointing": "Pointing",
    "energy": "Energy in box",
}
NUMBERS = {"ap": "AP", "precision_x_recall": "precision × recall", "lift": "lift", "pointing": "pointing"}


class RunMeasuresPart(Part):
    """Measure the latent over the run; the result stays until something it depends on changes."""

    def __init__(self, measures: RunMeasures, opener: RunOpener) -> None:
        super().__init__(measures.context)
        self.measures, self.opener = measures, opener
        self.note = ui.wrapped()
        self.open_button = ui.button("Open a run…", "Folder that `napari-mammosae run` wrote, with --maps", self._open)
        self.protocol_box = ui.protocol_box()
        self.measure_button = ui.button("Measure over the run", clicked=self.measures.measure)
        self.progress = JobBar(measures.jobs, opener.jobs)
        self.numbers = ui.wrapped()
        self.bars = ui.tipped(MeasuresPlot(), "Bar: the measure over the run; line: its 95 % interval by patient")
        self.curve = DetectionCurvePlot("recall", "precision")
        self.froc = DetectionCurvePlot("false positives / image", "sensitivity")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.note)
        layout.addWidget(row(self.measure_button, self.open_button))
        layout.addWidget(self.protocol_box)
        layout.addWidget(self.progress)
        layout.addWidget(self.numbers)
        layout.addWidget(self.bars, 1)
        curves = QGridLayout()
        curves.addWidget(self.curve, 0, 0)
        curves.addWidget(self.froc, 0, 1)
        layout.addLayout(curves, 1)
        layout.addStretch(0)  # keeps the rest at the top while there is no plot

        self.protocol_box.toggled.connect(self._take_protocol)
        self.listen(self.measures.changed, self.follow)
        self.progress.turned.connect(self.refresh)
        self.progress.said.connect(self.note.setText)
        self.refresh()
        self.note.setText(self.progress.text or self.note.text())

    def refresh(self, *_: object) -> None:
        """Show the result, or why there is none."""
        measures, result = self.measures, self.measures.result
        busy = self.progress.busy
        with signals_blocked(self.protocol_box):
            self.protocol_box.setChecked(measures.choice.protocol is not None)
        self.open_button.setVisible(measures.obstacle == NO_RUN)
        self.open_button.setEnabled(not busy)
        self.protocol_box.setVisible(measures.obstacle != NO_RUN)
        self.measure_button.setVisible(measures.obstacle != NO_RUN)
        self.measure_button.setEnabled(not busy and not measures.obstacle and result is None)
        for plot in (self.bars, self.curve, self.froc, self.numbers):
            plot.setVisible(result is not None)
        if result is None:
            what = measures.obstacle or f"Latent {self.session.current} was not measured with these settings yet."
            told, failed = self.opener.line.last_told
            self.note.setText(told if failed and measures.obstacle == NO_RUN else what)
            return
        self.note.setText(_title(result))
        self.numbers.setText(_numbers(result))
        self.bars.show_measures([(title, *_value(result, key)) for key, title in BARS.items()])
        self.curve.show_precision_recall(result.curve)
        self.froc.show_froc(result.froc)
        self.froc.setVisible(result.froc is not None)

    def _take_protocol(self, on: bool) -> None:
        localizer = self.measures.localizer
        localizer.choice = replace(localizer.choice, protocol="paper" if on else None)

    def _open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a run")
        if name:
            self.opener.open(Path(name))


def _title(result: "LatentOverRun") -> str:
    found = f"Latent {result.latent}, {readable(result.finding)}"
    boxes, images = int(result.row["boxes"]), int(result.row["images"])
    notes = (
        f"{found}: {counted(boxes, 'box', 'boxes')} on {counted(images, 'image')}",
        str(result.used),
        *result.notes,
    )
    return " ".join(map(sentence, notes))


def _numbers(result: "LatentOverRun") -> str:
    parts = []
    for key, title in NUMBERS.items():
        value, low, high = _value(result, key)
        if np.isfinite(value):
            interval = f" ({low:.2f} to {high:.2f})" if np.isfinite([low, high]).all() else ""
            parts.append(f"{title} {value:.3f}{interval}")
    return ", ".join(parts)


def _value(result: "LatentOverRun", key: str) -> tuple[float, float, float]:
    row = result.row
    return float(row[key]), float(row.get(f"{key}_lo", np.nan)), float(row.get(f"{key}_hi", np.nan))

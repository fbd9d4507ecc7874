"""How boxes are made and compared: finding, threshold with its histogram, least area, confidence, IoU."""

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QSlider
from superqt.utils import signals_blocked

from ...core.annotations.image_boxes import ALL_FINDINGS
from ...core.base.text import readable
from ..widgets import ui
from ..widgets.parts import Part, row
from .controller import Localizer
from .plots import ThresholdPlot
from .result import Confidence, Localization, ThresholdKind
from .set_panel import TogetherPart

STEPS = 1000
_DEFAULTS: dict[ThresholdKind, float] = {"quantile": 0.95, "relative": 0.3, "absolute": 0.0}
_KIND_TIPS: dict[ThresholdKind, str] = {
    "quantile": "Share of the heatmap's pixels below the threshold (0.95 in the paper)",
    "relative": "Share of the heatmap's maximum (0.3 in the released code)",
    "absolute": "An activation, the same for every image",
}
_CONFIDENCE_TIPS: dict[Confidence, str] = {
    "maximum": "Largest activation inside the region",
    "mean": "Mean activation inside the region",
    "energy": "Sum of the activation inside the region",
}


class ChoicePart(Part):
    """The choices, and the heatmap's histogram with the threshold in it."""

    def __init__(self, localizer: Localizer) -> None:
        super().__init__(localizer.context)
        self.localizer = localizer
        self.finding_box = ui.chooser(8, "Which annotated boxes count")
        self.drawn_box = QCheckBox("Draw the boxes")
        self.drawn_box.setToolTip("Draw the boxes found for the current latent, and those it missed, over the image")
        about = "Confidence: how found boxes are ranked, also when several overlap one annotated box"
        self.kind_box = ui.chooser(None, choices={kind: (kind, tip) for kind, tip in _KIND_TIPS.items()})
        self.confidence_box = ui.chooser(6, about, {rule: (rule, tip) for rule, tip in _CONFIDENCE_TIPS.items()})
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("The mask is everything strictly above the threshold")
        self.slider.setRange(0, STEPS)
        self.value_box = ui.number_box(0, 1, 0.01)
        self.iou_box = ui.number_box(0.01, 1, 0.05, 2, "Smallest overlap (intersection over union) of a true positive")
        about = "Smallest height × width of a found box, in pixels of the model's input"
        self.area_box = ui.number_box(0, 1e6, 10, 0, about)
        self.plot, self.together = ThresholdPlot(), TogetherPart(localizer)
        for box, sample in ((self.value_box, "0.0000"), (self.iou_box, "0.00"), (self.area_box, "0000")):
            box.setFixedWidth(self.fontMetrics().horizontalAdvance(sample) + 62)  # room for the theme's buttons

        form = ui.form(self, 3)
        form.addRow("Finding", self.finding_box)
        form.addRow("Heatmap", self.together)
        form.addRow("Threshold", row(self.kind_box, self.value_box))
        form.addRow(self.plot)
        form.addRow(self.slider)
        least = QLabel("px² ≥")
        least.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        form.addRow("IoU ≥", row(self.iou_box, least, self.area_box, stretch=1))
        form.addRow("Rank by", row(self.confidence_box, self.drawn_box))

        self.finding_box.activated.connect(lambda index: self._choose(finding=self.finding_box.itemData(index)))
        self.drawn_box.toggled.connect(self._take_drawn)
        self.kind_box.activated.connect(self._take_kind)
        self.slider.valueChanged.connect(lambda step: self._choose(value=step / STEPS * self._top))
        self.value_box.valueChanged.connect(lambda value: self._choose(value=value))
        self.plot.dragged.connect(self._take_level)
        self.confidence_box.activated.connect(self._take_rule)
        self.iou_box.valueChanged.connect(self._take_rule)
        self.area_box.valueChanged.connect(self._take_rule)
        self.listen(localizer.chosen, self.refresh)
        self.listen(localizer.toggled, self.refresh)
        self.listen(localizer.changed, self._on_changed)
        self.listen(self.session.events.findings, self._list_findings)
        self._list_findings()
        self._on_changed(localizer.current)

    def refresh(self, *_: object) -> None:
        """Follow the choice."""
        choice = self.localizer.choice
        widgets = (self.kind_box, self.slider, self.value_box, self.confidence_box, self.iou_box, self.area_box,
                   self.drawn_box, self.finding_box)  # fmt: skip
        with signals_blocked(*widgets):
            self.kind_box.setCurrentText(choice.kind)
            for widget in (self.kind_box, self.value_box):
                widget.setToolTip(_KIND_TIPS[choice.kind])
            top = self._top
            self.value_box.setRange(0.0, 1.0 if choice.kind != "absolute" else 1e9)
            self.value_box.setDecimals(4 if choice.kind == "quantile" else 3)
            self.value_box.setSingleStep(0.01 * top if top else 0.01)
            self.value_box.setValue(choice.value)
            self.slider.setValue(round(STEPS * min(choice.value / top, 1.0)) if top else 0)
            self.confidence_box.setCurrentText(choice.confidence)
            self.iou_box.setValue(choice.iou)
            self.area_box.setValue(choice.min_area)
            self.drawn_box.setChecked(self.localizer.drawn)
            self.finding_box.setCurrentIndex(max(self.finding_box.findData(choice.finding), 0))

    @property
    def _top(self) -> float:
        """What the slider's right end stands for."""
        current = self.localizer.current
        if self.localizer.choice.kind != "absolute":
            return 1.0
        return current.scope.values.maximum if current is not None else 0.0

    def _choose(self, **changes: Any) -> None:
        self.localizer.choice = replace(self.localizer.choice, **changes)

    def _take_drawn(self, drawn: bool) -> None:
        self.localizer.drawn = drawn

    def _take_kind(self, index: int) -> None:
        """Another way to say where the threshold is: the boxes stay, as nearly as can be."""
        kind: ThresholdKind = self.kind_box.itemData(index)
        if kind == self.localizer.choice.kind:
            return
        current, value = self.localizer.current, _DEFAULTS[kind]
        if current is not None and np.isfinite(level := current.level):
            value = current.scope.values.threshold_at(level, kind).value
        self._choose(kind=kind, value=value)

    def _take_level(self, level: float) -> None:
        current = self.localizer.current
        if current is not None:
            kind = self.localizer.choice.kind
            self._choose(value=current.scope.values.threshold_at(level, kind).value)

    def _take_rule(self, *_: object) -> None:
        rule = self.confidence_box.currentData()
        self._choose(confidence=rule, iou=self.iou_box.value(), min_area=self.area_box.value())

    def _on_changed(self, current: Localization | None) -> None:
        combined = current.scope.combined if current is not None else None
        name = "weighted sum" if combined is not None and combined.how == "logit" else "activation"
        self.plot.show_values(current.scope.values if current is not None else None, name)
        if current is not None:
            self.plot.show_level(current.level)
        self.refresh()

    def _list_findings(self, *_: object) -> None:
        findings = self.session.findings
        with signals_blocked(self.finding_box):
            named = [(readable(name), name) for name in (findings.names if findings is not None else ())]
            ui.offer(self.finding_box, [("all findings", ALL_FINDINGS), *named], self.localizer.choice.finding)
        self.refresh()

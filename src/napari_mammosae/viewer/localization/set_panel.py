"""Whose heatmap is cut: the current latent's, or that of several together."""

from dataclasses import replace
from typing import Any, get_args

from qtpy.QtWidgets import QHBoxLayout, QSpinBox
from superqt.utils import signals_blocked

from ..widgets import ui
from ..widgets.parts import Part
from .controller import Localizer
from .latent_set import MOST, Source, Together, no_class_map

SOURCES: dict[Source, tuple[str, str]] = {
    "current": ("current latent", "The heatmap of the latent shown"),
    "pins": ("pinned", "The pinned latents as one heatmap"),
    "first": ("the first", "The first latents of the stack's order as one heatmap"),
    "lesion": ("marked lesion", "The latents you marked lesion as one heatmap"),
    "anatomy": ("marked anatomy", "The latents you marked anatomy as one heatmap"),
    "spurious": ("marked spurious", "The latents you marked spurious as one heatmap"),
}
WAYS = {
    "maximum": ("maximum", "The largest activation at each position; strong latents dominate"),
    "union": ("union", "Each latent is thresholded separately and the masks are joined, so weak latents count too"),
    "logit": ("CAM", "Class activation map of these latents: their sum, weighted by what each adds to the "
              "logit. Of the finding's class, else of the likeliest one; only its positive part is thresholded"),
}  # fmt: skip


class TogetherPart(Part):
    """The choice as one row."""

    def __init__(self, localizer: Localizer) -> None:
        super().__init__(localizer.context)
        self.localizer = localizer
        self.source_box = ui.chooser(7, "Heatmap to threshold: the latent shown, or several combined", SOURCES)
        self.how_box = ui.chooser(6, "How several heatmaps are combined", WAYS)
        self.count_box = ui.tipped(QSpinBox(), "Number of latents, from the top of the stack")
        self.count_box.setRange(1, MOST)
        self.count_box.setKeyboardTracking(False)
        self.count_box.setFixedWidth(self.fontMetrics().horizontalAdvance("00") + 62)  # room for the theme's buttons
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.source_box, 1)
        layout.addWidget(self.count_box)
        layout.addWidget(self.how_box, 1)
        self.source_box.activated.connect(self._take)
        self.how_box.activated.connect(self._take)
        self.count_box.valueChanged.connect(self._take)
        self._shown: Together | None = None
        events = self.session.events
        self.listen(localizer.chosen, self._on_chosen)
        for event in (events.pins, events.verdicts, events.model):
            self.listen(event, self.refresh)
        self.refresh()

    def _on_chosen(self, *_: object) -> None:
        """The threshold moves often: nothing here depends on it."""
        if self.localizer.together != self._shown:
            self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the choice, and say how many latents each set has."""
        choice, model = self.localizer.together, self.session.model
        self._shown = choice
        verdicts = list(self.localizer.verdicts().values())
        sizes = {name: verdicts.count(name) for name in ("lesion", "anatomy", "spurious")}
        sizes["pins"] = len(self.session.pins)
        for at, name in enumerate(get_args(Source)):
            size = sizes.get(name)
            title = SOURCES[name][0]
            self.source_box.setItemText(at, f"{title} ({size})" if size else title)
            self._allow(self.source_box, at, size != 0 or choice.source == name)
        self._allow(self.how_box, self.how_box.findData("logit"), model is None or not no_class_map(model))
        with signals_blocked(self.source_box, self.how_box, self.count_box):
            self.source_box.setCurrentIndex(self.source_box.findData(choice.source))
            self.how_box.setCurrentIndex(self.how_box.findData(choice.how))
            self.count_box.setValue(choice.count)
        self.how_box.setVisible(not choice.is_alone)
        self.count_box.setVisible(choice.source == "first")

    def _take(self, *_: object) -> None:
        self.localizer.together = replace(
            self.localizer.together,
            source=self.source_box.currentData(),
            how=self.how_box.currentData(),
            count=self.count_box.value(),
        )

    @staticmethod
    def _allow(box: Any, at: int, allowed: bool) -> None:
        box.model().item(at).setEnabled(allowed)

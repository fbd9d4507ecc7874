"""The current latent: its number, its colour scale, pins; and the prediction of the image."""

from typing import TYPE_CHECKING, cast, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGridLayout, QSpinBox
from superqt.utils import signals_blocked

from ....core.models.disagreement import disagreements
from ...app.keymap import tooltip
from ...app.preferences import remember
from ...app.session import MOST_PINS, ContrastMode
from ...canvas.actions import CONTRAST_TITLES, CanvasActions
from ...canvas.colors import COLORMAPS
from ...canvas.latent_view import chance_text, predictions, resolve
from ...context import Context
from ...widgets import ui
from ...widgets.parts import Part, row
from ...widgets.plain import Label

if TYPE_CHECKING:
    from ....core.models.facts import ModelFacts
    from ....core.models.latents import LatentMaps


class PredictionPart(Part):
    """Probability and logit of every class, without and with the SAE in the path."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        self._lines: list[list[Label]] = []
        self.listen(self.session.events.maps, self.refresh)
        self.listen(self.session.events.hidden_heads, self.refresh)
        self.listen(self.session.events.blind, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the prediction of the image, or nothing while there is none, and to a blind judge."""
        model, maps = self.session.model, self.session.maps
        hidden = self.session.blind or model is None or maps is None or not model.classes
        self.setVisible(not hidden)
        said = [] if hidden or model is None or maps is None else self._said(model, maps)
        same = 0  # lines of as many labels as before: new ones take long
        while same < min(len(said), len(self._lines)) and len(said[same]) == len(self._lines[same]):
            same += 1
        for label in (label for line in self._lines[same:] for label in line):
            label.hide()  # until it is deleted
            label.deleteLater()
        self._lines = self._lines[:same] + [self._new(line, len(said[line])) for line in range(same, len(said))]
        for labels, texts in zip(self._lines, said, strict=True):
            for label, text in zip(labels, texts, strict=True):
                label.setText(text)

    def _said(self, model: "ModelFacts", maps: "LatentMaps") -> list[tuple[str, ...]]:
        lines: list[tuple[str, ...]] = [("Prediction (logit)", "model", "with SAE")]
        for p in predictions(model, maps, self.session.hidden_heads):
            plain = f"{chance_text(p.probability)} ({p.logit:+.2f})"
            lines.append((p.name, plain, f"{chance_text(p.probability_sae)} ({p.logit_sae:+.2f})"))
        return lines + [(text,) for text in (*disagreements(model, maps), maps.scale_alarm) if text]

    def _new(self, line: int, count: int) -> list[Label]:
        """Make the labels of a line of the grid; one that stands alone takes all of it."""
        labels = [Label() for _ in range(count)]
        for column, label in enumerate(labels):
            if column:
                label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            else:
                label.setWordWrap(True)
            self._grid.addWidget(label, line, column, 1, -1 if count == 1 else 1)
        return labels


class LatentPart(Part):
    """Go to a latent by number, choose its colours, pin it."""

    def __init__(self, context: Context, actions: CanvasActions) -> None:
        super().__init__(context)
        self.actions = actions
        self.latent_box = ui.tipped(QSpinBox(), "Number of the latent shown; type one to go there")
        self.latent_box.setKeyboardTracking(False)
        self.rank_label = Label()
        self.pin_button = ui.button(
            "Pin",
            tooltip(f"Keep this latent as a layer of its own, at most {MOST_PINS}", "toggle_pin"),
            actions.toggle_pin,
        )
        self.unpin_button = ui.button("Unpin all", clicked=self._unpin)
        self.pins_label = ui.wrapped()
        self.pins = row(self.pins_label, self.unpin_button)
        self.contrast_box = ui.chooser(
            9, tooltip("Value shown in full colour; the maximum is always printed", "next_contrast")
        )
        self.contrast_box.addItems([CONTRAST_TITLES[mode] for mode in get_args(ContrastMode)])
        self.low_box, self.high_box = (ui.number_box(0, 1e6, 0.1, 3) for _ in range(2))
        self.limits = row(Label("from"), self.low_box, Label("to"), self.high_box, stretch=1)
        self.colormap_box = QComboBox()
        self.colormap_box.addItems(COLORMAPS)
        self.colormap_box.setCurrentText(context.scene.colormap)
        self.show_button = ui.button(
            "Show the latents again",
            "The latents layer was deleted. Show it again without recomputing.",
            context.scene.show_stack,
        )

        form = ui.form(self)
        form.addRow(self.show_button)
        form.addRow("Latent", row(self.latent_box, self.rank_label, self.pin_button))
        form.addRow("Colours", row(self.contrast_box, self.colormap_box))
        form.addRow(self.limits)
        form.addRow(self.pins)

        self.latent_box.valueChanged.connect(self._go_to)
        self.contrast_box.activated.connect(self._choose_contrast)
        self.low_box.valueChanged.connect(self._take_limits)
        self.high_box.valueChanged.connect(self._take_limits)
        self.colormap_box.textActivated.connect(self._choose_colormap)
        events = self.session.events
        for event in (events.maps, events.order, events.current, events.pins, events.contrast, events.blind):
            self.listen(event, self.refresh)
        viewer = context.scene.viewer
        if viewer is not None:
            self.listen(viewer.layers.events.inserted, self.refresh)
            self.listen(viewer.layers.events.removed, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the session."""
        session, view = self.session, resolve(self.session)
        self.setEnabled(view is not None)
        self.show_button.setVisible(view is not None and self.context.scene.stack_layer is None)
        self.pins.setVisible(bool(session.pins))
        self.pins_label.setText(f"Pinned: {', '.join(map(str, session.pins))}")
        self.contrast_box.setCurrentIndex(get_args(ContrastMode).index(session.contrast))
        self.limits.setVisible(session.contrast == "manual")
        if view is None or session.maps is None:
            self.rank_label.setText("")
            return
        for box, value in (
            (self.latent_box, view.latent),
            (self.low_box, session.manual_limits[0]),
            (self.high_box, session.manual_limits[1]),
        ):
            with signals_blocked(box):
                if box is self.latent_box:
                    box.setRange(0, session.maps.shape[0] - 1)
                box.setValue(value)
        self.rank_label.setText("" if session.blind else f"rank {view.rank + 1:,}")
        self.pin_button.setText("Unpin" if view.latent in session.pins else "Pin")

    def _go_to(self, latent: int) -> None:
        self.session.current = latent

    def _unpin(self) -> None:
        self.session.pins = ()

    def _choose_contrast(self, index: int) -> None:
        mode = cast("ContrastMode", get_args(ContrastMode)[index])
        self.actions.set_contrast(mode)
        remember("display", contrast=mode)

    def _choose_colormap(self, name: str) -> None:
        self.context.scene.set_colormap(name)
        remember("display", colormap=name)

    def _take_limits(self) -> None:
        self.session.manual_limits = self.low_box.value(), self.high_box.value()

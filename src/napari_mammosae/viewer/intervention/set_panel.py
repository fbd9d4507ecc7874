"""Which latents are edited, and how."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QPushButton, QToolButton, QWidget
from superqt.utils import signals_blocked

from ...core.base.errors import MammoSAEError
from ..app.keymap import tooltip
from ..image.controller import ImageController
from ..widgets import ui
from ..widgets.banner import Banner
from ..widgets.log_slider import KSlider
from ..widgets.parts import Part, row
from .controller import Intervention
from .layers import BANNER
from .result import summary
from .state import RANKED

SWITCH = "Without my spurious latents"
INNER_SOURCES = {
    "image": ("most active here", "The k of highest mean activation on this image"),
    "region": ("most active in region", "The k of highest activation inside the drawn region"),
}
"""Where what follows the SAE is not linear, and no contributions were found."""
ESTIMATED_SOURCES = INNER_SOURCES | {
    "image": ("strongest here", "The k whose contributions to this prediction, by gradients, are largest")
}
FLIP = "Find the fewest latents without which the decision for the class changes"
NO_FLIP = "Not available here: what follows the SAE is not linear"
SOURCES = {
    "run": ("best of the run", "The best k of the open run's ranking"),
    "image": ("strongest here", "The k that add most to the prediction of this image"),
    "region": ("strongest in region", "The k that add most inside the drawn region"),
    "spurious": ("spurious", "All latents marked spurious"),
    "pins": ("pinned", "The pinned latents"),
    "current": ("the current one", "The latent shown"),
    "list": ("list", "Latents by number, such as 3, 17, 40-44"),
}
DIRECTIONS = {
    "both": ("both ways", "In either direction; over a run, the union of the best k of every class"),
    "up": ("for", "Latents that support the class"),
    "down": ("against", "Latents that oppose the class"),
}
MODES = {
    "zero": ("remove", "The set's latents are set to zero"),
    "keep": ("keep only", "All other latents are set to zero"),
    "scale": ("scale by", "The set's latents are multiplied by a factor"),
}
FORMS = {
    "replace": ("reconstruction", "replace: the SAE's reconstruction takes the features' place, as published"),
    "delta": ("keep SAE error", "delta: add the change to the features, so that the SAE error is kept"),
}


class SetPart(Part):
    """The banner, the one switch, the set, and undo."""

    def __init__(self, intervention: Intervention, images: ImageController) -> None:
        super().__init__(intervention.context)
        self.intervention, self.images = intervention, images
        self._make()
        self._lay_out()
        self._connect()
        self.refresh()

    def _make(self) -> None:
        self.banner = Banner()
        self.switch = QCheckBox(SWITCH)
        self.switch.setToolTip(tooltip("Predict as if the latents marked spurious did not fire", "toggle_spurious"))
        self.undo_button, self.redo_button = QToolButton(), QToolButton()
        for button, text, tip in (
            (self.undo_button, "↶", "Undo (Ctrl+Z in this dock)"),
            (self.redo_button, "↷", "Redo (Ctrl+Shift+Z in this dock)"),
        ):
            button.setText(text)
            button.setToolTip(tip)
        self.mode_box, self.form_box = ui.chooser(6, choices=MODES), ui.chooser(11, choices=FORMS)
        self.source_box, self.direction_box = ui.chooser(8, choices=SOURCES), ui.chooser(7, choices=DIRECTIONS)
        self._boxes = {
            "mode": self.mode_box, "form": self.form_box, "source": self.source_box, "direction": self.direction_box,
        }  # fmt: skip
        self.factor_box = ui.tipped(QDoubleSpinBox(), "What the set's latents are multiplied by")
        self.factor_box.setRange(0, 100)
        self.factor_box.setSingleStep(0.1)
        self.list_edit = ui.tipped(QLineEdit(), "Numbers of latents, ranges allowed; Enter applies")
        self.list_edit.setPlaceholderText("3, 17, 40-44")
        self.k_slider = KSlider()
        self.region_check = QCheckBox("only inside the drawn region")
        self.region_check.setToolTip("Edit only the cells of the region drawn in the Latents dock")
        self.flip_button, self.reset_button = QPushButton("Smallest flip"), QPushButton("Reset")
        self.reset_button.setToolTip("Remove the edit (can be undone)")
        self.compute_button = ui.button(
            "Compute latents", "Load the chosen model and compute the latents of the image shown"
        )
        self.note = ui.wrapped()

    def _lay_out(self) -> None:
        self.panel = QWidget()
        self._form = form = ui.form(self.panel, 3)
        form.addRow("Edit", row(self.mode_box, self.form_box))
        form.addRow("Latents", row(self.source_box, self.direction_box))
        for name, widget in (("k", self.k_slider), ("Numbers", self.list_edit), ("Factor", self.factor_box)):
            form.addRow(name, widget)
        form.addRow(self.region_check)
        top = row(self.switch, self.undo_button, self.redo_button)
        ui.column(
            self, top, self.panel, row(self.flip_button, self.reset_button), self.note, self.compute_button, spacing=4
        )

    def _connect(self) -> None:
        change = self.intervention.change
        self.switch.clicked.connect(self._on_switch)
        self.undo_button.clicked.connect(self.intervention.undo)
        self.redo_button.clicked.connect(self.intervention.redo)
        for name, box in self._boxes.items():
            box.activated.connect(lambda _, box=box, name=name: change(**{name: box.currentData()}))
        self.factor_box.valueChanged.connect(lambda value: change(factor=value))
        self.list_edit.editingFinished.connect(self._on_list)
        self.k_slider.moved.connect(lambda k: change(k=k))
        self.k_slider.released.connect(self.intervention.settle)
        self.region_check.clicked.connect(lambda on: change(inside_region=on))
        self.flip_button.clicked.connect(self._on_flip)
        self.reset_button.clicked.connect(self.intervention.reset)
        self.compute_button.clicked.connect(self.images.compute)
        self.listen(self.intervention.changed, self.follow)
        self.listen(self.session.events.run, self.follow)

    def refresh(self, *_: object) -> None:
        """Follow the intervention."""
        one, state, model = self.intervention, self.intervention.state, self.session.model
        known = model is not None and self.session.maps is not None
        inner = model is not None and not model.linear
        for widget in (self.switch, self.flip_button, self.reset_button):
            widget.setEnabled(known and not (inner and widget is self.flip_button))
        self.flip_button.setToolTip(NO_FLIP if inner else FLIP)
        estimated = inner and one.sources.contributions is not None
        self._name_sources(ESTIMATED_SOURCES if estimated else INNER_SOURCES if inner else SOURCES)
        self.compute_button.setVisible(not known)
        self.switch.setChecked(state.without_spurious)
        spurious = len(one.sources.spurious) if model is not None else 0
        self.switch.setText(f"{SWITCH} ({spurious})" if spurious else SWITCH)
        self.panel.setEnabled(known and not state.without_spurious)
        for name, box in self._boxes.items():
            box.setCurrentIndex(box.findData(getattr(state, name)))
            box.setToolTip(box.itemData(box.currentIndex(), Qt.ItemDataRole.ToolTipRole))
        drawn = one.sources.region_layer is not None
        for source, there in (("run", self.session.run is not None), ("region", drawn)):
            self.source_box.model().item(self.source_box.findData(source)).setEnabled(there)
        ranked = state.source in RANKED
        signed = not inner or state.source == "run" or (estimated and state.source == "image")
        self.direction_box.setVisible(ranked and signed)
        self._form.setRowVisible(self.k_slider, ranked)
        self._form.setRowVisible(self.list_edit, state.source == "list")
        self._form.setRowVisible(self.factor_box, state.mode == "scale")
        with signals_blocked(self.factor_box):
            self.factor_box.setValue(state.factor)
        if not self.list_edit.hasFocus():
            self.list_edit.setText(state.numbers)
        if model is not None:
            self.k_slider.set_most(model.n_latents)
            self.k_slider.show_k(state.k)
        self.region_check.setChecked(state.inside_region)
        self.region_check.setEnabled(drawn or state.inside_region)
        self.undo_button.setEnabled(one.can_undo)
        self.redo_button.setEnabled(one.can_redo)
        self.note.setText(one.remark or self._note())
        self.banner.show_text(f"{BANNER}: {summary(state, one.view)}." if one.is_on and one.view else "")

    def _name_sources(self, names: dict[str, tuple[str, str]]) -> None:
        for key in INNER_SOURCES:
            at = self.source_box.findData(key)
            if self.source_box.itemText(at) != names[key][0]:
                self.source_box.setItemText(at, names[key][0])
                self.source_box.setItemData(at, names[key][1], Qt.ItemDataRole.ToolTipRole)

    def _note(self) -> str:
        one = self.intervention
        if self.session.model is None or self.session.maps is None:
            what = (
                "These latents come from the run. Compute them"
                if self.session.maps is not None
                else "Compute the latents of an image"
            )
            return f"{what} to edit them."
        if one.awaited is not None:
            size = int(one.awaited.mask.sum())
            return f"{self._set_of(size)}. The prediction with this edit is not computed yet."
        if one.view is None:
            return one.problem[:1].upper() + one.problem[1:]
        edit, view = one.view.edit, one.view
        size, fire = int(edit.mask.sum()), view.latents.size
        if not one.is_on:
            return "Nothing is edited: raise k, or choose a set."
        verb = {"zero": "removed", "keep": "removed", "scale": "scaled"}[edit.mode]
        text = f"{self._set_of(size)}; {fire:,} that fire on this image are {verb}."
        remark = edit.remark
        return f"{text} {remark[:1].upper()}{remark[1:]}." if remark else text

    def _set_of(self, size: int) -> str:
        """How many latents a set has, and why they are not k."""
        state = self.intervention.state
        many = state.is_ranked and size != state.k and size < self.k_slider.box.maximum()
        return f"The best {state.k:,} of each class: a set of {size:,}" if many else f"A set of {size:,}"

    def _on_switch(self) -> None:
        self.intervention.toggle_spurious()
        self.switch.setChecked(self.intervention.state.without_spurious)

    def _on_list(self) -> None:
        if self.list_edit.text() != self.intervention.state.numbers:
            self.intervention.change(numbers=self.list_edit.text())

    def _on_flip(self) -> None:
        try:
            flip = self.intervention.smallest_flip()
        except MammoSAEError as error:
            self.intervention.say(str(error))
            return
        count = "1 latent flips" if flip.latents.size == 1 else f"{flip.latents.size:,} latents flip"
        text = f"{count} the decision." if flip.found else "No set of latents flips the decision."
        self.intervention.say(f"{text} {flip.note[:1].upper()}{flip.note[1:]}{'.' if flip.note else ''}".strip())

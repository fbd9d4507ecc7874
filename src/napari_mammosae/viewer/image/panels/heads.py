"""Which heads' predictions are shown, and a button that trains one more."""

from functools import partial

from qtpy.QtWidgets import QMenu

from ....core.base.text import readable
from ...app.session import HIDDEN
from ...widgets import ui
from ...widgets.job_bar import JobBar
from ...widgets.parts import Part, hint, row
from ..heads import Heads


class HeadsPart(Part):
    """A menu of the model's heads; with a run open, a label to train a head for."""

    def __init__(self, heads: Heads) -> None:
        super().__init__(heads.context)
        self.heads = heads
        self.button = ui.button("Heads", "Choose the heads whose predictions are shown, here and on the image")
        self.menu = QMenu(self)
        self.button.setMenu(self.menu)
        self.label_box = ui.chooser(8, "Label of the open run to train a head for")
        self.label_box.setPlaceholderText("label to train a head for")
        self.train_button = ui.button(
            "Train head",
            "Train a head for the label on the run's pooled channels, by folds of patients. It joins the model, and is "
            "kept in the run's folder.",
            self._train,
        )
        self.training = row(self.label_box, self.train_button)
        self.progress = JobBar(heads.jobs)
        self.note = hint(ui.wrapped())
        ui.column(self, row(self.button, self.training, stretch=1), self.progress, self.note, spacing=2)
        events = self.session.events
        for event in (events.model, events.maps, events.run, events.hidden_heads, events.blind, heads.changed):
            self.listen(event, self.refresh)
        self.progress.turned.connect(self.refresh)
        self.progress.said.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the model, the run and the training."""
        model, busy = self.session.model, self.heads.jobs.busy
        found = () if model is None else model.heads
        self.button.setVisible(len(found) > 1)
        hidden = self.session.hidden_heads
        names = [head.name for head in found]
        if [action.data() for action in self.menu.actions()] != names:
            self.menu.clear()
            for head in found:
                text = head.prompt.title if head.prompt is not None else readable(head.name)
                action = self.menu.addAction(text.replace("&", "&&"))
                action.setData(head.name)
                action.setCheckable(True)
                action.triggered.connect(partial(self.heads.show, head.name))
        for action in self.menu.actions():
            action.setChecked(action.data() not in hidden)
        count = len([name for name in names if name not in hidden])
        self.button.setText(
            "Heads" if count == len(names) else f"Heads {count} of {len(names)}  "
        )  # room for the arrow
        labels = self.heads.labels
        self.training.setVisible(bool(labels) and not busy)
        chosen = self.label_box.currentData()
        default = next((name for name in labels if model is not None and name not in model.classes), "")
        ui.offer(self.label_box, [(readable(name), name) for name in labels], chosen if chosen in labels else default)
        said = HIDDEN if self.heads.note and self.session.blind else self.heads.note
        ui.show_text(self.note, self.progress.text if busy else said)
        self.setVisible(self.button.isVisibleTo(self) or bool(labels) or busy or bool(self.heads.note))

    def _train(self) -> None:
        if (label := self.label_box.currentData()) is not None:
            self.heads.train(label)

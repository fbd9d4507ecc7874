"""The name that a method suggests for the current latent: accept it, edit it, or reject it."""

from ..app.keymap import key_for, tooltip
from ..widgets import ui
from ..widgets.parts import Part, row
from .controller import Reviewer

_ANSWERS = {
    "accept_name": ("Accept", "Take the suggested name as your concept"),
    "edit_name": ("Edit", "Put the suggested name into the concept field to edit it"),
    "reject_name": ("Reject", "Hide the suggested name; your other decisions stay"),
}


class NamePart(Part):
    """A suggested name with its evidence, and three answers; not there without a name."""

    def __init__(self, reviewer: Reviewer) -> None:
        super().__init__(reviewer.context)
        self.reviewer = reviewer
        self.text = ui.wrapped()
        self.buttons = {
            action: ui.button(f"{word} {key_for(action)}", tooltip(tip, action), getattr(reviewer, action))
            for action, (word, tip) in _ANSWERS.items()
        }
        ui.column(self, self.text, row(*self.buttons.values(), stretch=-1), spacing=3)
        for event in (self.session.events.current, self.session.events.blind, reviewer.book.changed):
            self.listen(event, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the current latent."""
        name = self.reviewer.suggested
        self.setVisible(name is not None)
        if name is None:
            return
        own = self.reviewer.book.mine.get(name.latent)
        self.text.setText(f"Suggested name: {name.title} ({name.evidence})")
        self.text.setEnabled(name.beats_chance)
        self.buttons["accept_name"].setEnabled(own is None or own.concept != name.name)

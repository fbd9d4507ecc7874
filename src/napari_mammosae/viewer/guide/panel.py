"""The *Next steps* dock: a button a step, ticked once it is done, and what it showed."""

from functools import partial
from typing import Any

from qtpy.QtCore import Qt

from ..app.keymap import tooltip
from ..widgets import ui
from ..widgets.parts import Dock
from .controller import Guide
from .steps import STEPS

FIRST = "Six steps from this picture to what a shortcut costs. Each is ticked once it is done."
_DONE, _OPEN = "✓", "○"
_LINES, _MARGIN = 3, 16  # of what is said


class GuidePanel(Dock):
    """Leads through the story."""

    def __init__(self, guide: Guide) -> None:
        super().__init__(guide.context)
        self.guide = guide
        self.buttons = {
            step.key: ui.button(step.title, tooltip(step.tip, "next_step"), partial(self._take, step.key))
            for step in STEPS
        }
        for button in self.buttons.values():
            button.setStyleSheet("text-align: left; padding: 1px 6px;")
        self.said = ui.wrapped()
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        ui.column(self, *self.buttons.values(), self.said, spacing=2, margins=(6, 4, 6, 4)).addStretch(1)
        self.listen(guide.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow the guide."""
        for number, step in enumerate(STEPS, start=1):
            sign = _DONE if self.guide.is_done(step.key) else _OPEN
            self.buttons[step.key].setText(f"{sign} {number}  {step.title}")
        self.said.setText(self.guide.said or FIRST)

    def showEvent(self, event: Any) -> None:
        """Keep room for what is said, in the letters of the window, so that nothing moves when more is said."""
        self.said.setMinimumHeight(_LINES * self.said.fontMetrics().lineSpacing() + _MARGIN)
        super().showEvent(event)

    def _take(self, key: str, *_: object) -> None:
        self.guide.take(key)

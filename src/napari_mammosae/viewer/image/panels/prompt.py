"""The *Prompt* field: a text in place of a class, and what it says of the image shown."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QLineEdit

from ....core.base.text import sentence
from ...widgets import ui
from ...widgets.parts import Part, hint
from ..prompts import Prompts

if TYPE_CHECKING:
    from ....core.intervention.edit import Edit
    from ....core.intervention.prompt_scores import PromptScore


class PromptPart(Part):
    """Type a text; its logit joins the model's, and its cosine stands below, before and after the edit.

    Parameters
    ----------
    prompts
        The viewer's prompts.
    edit
        Returns the edit whose effect is shown; None for none.
    """

    def __init__(self, prompts: Prompts, edit: Callable[[], "Edit | None"] = lambda: None) -> None:
        super().__init__(prompts.context)
        self.prompts, self._edit = prompts, edit
        self.field = ui.tipped(QLineEdit(), "Press Enter to ask. Write a pair with | between: mass | no mass")
        self.field.setPlaceholderText("spiculated mass | no mass")
        self.approximate_box = QCheckBox("allow another backbone")
        self.approximate_box.setToolTip("Use the prompt although the text tower was trained with another backbone")
        self.score_label, self.note = ui.wrapped(), hint(ui.wrapped())
        form = ui.form(self)
        form.addRow("Prompt", self.field)
        form.addRow(self.approximate_box)
        form.addRow(self.score_label)
        form.addRow(self.note)
        self.field.returnPressed.connect(self._ask)
        self.approximate_box.clicked.connect(self._allow)
        self.listen(prompts.changed, self.refresh)
        self.listen(self.session.events.blind, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow the prompt, the image and the edit."""
        prompts = self.prompts
        needed = prompts.approximate or "approximate prompt" in prompts.note
        self.approximate_box.setVisible(needed)
        self.approximate_box.setChecked(prompts.approximate)
        ui.show_text(self.note, sentence(prompts.note) if prompts.note else "")
        score = None if self.session.blind else prompts.score()
        ui.show_text(self.score_label, "" if score is None else self._scored(score))

    def _scored(self, score: "PromptScore") -> str:
        head, edit = self.prompts.head, self._edit()
        assert head is not None
        assert head.prompt is not None
        after = None if edit is None else self.prompts.score(edit)
        if edit is not None and edit.form == "replace" and after is not None:
            return f"{head.prompt.title}: cosine {after.cosine:+.3f} (logit {after.logit:+.2f}) after the edit"
        lines = [f"{head.prompt.title}: cosine {score.cosine:+.3f} (logit {score.logit:+.2f})"]
        if head.decides:
            lines.append(f"probability {score.probability:.3f}, uncalibrated")
        if after is not None:
            lines.append(f"after the edit: cosine {after.cosine:+.3f} (logit {after.logit:+.2f})")
        return "\n".join(lines)

    def _ask(self) -> None:
        self.prompts.ask(self.field.text())

    def _allow(self, on: bool) -> None:
        self.prompts.approximate = on
        self._ask()

"""The preferences as a form, made from what the manifest declares."""

from qtpy.QtWidgets import QWidget

from ...app.preferences import entries, remember
from ...canvas.actions import CONTRAST_TITLES
from ...widgets.forms import ask

TITLE = "Preferences for new windows"


def edit_preferences(parent: QWidget) -> None:
    """Show the preferences; what is changed is saved with OK, and holds for viewers opened from then on."""
    declared, form = entries(), {}
    for name, (_, words, value) in declared.items():
        options = {"tooltip": words.description}
        if words.enum:
            options["choices"] = [(CONTRAST_TITLES.get(choice, choice), choice) for choice in words.enum]
        form[name] = {"label": words.title, "value": value, "options": options}
    for name, value in (ask(TITLE, parent, form) or {}).items():
        remember(declared[name][0], **{name: value})

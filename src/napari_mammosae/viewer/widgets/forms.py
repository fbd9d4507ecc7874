"""Forms of magicgui's widgets: what they share."""

from typing import Any

from magicgui.widgets import Dialog, FileEdit, create_widget
from magicgui.widgets.bases import ButtonWidget, Widget
from qtpy.QtWidgets import QFormLayout, QWidget


class PathEdit(FileEdit):
    """A path that is typed, or chosen with a button that leaves room for it."""

    def __init__(self, *, placeholder: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.line_edit.native.setPlaceholderText(placeholder)
        self.choose_btn.text = "…"
        self.choose_btn.native.setFixedWidth(self.choose_btn.native.fontMetrics().horizontalAdvance("…") + 24)

    @property
    def text(self) -> str:
        """What is written, as it was typed."""
        return str(self.line_edit.value).strip()


def form_of(*widgets: Widget) -> QFormLayout:
    """Put widgets of magicgui below each other, their labels in one column whatever the font."""
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(4)
    for widget in widgets:
        form.addRow("" if isinstance(widget, ButtonWidget) else widget.label, widget.native)
    return form


def ask(title: str, parent: QWidget, entries: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Show a form in a window of its own, and wait.

    Parameters
    ----------
    title
        Title of the window.
    parent
        Where it belongs, and what it looks like.
    entries
        Name of each entry -> arguments of `magicgui.widgets.create_widget`: label, value, options and so on.

    Returns
    -------
    dict or None
        Name of each entry -> its value; None if the user cancelled.
    """
    dialog = Dialog(parent=parent)
    dialog.native.setWindowTitle(title)
    widgets: dict[str, Any] = {name: create_widget(name=name, **entry) for name, entry in entries.items()}
    for widget in widgets.values():
        widget.native.setMinimumWidth(240)
    dialog.native.layout().insertLayout(0, form_of(*widgets.values()))
    return {name: widget.value for name, widget in widgets.items()} if dialog.exec() else None

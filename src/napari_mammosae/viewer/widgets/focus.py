"""Where the keyboard is, for everybody to see, and what each control is called, for those who hear it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QAbstractButton, QFormLayout, QLabel, QWidget

from .plain import unplain

COLOR = "#0a84ff"
"""Stands out from the controls of the dark and the light theme."""
_WIDTH = 2.0


class FocusRing(QWidget):
    """A frame over the control that has the focus; napari's style sheet draws none.

    It is made for a control and goes with it.
    """

    def __init__(self, control: QWidget) -> None:
        super().__init__(control)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        control.installEventFilter(self)
        self.setGeometry(control.rect())
        self.show()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Stay as large as the control."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(watched.rect())
        return False

    def paintEvent(self, event: Any) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(COLOR), _WIDTH))
        inside = _WIDTH / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inside, inside, -inside, -inside), 3, 3)
        painter.end()


def name_controls(parent: QWidget) -> None:
    """Give every control in a widget that has no name of its own one for screen readers: its label's, or its tip."""
    for control in controls_in(parent):
        if not control.accessibleName() and not (isinstance(control, QAbstractButton) and control.text()):
            control.setAccessibleName(_label_of(control) or _tip_of(control))


def controls_in(parent: QWidget) -> list[QWidget]:
    """Return all that the keyboard can reach in a widget."""
    return [
        one
        for one in parent.findChildren(QWidget)
        if one.focusPolicy() & Qt.FocusPolicy.TabFocus
        and one.focusProxy() is None
        and one.window() is parent.window()  # not a box's list, which opens in a window of its own
        and not _is_inner(one)
    ]


def _is_inner(widget: QWidget) -> bool:
    """Whether a widget is Qt's own part of a control: the line of a box, the scroll bar of a list."""
    return str(widget.objectName()).startswith("qt_")


def _label_of(control: QWidget) -> str:
    """The words beside a control, or beside the row that it lies in."""
    inner: QWidget | None = control
    while inner is not None and (outer := inner.parentWidget()) is not None:
        if isinstance(layout := outer.layout(), QFormLayout) and layout.indexOf(inner) >= 0:
            label = layout.labelForField(inner)
            if not isinstance(label, QLabel) or not label.text():
                return ""
            return label.text() if inner is control else f"{label.text()}: {_tip_of(control)}".removesuffix(": ")
        inner = outer
    return ""


def _tip_of(control: QWidget) -> str:
    ask: Any = control
    for words in (control.toolTip(), getattr(ask, "placeholderText", str)()):
        if words:
            return unplain(str(words))
    return ""

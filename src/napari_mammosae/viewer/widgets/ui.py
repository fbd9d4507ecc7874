"""Widgets and layouts made in one call: what they say, what they explain when pointed at, what a click does."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLayout,
    QPushButton,
    QShortcut,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from .plain import Label, WrappedLabel

Made = TypeVar("Made", bound=QWidget)


def tipped(widget: Made, tip: str) -> Made:
    """Give a widget its tooltip."""
    widget.setToolTip(tip)
    return widget


def button(
    text: str, tip: str = "", clicked: Callable[..., Any] | None = None, *, checkable: bool = False
) -> QPushButton:
    """Make a button."""
    made = tipped(QPushButton(text), tip)
    made.setCheckable(checkable)
    if clicked is not None:
        made.clicked.connect(clicked)
    return made


def wrapped(text: str = "") -> QLabel:
    """Make a label whose text goes on in the next line."""
    return WrappedLabel(text)


def warning_sign(size: int = 18) -> QLabel:
    """Make a sign rather than a colour: it shows in every theme, and to every eye."""
    label = Label()
    label.setPixmap(label.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning).pixmap(size, size))
    return label


def show_text(label: QLabel, text: str) -> None:
    """Show a text; without one the label takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


class _Chooser(QComboBox):
    """A box of choices that shortens the one chosen to its width; Qt's own cuts letters in two."""

    def paintEvent(self, event: Any) -> None:
        option, style = QStyleOptionComboBox(), QStyle
        self.initStyleOption(option)
        field = self.style().subControlRect(
            style.ComplexControl.CC_ComboBox, option, style.SubControl.SC_ComboBoxEditField, self
        )
        shown = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, field.width())
        if shown == option.currentText:
            super().paintEvent(event)
            return
        option.currentText = shown
        painter = QStylePainter(self)
        painter.drawComplexControl(style.ComplexControl.CC_ComboBox, option)
        painter.drawControl(style.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


def chooser(width: int | None, tip: str = "", choices: Mapping[Any, tuple[str, str]] | None = None) -> QComboBox:
    """Make a box of choices.

    Parameters
    ----------
    width
        Letters it asks room for, whatever it offers; None for as many as its longest choice has.
    tip
        Tooltip of the box.
    choices
        What it offers: value -> text and tooltip.
    """
    box = tipped(_Chooser(), tip)
    if width is not None:
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(width)
    offer(box, [(text, value, about) for value, (text, about) in (choices or {}).items()], None)
    box.setCurrentIndex(0)
    return box


def offer(box: QComboBox, choices: Iterable[tuple[Any, ...]], chosen: Any) -> None:
    """Have a box offer choices, each a text, a value and maybe a tooltip, and show which one is chosen."""
    offered = list(choices)
    if [(box.itemText(at), box.itemData(at)) for at in range(box.count())] != [choice[:2] for choice in offered]:
        box.clear()
        for at, (text, value, *about) in enumerate(offered):
            box.addItem(text, value)
            for tip in about:
                box.setItemData(at, tip, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(box.findData(chosen))


def protocol_box() -> QCheckBox:
    """Make the choice of the paper's protocol, which several docks have."""
    tip = "Rank on the training rows, measure on the test rows, and count finding rows, as in the paper"
    return tipped(QCheckBox("Paper's protocol"), tip)


def number_box(low: float, high: float, step: float, decimals: int = 2, tip: str = "") -> QDoubleSpinBox:
    """Make a box for a number, which takes what is typed once that is finished."""
    box = tipped(QDoubleSpinBox(), tip)
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setKeyboardTracking(False)
    return box


def form(parent: QWidget, spacing: int | None = None) -> QFormLayout:
    """Make a layout of named rows without margins in `parent`."""
    layout = QFormLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    if spacing is not None:
        layout.setVerticalSpacing(spacing)
    return layout


def column(
    parent: QWidget,
    *parts: QWidget | QLayout,
    grow: object = None,
    spacing: int | None = None,
    margins: tuple[int, int, int, int] | None = (0, 0, 0, 0),
) -> QVBoxLayout:
    """Put widgets and layouts below each other into `parent`; the one that may `grow` takes the room that is left."""
    layout = QVBoxLayout(parent)
    if margins is not None:
        layout.setContentsMargins(*margins)
    if spacing is not None:
        layout.setSpacing(spacing)
    for part in parts:
        add = layout.addLayout if isinstance(part, QLayout) else layout.addWidget
        add(part, 1 if part is grow else 0)
    return layout


def on_keys(widget: QWidget, keys: str | QKeySequence.StandardKey, action: Callable[[], Any]) -> None:
    """Have keys pressed anywhere in a widget do something."""
    shortcut = QShortcut(QKeySequence(keys), widget)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(action)

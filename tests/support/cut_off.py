"""What of a dock cannot be read: texts wider or higher than their room, controls beyond the edge of what holds them."""

from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QWidget,
)
from superqt import QElidingLabel

SLACK = 1
"""Pixels that rounding at another scale may take."""
CONTROLS = QAbstractButton, QComboBox, QLabel, QLineEdit, QAbstractSpinBox


def find_cut_off(dock):
    """Return what is cut off in a dock that is shown, a line each."""
    seen = [one for one in dock.findChildren(QWidget) if one.isVisibleTo(dock) and one.window() is dock.window()]
    found = [(one, beyond_edge(one, dock) or text_cut(one)) for one in seen]
    return [f"{type(one).__name__} {say(one)!r}: {what}" for one, what in found if what]


def say(widget):
    for name in ("currentText", "text", "accessibleName", "placeholderText"):
        try:
            if text := getattr(widget, name)():
                return text
        except (AttributeError, TypeError):
            pass
    return ""


def beyond_edge(widget, dock):
    """What a parent cuts off; what a scroll area can bring into view is not."""
    if not isinstance(widget, CONTROLS) or isinstance(widget.parent(), (QComboBox, QAbstractSpinBox, QTabBar)):
        return ""
    rect, parent = widget.geometry(), widget.parentWidget()
    while parent is not None and parent is not dock.parentWidget():
        holder = parent.parentWidget()
        scrolled = isinstance(holder, QAbstractScrollArea) and holder.viewport() is parent
        room = QRect(0, -100_000, parent.width(), 200_000) if scrolled else parent.rect()
        if not room.adjusted(-SLACK, -SLACK, SLACK, SLACK).contains(rect):
            return f"{rect.getRect()} beyond {type(parent).__name__} of {parent.width()} x {parent.height()}"
        if scrolled:
            return ""
        rect, parent = rect.translated(parent.pos()), holder
    return ""


def text_cut(widget):
    """What of a widget's own text has no room, without a tooltip that says all of it."""
    if isinstance(widget, QElidingLabel):
        return ""
    if isinstance(widget, QLabel):
        return label_cut(widget)
    if isinstance(widget, (QPushButton, QCheckBox)):
        return too_small(widget, text_width(widget, widget.text().replace("&&", "&")), widget.fontMetrics().height())
    if isinstance(widget, QComboBox):
        wide, room = text_width(widget, widget.currentText() or widget.placeholderText()), choice_room(widget)
        return f"{wide} wide in {room}" if wide > room + SLACK else ""
    if isinstance(widget, QTabBar):
        last = widget.tabRect(widget.count() - 1) if widget.count() else QRect()
        return f"tabs {last.right()} wide in {widget.width()}" if last.right() > widget.width() + SLACK else ""
    if isinstance(widget, QHeaderView) and widget.orientation() == Qt.Orientation.Horizontal:
        return header_cut(widget)
    if isinstance(widget, QLineEdit) and not isinstance(widget.parent(), (QComboBox, QAbstractSpinBox)):
        wide = text_width(widget, widget.text() or widget.placeholderText())
        return f"{wide} wide in {widget.width() - 8}" if wide > widget.width() - 8 + SLACK else ""
    return ""


def choice_room(box):
    """Pixels that a box of choices leaves its text beside the arrow, as the style of the window has it."""
    option, style = QStyleOptionComboBox(), QStyle
    box.initStyleOption(option)
    field = style.SubControl.SC_ComboBoxEditField
    return box.style().subControlRect(style.ComplexControl.CC_ComboBox, option, field, box).width()


def label_cut(label):
    if label.wordWrap() and label.text():
        needed = label.heightForWidth(label.width())
        return f"{needed} high in {label.height()}" if needed > label.height() + SLACK else ""
    lines = label.text().split("\n")
    return too_small(label, text_width(label, label.text()), (label.fontMetrics().height() - 3) * len(lines))


def too_small(widget, width, height):
    if width > widget.width() + SLACK:
        return f"{width} wide in {widget.width()}"
    return f"{height} high in {widget.height()}" if height > widget.height() + SLACK else ""


def header_cut(header):
    """Titles that have no room beside the mark of the sorted column, unless they are pointed at."""
    model, role, found = header.model(), Qt.ItemDataRole, []
    for at in range(header.count()):
        title, tip = (
            str(model.headerData(at, header.orientation(), one) or "") for one in (role.DisplayRole, role.ToolTipRole)
        )
        mark = 16 if header.isSortIndicatorShown() and header.sortIndicatorSection() == at else 0
        if (
            not header.isSectionHidden(at)
            and text_width(header, title) + mark > header.sectionSize(at)
            and (mark or not tip)
        ):
            found.append(title)
    return f"titles {', '.join(found)}" if found else ""


def text_width(widget, text):
    return max(widget.fontMetrics().horizontalAdvance(line) for line in text.split("\n"))

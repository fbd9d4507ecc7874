"""Text that came from files, shown as it is.

Qt takes a text that looks like HTML for HTML, and loads the pictures it names. Notes, names, labels, annotators and
image identifiers come from colleagues' files.
"""

from __future__ import annotations

import re
from html import escape, unescape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel
from superqt import QElidingLabel

_BREAK = "\u200b"
"""Lets a line break, and takes no room."""
_LONG_WORD = re.compile(r"\S{25,}")


class Label(QLabel):
    """A label that takes neither its text nor its tooltip for HTML."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setToolTip(self, text: str) -> None:
        """Say something when pointed at, as it is."""
        super().setToolTip(plain(text))


class WrappedLabel(Label):
    """A `Label` that wraps, also within words that are as long as names of files can be.

    Qt makes a label as wide as its longest word, and the dock with it.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)

    def setText(self, text: str) -> None:
        """Show a text; one in HTML stays as it is, or its tags would be broken."""
        is_plain = self.textFormat() == Qt.TextFormat.PlainText
        super().setText(_LONG_WORD.sub(lambda word: _BREAK.join(word[0]), text) if is_plain else text)

    def text(self) -> str:
        """Return the text as it was given."""
        return str(super().text()).replace(_BREAK, "")


class ElidedLabel(Label, QElidingLabel):
    """A `Label` that shortens its text to its width; when pointed at, it says all of it."""

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self.setToolTip(text)


def unmarked(text: str) -> str:
    """Return a text for a menu, a button, a tab or a title, where Qt takes an ampersand for the mark of a shortcut."""
    return text.replace("&", "&&")


def plain(text: str) -> str:
    """Return what makes Qt show a text as it is, for tooltips and dialogs, which have no format to choose."""
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>" if "<" in text or "&" in text else text


def unplain(tip: str) -> str:
    """Return the text that `plain` was given."""
    return (
        unescape(re.sub("<br>", "\n", tip).removeprefix("<p>").removesuffix("</p>")) if tip.startswith("<p>") else tip
    )

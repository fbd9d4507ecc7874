"""Labels that wrap within long words, and leave tags alone."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_mammosae.viewer.widgets.plain import WrappedLabel

LONG = "a-file-with-a-name-without-any-place-to-break-it.dcm" * 2
TABLE = "<table><tr>" + "<td>0.439&nbsp;&nbsp;</td>" * 6 + "</tr></table>"


@pytest.mark.parametrize(("form", "text", "is_changed"), [("PlainText", LONG, True), ("RichText", TABLE, False)])
def test_long_words_are_broken_and_tags_are_not(qtbot, form, text, is_changed):
    label = WrappedLabel()
    qtbot.addWidget(label)
    label.setTextFormat(getattr(Qt.TextFormat, form))
    label.setText(text)
    assert (QLabel.text(label) != text) == is_changed
    assert label.text() == text

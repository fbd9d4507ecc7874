"""When the filter of the table is applied."""

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_mammosae.viewer.latents.filters import FilterPart
from waiting import is_due


@pytest.fixture
def part(qtbot):
    part = FilterPart()
    qtbot.addWidget(part)
    part.show()
    return part


@pytest.fixture
def announced(part):
    announced = []
    part.changed.connect(lambda wanted: announced.append(wanted.text))
    return announced


def test_it_is_applied_once_when_the_user_stops_typing(qtbot, part, announced):
    qtbot.keyClicks(part.text, "spur")
    assert announced == []
    qtbot.waitUntil(lambda: bool(announced))
    assert announced == ["spur"]
    assert not is_due(part._later)


def test_enter_applies_it_at_once_and_only_once(qtbot, part, announced):
    qtbot.keyClicks(part.text, "12")
    qtbot.keyClick(part.text, Qt.Key.Key_Return)
    assert announced == ["12"]
    qtbot.wait(2 * part._later.timeout())
    assert announced == ["12"]


def test_what_is_still_to_come_ends_with_the_widget(qtbot):
    part, announced = FilterPart(), []
    part.changed.connect(announced.append)
    part.show()
    qtbot.keyClicks(part.text, "12")
    assert is_due(part._later)
    wait = 2 * part._later.timeout()
    part.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    qtbot.wait(wait)
    assert announced == []

"""Calls that wait: none is lost, none comes after the end."""

import pytest

from napari_mammosae.viewer.app import listening
from napari_mammosae.viewer.app.listening import debounce_until, new_undo, throttle_until
from waiting import is_due


class Listener:
    def __init__(self):
        self.calls = 0

    def take(self):
        self.calls += 1


def all_done(qtbot, later):
    qtbot.waitUntil(lambda: not is_due(later), timeout=5000)


@pytest.mark.parametrize("wait_until", [debounce_until, throttle_until])
def test_many_calls_at_once_become_one(qtbot, wait_until):
    listener, undo = Listener(), new_undo()
    later = wait_until(undo, listener.take, 5)
    for _ in range(20):
        later()
    assert listener.calls == 0
    all_done(qtbot, later)
    assert listener.calls == 1
    undo.close()


@pytest.mark.parametrize("wait_until", [debounce_until, throttle_until])
def test_nothing_is_called_after_the_end(qtbot, wait_until):
    listener, undo = Listener(), new_undo()
    later = wait_until(undo, listener.take, 1)
    later()
    undo.close()
    qtbot.wait(50)
    assert listener.calls == 0


@pytest.mark.parametrize("ends", [False, True])
def test_what_waits_for_its_turn_when_the_end_comes_is_not_called(qtbot, monkeypatch, ends):
    listener, undo, waiting = Listener(), new_undo(), []
    monkeypatch.setattr(listening, "in_its_turn", waiting.append)
    throttle_until(undo, listener.take, 1)()
    qtbot.waitUntil(lambda: len(waiting) == 1, timeout=5000)
    if ends:
        undo.close()
    waiting[0]()
    assert listener.calls == (0 if ends else 1)
    undo.close()

"""Undo and redo of any frozen state."""

from dataclasses import dataclass

import pytest

from napari_mammosae.viewer.app import history
from napari_mammosae.viewer.app.history import History


@dataclass(frozen=True)
class State:
    k: int = 0
    mode: str = "zero"


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(history.time, "monotonic", lambda: now[0])
    return now


def test_quick_changes_of_one_part_are_one_step(clock):
    one = History(State())
    for k in (1, 2, 3):
        clock[0] += 0.1
        assert one.change(k=k)
    assert not one.change(k=3)
    assert one.undo()
    assert one.state == State()
    assert not one.undo()
    assert one.redo()
    assert one.state == State(3)


def test_a_pause_an_end_and_another_part_begin_a_step(clock):
    one = History(State())
    one.change(k=1)
    clock[0] += 5
    one.change(k=2)
    one.settle()
    one.change(k=3)
    one.change(mode="keep")
    seen = [one.state]
    while one.undo():
        seen.append(one.state)
    assert seen == [State(3, "keep"), State(3), State(2), State(1), State()]


def test_states_taken_whole_are_steps_of_their_own(clock):
    one = History(State())
    one.take(State(1))
    one.take(State(2))
    one.change(k=3)
    assert one.undo()
    assert one.state == State(2)
    one.take(State(9))
    assert not one.can_redo  # what was undone has no place after another step
    assert one.undo()
    assert one.undo()
    assert one.state == State(1)


def test_a_state_that_is_set_is_no_step(clock):
    one = History(State())
    one.state = State(5)
    assert not one.can_undo
    one.change(k=6)
    assert one.undo()
    assert one.state == State(5)

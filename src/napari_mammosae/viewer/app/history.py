"""Undo and redo: the present state of anything that is a frozen dataclass, and those before and after it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

State = TypeVar("State", bound="DataclassInstance")

_ONE_MOVE = 0.8
"""Seconds within which changes of the same control are one step of undo."""


class History(Generic[State]):
    """The present state, those before it, and those that were undone.

    Attributes
    ----------
    state
        The present one; setting it is no step of undo.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._done: list[State] = []
        self._undone: list[State] = []
        self._last: tuple[frozenset[str], float] = (frozenset(), 0.0)

    @property
    def can_undo(self) -> bool:
        """Whether there is a state to go back to."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone."""
        return bool(self._undone)

    def change(self, **fields: Any) -> bool:
        """Change parts of the state; quick changes of the same part are one step. False when nothing is different."""
        state = replace(self.state, **fields)
        if state == self.state:
            return False
        now, parts = time.monotonic(), frozenset(fields)
        if parts == self._last[0] and now - self._last[1] <= _ONE_MOVE and self._done:
            self.state = state
            self._undone.clear()
        else:
            self.take(state)
        self._last = parts, now
        return True

    def take(self, state: State) -> None:
        """Make another state the present one, as a step of its own."""
        self._done.append(self.state)
        self._undone.clear()
        self.state = state
        self.settle()

    def settle(self) -> None:
        """End a move: what follows is a step of its own."""
        self._last = frozenset(), 0.0

    def undo(self) -> bool:
        """Go back one step; False when there is none."""
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Take back an undo; False when there is none."""
        return self._step(self._undone, self._done)

    def _step(self, taken: list[State], given: list[State]) -> bool:
        if not taken:
            return False
        given.append(self.state)
        self.state = taken.pop()
        self.settle()
        return True

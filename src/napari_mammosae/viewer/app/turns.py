"""Calls that each have a turn of the event loop to themselves."""

from collections import deque
from collections.abc import Callable

from qtpy.QtCore import QTimer

_PAUSE = 5
"""Milliseconds before each: Qt would go through several that wait for nothing before it draws or takes a key."""


class _Turns:
    """What waits for its turn, of all jobs of all viewers: two results that arrive together follow one another."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._due = False

    def add(self, call: Callable[[], object]) -> None:
        self._waiting.append(call)
        self._schedule()

    @property
    def any_left(self) -> bool:
        return bool(self._waiting)

    def _schedule(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            QTimer.singleShot(_PAUSE, self._next)

    def _next(self) -> None:
        self._due = False
        if not self._waiting:
            return
        try:
            self._waiting.popleft()()
        finally:
            self._schedule()


_turns = _Turns()


def any_left() -> bool:
    """Whether a call waits for its turn."""
    return _turns.any_left


def in_its_turn(call: Callable[[], object]) -> None:
    """Call later, in the GUI thread, with room for what the user does before it and after it."""
    _turns.add(call)

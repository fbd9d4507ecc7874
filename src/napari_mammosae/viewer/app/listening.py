"""Connections of psygnal, napari and Qt that end together with whoever listens."""

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Event
from typing import Any
from weakref import WeakMethod, WeakSet

from superqt.utils import qdebounced, qthrottled

from .turns import in_its_turn

_open: WeakSet[ExitStack] = WeakSet()


def new_undo() -> ExitStack:
    """Make a stack of what ends with whoever listens, with the interpreter at the latest.

    A script may end with a window open: widgets destroyed then would ask Qt for objects that are gone already.
    """
    stack = ExitStack()
    _open.add(stack)
    return stack


@atexit.register
def _end_all() -> None:
    for stack in list(_open):
        stack.close()


def connect_until(undo: ExitStack, event: Any, callback: Callable[..., None]) -> None:
    """Connect an event of psygnal, napari or Qt until `undo` is closed."""
    event.connect(callback)
    undo.callback(_disconnect, event, callback)


def debounce_until(undo: ExitStack, function: Callable[..., object], timeout: int) -> Any:
    """Return a function that calls `function` once its own calls pause for `timeout` ms; none is made after `undo`."""
    later = qdebounced(call_while_alive(function), timeout=timeout)
    undo.callback(later.cancel)
    return later


def throttle_until(undo: ExitStack, function: Callable[..., object], timeout: int) -> Any:
    """Return a function that calls `function` at most every `timeout` ms, in a turn of its own; never after `undo`."""
    ended = Event()
    call = call_while_alive(function)

    def take_turn() -> None:
        if not ended.is_set():
            call()

    later = qthrottled(partial(in_its_turn, take_turn), timeout=timeout, leading=False)
    undo.callback(later.cancel)
    undo.callback(ended.set)
    return later


def call_while_alive(method: Callable[..., object]) -> Callable[[], None]:
    """Return a function that calls a method without keeping its object alive; superqt would warn once that is gone."""
    weak = WeakMethod(method)

    def call() -> None:
        if (there := weak()) is not None:
            there()

    return call


def _disconnect(event: Any, callback: Callable[..., None]) -> None:
    try:
        event.disconnect(callback)
    # the sender went first, or for PySide the receiver; Qt bindings, psygnal and napari each say so their way
    except (TypeError, RuntimeError, ValueError, SystemError):
        return

"""Connections of psygnal, napari and Qt that end together with whoever listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack


def connect_until(undo: ExitStack, event: Any, callback: Callable[..., None]) -> None:
    """Connect an event of psygnal, napari or Qt until `undo` is closed."""
    event.connect(callback)
    undo.callback(_disconnect, event, callback)


def _disconnect(event: Any, callback: Callable[..., None]) -> None:
    try:
        event.disconnect(callback)
    # the sender went first, or for PySide the receiver; Qt bindings, psygnal and napari each say so their way
    except (TypeError, RuntimeError, ValueError, SystemError):
        return

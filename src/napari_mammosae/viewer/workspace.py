"""What belongs to one viewer, made and ended in one place."""

from typing import Any
from weakref import WeakKeyDictionary

from .image.controller import Controller


def controller_of(viewer: Any) -> Controller:
    """Return the one controller of a viewer, made on first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _controllers:
        _controllers[viewer] = Controller(viewer)
    return _controllers[viewer]


def has_controller(viewer: Any) -> bool:
    """Whether this plugin is at work in a viewer."""
    return getattr(viewer, "__wrapped__", viewer) in _controllers


_controllers: WeakKeyDictionary[Any, Controller] = WeakKeyDictionary()

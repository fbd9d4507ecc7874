"""The one table of keys: bindings, tooltips and documentation are made from it.

Only keys that no napari layer uses in any mode, since a layer's keys win over the viewer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.utils.key_bindings import bind_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the controller's method it calls, and what that does, in a few words."""

    key: str
    action: str
    help: str


KEYS = (
    Key("H", "toggle_overlays", "hide or show everything drawn over the mammogram"),
    Key("G", "toggle_truth", "hide or show the ground-truth boxes"),
    Key("K", "toggle_pin", "keep the current latent as a layer of its own, or let it go"),
    Key("Q", "next_contrast", "colour scale of the latents: shared, for each, by hand"),
    Key("W", "next_window", "next window preset of the mammogram"),
    Key("Shift-W", "invert", "invert the mammogram"),
)
NAPARI_KEYS = (("Left / Right", "previous / next latent"),)


def key_for(action: str) -> str:
    """The key of an action, for tooltips; empty when it has none."""
    return next((key.key for key in KEYS if key.action == action), "")


def tooltip(text: str, action: str) -> str:
    """A tooltip that ends with the key of its action."""
    key = key_for(action)
    return f"{text} (key {key})" if key else text


def help_rows() -> list[tuple[str, str]]:
    """Rows (key, meaning) of every key, for the dock and the documentation."""
    return [*NAPARI_KEYS, *((key.key, key.help) for key in KEYS)]


def bind(viewer: ViewerModel, target: object) -> Callable[[], None]:
    """Bind every key to the method of `target` it names; return what undoes it."""
    for key in KEYS:
        viewer.bind_key(key.key, _caller(getattr(target, key.action)), overwrite=True)
    keymap = viewer.keymap  # not the viewer itself, which what is returned must not keep alive

    def unbind() -> None:
        for key in KEYS:
            bind_key(keymap, key.key, None)

    return unbind


def _caller(method: Callable[[], None]) -> Callable[[object], None]:
    def call(_viewer: object) -> None:
        method()

    return call

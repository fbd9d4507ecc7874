"""Three lines over the picture that the demo opens on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

from ..canvas.sides import FONT, back_texts, corner
from .steps import HINT

if TYPE_CHECKING:
    from napari.components import ViewerModel

HINT_TEXT = "mammosae_hint"
"""Key of the lines among the canvas overlays."""


def show_hint(viewer: ViewerModel | None, shown: bool) -> None:
    """Write the lines onto the canvas, or take them away."""
    if viewer is None:
        return
    overlays = viewer.canvas.overlays
    if shown and HINT_TEXT not in overlays:
        overlays[HINT_TEXT] = TextOverlay(position=corner(viewer, "top"), text="\n".join(HINT), font_size=FONT)
    if HINT_TEXT in overlays:
        overlays[HINT_TEXT].visible = shown
        back_texts(viewer)

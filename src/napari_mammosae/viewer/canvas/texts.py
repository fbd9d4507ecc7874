"""Boxes, pins and texts of a session, drawn into its viewer: plain functions of the state, called by the scene."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

from .latent_view import prediction_text, predictions

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..app.session import Session

PREDICTION = "mammosae_prediction"
"""Key of this plugin's text among the canvas overlays; the latent's text is napari's own `text`."""
FONT = 8
"""Points: as large as the texts of the docks. Large letters hide the image, and take their time to draw."""
PLATE = "mammosae_plate"
"""Key of what lies behind the latent's text. A text's own box is made anew, shaders and all, whenever the text
changes; this one is an empty text with a box that stays as it is while the lines fit on it."""
_EM_SPACE, _HARD_SPACE = "\u2003", "\u00a0"  # blanks at the end of a line have no width, but a hard one has
_EM_PER_LETTER = 0.54  # wide for a letter, about right for a digit


def write_latent(viewer: ViewerModel, text: str) -> None:
    """Write the lines about the current latent onto the canvas; an empty text hides them."""
    overlay = viewer.canvas.overlays.text
    overlay.position, overlay.box = "top_left", False
    if text:
        _fit_plate(viewer, text)
        overlay.text = text
    overlay.visible = bool(text)


def _fit_plate(viewer: ViewerModel, text: str) -> None:
    """Have a plate in the corner that is large enough for a text, and not much larger."""
    overlays = viewer.canvas.overlays
    if PLATE not in overlays:
        overlays.text.font_size = FONT
        # Without a tile of its own it lies in the corner itself, below what is tiled there.
        overlays[PLATE] = plate = TextOverlay(position="corner", visible=overlays.text.visible, font_size=FONT)
        plate.order = overlays.text.order - 10
        overlays.text.events.visible.connect_setattr(plate, "visible", maxargs=1)
        overlays.text.events.font_size.connect_setattr(plate, "font_size", maxargs=1)
    lines = text.split("\n")
    ems, rows = 1 + ceil(_EM_PER_LETTER * max(map(len, lines))), 1 + len(lines)
    there = overlays[PLATE].text.split("\n")
    if not (ems <= len(there[0]) <= 1.4 * ems and rows <= len(there) <= rows + 1):
        overlays[PLATE].text = _EM_SPACE * (ems - 1) + _HARD_SPACE + "\n" * (rows - 1)


def write_prediction(viewer: ViewerModel, session: Session) -> None:
    """Write every class's logit and probability onto the canvas, nothing while there are none."""
    model, maps = session.model, session.maps
    overlays = viewer.canvas.overlays
    if PREDICTION not in overlays:
        overlays[PREDICTION] = TextOverlay(position="bottom_left", font_size=FONT)
    text = ""
    if model is not None and maps is not None and not session.blind:
        text = prediction_text(predictions(model, maps))
    overlays[PREDICTION].text = text
    overlays[PREDICTION].visible = bool(text)

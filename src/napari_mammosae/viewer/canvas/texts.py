"""Boxes, pins and texts of a session, drawn into its viewer: plain functions of the state, called by the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

from .latent_view import prediction_text, predictions
from .redraw import FONT, fit_plate

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..app.session import Session

PREDICTION = "mammosae_prediction"
"""Key of this plugin's text among the canvas overlays; the latent's text is napari's own `text`."""


def write_latent(viewer: ViewerModel, text: str) -> None:
    """Write the lines about the current latent onto the canvas; an empty text hides them."""
    overlay = viewer.canvas.overlays.text
    overlay.position, overlay.box = "top_left", False
    if text:
        fit_plate(viewer, text)
        overlay.text = text
    overlay.visible = bool(text)


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

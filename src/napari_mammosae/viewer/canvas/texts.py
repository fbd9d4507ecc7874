"""Boxes, pins and texts of a session, drawn into its viewer: plain functions of the state, called by the scene."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

from ...core.models.domain import outside_domain
from .colors import AMBER
from .latent_view import prediction_text, predictions
from .redraw import FONT, fit_plate

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..app.session import Session

_CAUTION_WIDTH = 56
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


def write_prediction(viewer: ViewerModel, session: Session, *, chances: bool = True) -> None:
    """Write every class's logit and probability onto the canvas, nothing while there are none, or without `chances`.

    Where the model is not made for the image, the lines say so first, on amber.
    """
    model, maps = session.model, session.maps
    overlays = viewer.canvas.overlays
    if PREDICTION not in overlays:
        overlays[PREDICTION] = TextOverlay(position="bottom_left", font_size=FONT, box_color=AMBER)
    overlay, lines = overlays[PREDICTION], caution_lines(session)
    overlay.color, overlay.box = ("black", True) if lines else (None, False)
    if chances and model is not None and maps is not None and not session.blind:
        lines += prediction_text(predictions(model, maps)).split("\n")
    overlay.text = "\n".join(f"{line}  " if overlay.box else line for line in lines)
    overlay.visible = bool(overlay.text)


def caution_lines(session: Session) -> list[str]:
    """Say that the model is not made for the image, in lines for the canvas; empty where it is."""
    model, image = session.model, session.image
    return wrap(outside_domain(model, image), _CAUTION_WIDTH) if model is not None and image is not None else []

"""Boxes, pins and texts of a session, drawn into its viewer: plain functions of the state, called by the scene."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay

from ...core.models.disagreement import disagreements
from ...core.models.domain import outside_domain
from .colors import AMBER
from .latent_view import prediction_text, predictions
from .sides import FONT, back_texts, corner, keep_beside

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from ..app.session import Session

_CAUTION_WIDTH = 56
_LETTERS = 30  # of a line of the prediction beside the image, where there is little room
PREDICTION = "mammosae_prediction"
"""Key of this plugin's text among the canvas overlays; the latent's text is napari's own `text`."""


def write_latent(viewer: ViewerModel, text: str) -> None:
    """Write the lines about the current latent onto the canvas; an empty text hides them."""
    overlay = viewer.canvas.overlays.text
    if text:
        overlay.text = text
    overlay.visible = bool(text)
    back_texts(viewer)


def write_prediction(
    viewer: ViewerModel, session: Session, *, chances: bool = True, beside: Layer | None = None
) -> None:
    """Write every class's logit and probability onto the canvas, nothing while there are none, or without `chances`.

    Where the prediction is not to be taken at its word, the lines say so first, on amber. Lines that would lie over
    the layer `beside` are broken.
    """
    model, maps = session.model, session.maps
    overlays = viewer.canvas.overlays
    if PREDICTION not in overlays:
        overlays[PREDICTION] = TextOverlay(position=corner(viewer, "bottom"), font_size=FONT)
    overlay, lines = overlays[PREDICTION], caution_lines(session, decisions=chances)
    overlay.color, overlay.box_color, overlay.box = ("black", AMBER, True) if lines else (None, None, False)
    if chances and model is not None and maps is not None and not session.blind:
        lines += prediction_text(predictions(model, maps, session.hidden_heads)).split("\n")
    lines = keep_beside(viewer, beside, "bottom", "\n".join(lines), _LETTERS).split("\n")
    overlay.text = "\n".join(f"{line}  " if overlay.box else line for line in lines)
    overlay.visible = bool(overlay.text)
    back_texts(viewer)


def caution_lines(session: Session, *, decisions: bool = True) -> list[str]:
    """Say what keeps a prediction from being taken at its word, in lines for the canvas; empty where nothing does.

    The model is not made for the image, or decides otherwise without its SAE; a blind judge is told the former alone,
    and so is everybody without `decisions`.
    """
    model, image, maps = session.model, session.image, session.maps
    if model is None or image is None:
        return []
    said = [outside_domain(model, image)]
    told = decisions and not session.blind and not said[0]  # what means nothing needs no second caution
    if maps is not None and told:
        said += dict.fromkeys(
            one.split(":")[0] + "." for one in disagreements(model, maps)
        )  # the dock has room for all
    return [line for text in said for line in wrap(text, _CAUTION_WIDTH)]

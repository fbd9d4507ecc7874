"""What the canvas says while an edit is on: that predictions are edited, and what they are then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components.overlays import TextOverlay

from ..canvas.latent_view import readable
from ..canvas.texts import FONT, PREDICTION
from .state import summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import EditState, EditView

EDITED = "mammosae_edited"
BANNER = "Predictions shown are edited"
AMBER = "#ffb000"


def edited_text(classes: Sequence[str], state: EditState, view: EditView) -> str:
    """Lines for the canvas, the banner first; without classes it stands alone."""
    lines = [f"{BANNER}: {summary(state, view)}"]
    lines += [
        f"{readable(name)} {after:.3f} (logit {logit:+.2f}; was {before:.3f}, {was:+.2f})"
        for name, after, logit, before, was in zip(
            classes, view.after, view.effect.after, view.before, view.effect.before, strict=False
        )
    ]
    return "\n".join(f"{line}  " for line in lines)  # the box is drawn a little narrower than the text


class EditOverlay:
    """Stands in the place of the unedited prediction for as long as there is a text."""

    def __init__(self) -> None:
        self._text = ""
        self._plain: Any = None

    def show(self, viewer: Any, text: str) -> None:
        """Show a text; an empty one gives the place back."""
        overlays = viewer.canvas.overlays
        if not text and not self._text:
            return
        self._text = text
        if EDITED not in overlays:
            overlays[EDITED] = TextOverlay(
                position="bottom_left", color="black", box=True, box_color=AMBER, font_size=FONT
            )
        overlays[EDITED].text = text
        overlays[EDITED].visible = bool(text)
        plain = overlays.get(PREDICTION)
        if plain is not None and plain is not self._plain:
            self._plain = plain
            plain.events.visible.connect(self._on_plain)
        if plain is not None:
            plain.visible = bool(plain.text) and not text

    def _on_plain(self, visible: bool) -> None:
        """Others showed the unedited prediction, for a new image: not while the edited one is shown."""
        if self._text and visible:
            self._plain.visible = False

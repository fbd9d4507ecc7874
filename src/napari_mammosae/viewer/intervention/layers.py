"""What the canvas says while an edit is on: that predictions are edited, and what they are then."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from napari.components.overlays import TextOverlay
from napari.layers import Image
from napari.utils.colormaps import Colormap

from ..canvas.colors import AMBER
from ..canvas.latent_view import chance_text, few_lines
from ..canvas.sides import FONT, corner, keep_inside
from ..canvas.texts import PREDICTION
from .result import summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..canvas.owned import OwnedLayers
    from .result import EditView
    from .state import EditState


EDITED = "mammosae_edited"
BANNER = "Predictions shown are edited"


def edited_text(titles: Mapping[int, str], state: EditState, view: EditView, caution: Sequence[str] = ()) -> str:
    """Lines for the canvas, a caution and the banner first; `titles` are those of the logits shown, by place."""
    before, after = view.effect.before, view.effect.after
    rows = (
        f"{title} {chance_text(view.after[at])} (logit {after[at]:+.2f}; was {chance_text(view.before[at])}, "
        f"{before[at]:+.2f})"
        for at, title in titles.items()
    )
    lines = [*caution, f"{BANNER}: {summary(state, view)}", *few_lines(rows)]
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
                position=corner(viewer, "bottom"), color="black", box=True, box_color=AMBER, font_size=FONT
            )
        overlays[EDITED].text = keep_inside(viewer, "bottom", text)
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


MapKind: TypeAlias = Literal["none", "before", "after", "difference"]


MAP_KINDS: tuple[MapKind, ...] = get_args(MapKind)


_DOWN, _UP = (0.17, 0.49, 0.97), (0.95, 0.25, 0.15)


def diverging_colormap() -> Colormap:
    """Blue pulls the logit down, red pushes it up; transparent where a position does neither."""
    at = np.linspace(-1, 1, 129)[:, None]
    rgb = np.where(at < 0, _DOWN, _UP)
    return Colormap(np.column_stack([rgb, np.clip(1.5 * np.abs(at), 0, 0.85)]), name="down - up (transparent)")


def values_of(view: EditView, logit: int, kind: MapKind) -> tuple[NDArray[np.float32], float]:
    """Values (H', W') of a map, and the largest size a colour stands for.

    Before and after share it, so that they compare; it is at least a thousandth of the logit's own terms, so that
    rounding does not look like a pattern.
    """
    before, after = view.effect.map_before[logit], view.effect.map_after[logit]
    shared = max(float(np.abs(before).max()), float(np.abs(after).max()), 1e-12)
    if kind == "difference":
        values = after - before
        return values.astype(np.float32), max(float(np.abs(values).max()), 1e-3 * shared)
    return (after if kind == "after" else before).astype(np.float32), shared


def show(
    owned: OwnedLayers, view: EditView | None, cells: NDArray[np.float64] | None, logit: int, kind: MapKind
) -> None:
    """Bring the layer up to date: made, filled, or removed; `cells` takes cells to the image's pixels."""
    layer = owned.find("logit map")
    if view is None or view.effect.maps is None or cells is None or kind == "none":
        if layer is not None:
            owned.remove(layer)
        return
    values, limit = values_of(view, logit, kind)
    limit = readable_limit(limit)
    if layer is not None and (not isinstance(layer, Image) or layer.data.shape != values.shape):
        owned.remove(layer)
        layer = None
    if layer is None:
        layer = logit_map_layer(values, limit)
        owned.add(layer, "logit map", cells, at=owned.place_below("truth", "found"))
    else:
        np.copyto(layer.data, values)
        if tuple(layer.contrast_limits) != (-limit, limit):
            layer.contrast_limits_range = (-limit, limit)
            layer.contrast_limits = (-limit, limit)
        owned.lay(layer, cells)
        layer.refresh(extent=False)
    owned.facts(layer).update(kind=kind, logit=logit, edit=view.edit.describe())


def readable_limit(limit: float) -> float:
    """Round a limit up, by a third at most, to one that a colour bar marks; else the bar might mark nothing but 0."""
    unit = 10.0 ** floor(log10(limit))
    above = next((step * unit for step in (1, 2, 3, 4, 5, 10) if step * unit >= limit), limit)
    return above if above <= 4 / 3 * limit else limit


def logit_map_layer(values: NDArray[np.float32], limit: float) -> Image:
    """Make the layer."""
    return Image(
        values,
        name="logit map",
        rgb=False,
        multiscale=False,
        contrast_limits=(-limit, limit),
        colormap=diverging_colormap(),
        blending="translucent",
        interpolation2d="linear",
        axis_labels=("row", "column"),
    )

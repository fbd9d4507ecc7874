"""Which side of the canvas is which: texts stand over the air beside the breast, colour scales on the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from napari.components.overlays import TextOverlay

from .camera import extent_shown
from .layers import pixels_of, world_affine

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

Row: TypeAlias = Literal["top", "middle", "bottom"]
Side: TypeAlias = Literal["left", "right"]

FONT = 8
"""Points: as large as the texts of the docks. Large letters hide the image, and take their time to draw."""
_LINE, _LETTER = 19.0, 8.0  # canvas pixels, at most
_EVERY = 8  # every 8th pixel each way tells the halves apart, and takes a millisecond
_PLAIN = 0.02  # of the grey levels, by which one half is darker
_OWN = "mammosae_"


def air_side(layer: Image, laterality: str | None) -> Side:
    """Return the side of the canvas that has air: where the image is darker, else away from the chest wall."""
    pixels = pixels_of(layer)[::_EVERY, ::_EVERY]
    values = np.nan_to_num(pixels.astype(np.float64), posinf=0.0, neginf=0.0)
    middle = max(values.shape[1] // 2, 1)
    left, right = (float(half.mean()) if half.size else 0.0 for half in (values[:, :middle], values[:, middle:]))
    darker_is_right = laterality == "L" if abs(left - right) <= _PLAIN * float(np.ptp(values)) else right < left
    return "right" if darker_is_right == bool(world_affine(layer)[1, 1] > 0) else "left"


def corner(viewer: ViewerModel, row: Row, *, air: bool = True) -> str:
    """Name a place on the side of the air, where napari's own `text` stands, or on the other one."""
    is_right = str(viewer.canvas.overlays.text.position).endswith("right")
    return f"{row}_{'right' if is_right == air else 'left'}"


def put_texts(viewer: ViewerModel, side: Side) -> None:
    """Put the texts on a side, one below the other."""
    overlays, tiling = viewer.canvas.overlays, viewer.canvas.overlay_tiling
    other = "left" if side == "right" else "right"
    setattr(tiling, f"top_{side}", "vertical")
    setattr(tiling, f"top_{other}", "horizontal")
    tiling.bottom_left = tiling.bottom_right = "vertical"
    overlays.text.font_size, overlays.text.position = FONT, f"top_{side}"
    for key, overlay in overlays.items():
        if key.startswith(_OWN):
            row = str(overlay.position).split("_")[0]
            overlay.position = corner(viewer, row, air=isinstance(overlay, TextOverlay))  # type: ignore[arg-type]


def back_texts(viewer: ViewerModel) -> None:
    """Put a box behind each plain text, but only while a layer reaches below it: it is made anew with the text."""
    for key, overlay in viewer.canvas.overlays.items():
        if (key == "text" or key.startswith(_OWN)) and isinstance(overlay, TextOverlay) and overlay.box_color is None:
            lines = overlay.text.split("\n")
            size = _LINE * len(lines), _LETTER * max(map(len, lines))
            wanted = bool(overlay.visible) and is_covered(viewer, str(overlay.position), *size)
            if overlay.box != wanted:
                overlay.box = wanted


def is_covered(viewer: ViewerModel, place: str, height: float, width: float) -> bool:
    """Whether a layer reaches below an area of the canvas, given in its pixels, in a corner or in the middle of a side.

    In the grid none is: an exam hangs with the chest walls towards the middle, so both sides of the canvas are air, and
    a box made anew costs a fifth of a step there.
    """
    if viewer.canvas.grid.enabled:
        return False
    camera, (rows, cols) = viewer.scene.camera, viewer.canvas.size
    row, col = camera.center[-2:]
    at, side = place.split("_")
    upper = {"top": 0.0, "middle": (rows - height) / 2, "bottom": rows - height}[at]
    left = 0.0 if side == "left" else cols - width
    top, start = row + (upper - rows / 2) / camera.zoom, col + (left - cols / 2) / camera.zoom
    bottom, end = top + height / camera.zoom, start + width / camera.zoom
    for layer in viewer.layers:
        if layer.visible:
            (row_min, col_min), (row_max, col_max) = extent_shown(viewer, layer)
            if row_min < bottom and row_max > top and col_min < end and col_max > start:
                return True
    return False

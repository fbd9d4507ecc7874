"""Which side of the canvas is which: texts stand over the air beside the breast, colour scales on the other side."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from napari.components.overlays import TextOverlay

from .camera import extent_shown, fitted_size
from .layers import pixels_of, world_affine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

Row: TypeAlias = Literal["top", "middle", "bottom"]
Side: TypeAlias = Literal["left", "right"]

FONT = 8
"""Points: as large as the texts of the docks. Large letters hide the image, and take their time to draw."""
_LINE, _LETTER, _USUAL = 19.0, 8.0, 7.2  # canvas pixels: a line and a letter at most, and a letter of most lines
_SCALE, _FEWEST = 70.0, 18  # canvas pixels of a colour scale with its numbers, and letters of a line at least
_BROKEN = 3  # lines that become of one, at most; the docks have room for all of it
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


def back_texts(viewer: ViewerModel, named: Iterable[Layer] = ()) -> None:
    """Put a box behind each plain text, but only while a layer reaches below it: it is made anew with the text.

    The names of layers that are `named` are such texts too.
    """
    for key, overlay in viewer.canvas.overlays.items():
        if (key == "text" or key.startswith(_OWN)) and isinstance(overlay, TextOverlay) and overlay.box_color is None:
            _back(viewer, overlay, overlay.text)
    for layer in named:
        _back(viewer, layer.name_overlay, layer.name, layer)


def _back(viewer: ViewerModel, overlay: Any, text: str, layer: Layer | None = None) -> None:
    place = str(overlay.position)
    lines = text.split("\n") if place.startswith("top") else reversed(text.split("\n"))
    wanted = bool(overlay.visible) and any(
        is_covered(viewer, place, _LINE, _LETTER * len(line), with_layer=layer, inwards=_LINE * at)
        for at, line in enumerate(lines)
    )
    if overlay.box != wanted:
        overlay.box = wanted


def keep_beside(viewer: ViewerModel, layer: Layer | None, row: Row, text: str, fewest: int) -> str:
    """Break the lines of a text that would lie over a layer, as it is fitted into the canvas, to have room beside it.

    Lines above or below the layer are broken where they are longer than the canvas is wide. So are all lines where
    there is too little room beside the layer: many short ones would hide more of it.

    The text stays so when the camera moves.

    Parameters
    ----------
    viewer
        Where the text stands.
    layer
        What to keep clear of; None for nothing.
    row
        Whether the text hangs from the top of the canvas or stands on its bottom.
    text
        Its lines.
    fewest
        Letters that there must be room for.
    """
    if layer is None or viewer.canvas.grid.enabled:
        return text
    canvas, padding = np.array(viewer.canvas.size), np.array(viewer.canvas.overlay_tiling.padding[::-1])
    height, width = (canvas - fitted_size(viewer, layer)) / 2 - padding
    all_letters = _letters_across(viewer, row)
    above = int((height + _LINE / 4) / _LINE)  # a line is rarely as high
    letters = int(width / _LETTER) if width >= fewest * _LETTER else all_letters
    kept: list[str] = []
    for line in text.split("\n") if row == "top" else reversed(text.split("\n")):
        room = all_letters if len(kept) < above else letters
        broken = _break(line, room)
        kept = kept + broken if row == "top" else broken + kept
    return "\n".join(kept)


def keep_inside(viewer: ViewerModel, row: Row, text: str) -> str:
    """Break the lines of a text that are longer than the canvas is wide."""
    return "\n".join(part for line in text.split("\n") for part in _break(line, _letters_across(viewer, row)))


def _letters_across(viewer: ViewerModel, row: Row) -> int:
    """Letters that a line has room for; at the top there is a colour scale too."""
    room = viewer.canvas.size[1] - 2 * viewer.canvas.overlay_tiling.padding[0] - (_SCALE if row == "top" else 0)
    return max(int(room / _USUAL), _FEWEST)


def _break(line: str, letters: int) -> list[str]:
    """Break a line that is longer than so many letters: at a wide gap or after a comma where that is enough."""
    if len(line) <= letters:
        return [line]
    for gap, kept in (("   ", ""), (", ", ",")):
        first, found, rest = line[:letters].rpartition(gap)
        if found and len(line) - len(first) - len(found) <= letters:
            return [first.rstrip() + kept, rest + line[letters:]]
    return wrap(line, letters, max_lines=_BROKEN, placeholder="…")


def is_covered(
    viewer: ViewerModel,
    place: str,
    height: float,
    width: float,
    *,
    with_layer: Layer | None = None,
    inwards: float = 0.0,
) -> bool:
    """Whether a layer reaches below an area, given in pixels of the canvas, in a corner or in the middle of a side.

    That is one of the canvas, or of the cell of the grid in which `with_layer` lies. From the corner the area is
    `inwards` pixels down or up.
    """
    camera, cells = viewer.scene.camera, _cells(viewer)
    frame = next((area for area, layers in cells if with_layer in layers), np.array([(0, 0), viewer.canvas.size]))
    (top, left), (bottom, right) = frame
    at, side = place.split("_")
    start = {"top": top + inwards, "middle": (top + bottom - height) / 2, "bottom": bottom - height - inwards}[at]
    from_left = left if side == "left" else right - width
    wanted = np.array([(start, from_left), (start + height, from_left + width)])
    for area, layers in cells:
        low, high = np.maximum(wanted[0], area[0]), np.minimum(wanted[1], area[1])
        if (low < high).all():
            low, high = (camera.center[-2:] + (edge - area.mean(axis=0)) / camera.zoom for edge in (low, high))
            for layer in layers:
                if layer.visible:
                    first, last = extent_shown(viewer, layer)
                    if (first < high).all() and (last > low).all():
                        return True
    return False


def _cells(viewer: ViewerModel) -> list[tuple[NDArray[np.float64], list[Layer]]]:
    """Cells of the grid, or the canvas: first and last row and column in its pixels, and the layers in there."""
    grid, layers, canvas = viewer.canvas.grid, viewer.layers, np.array(viewer.canvas.size, float)
    if not grid.enabled:
        return [(np.stack([np.zeros(2), canvas]), list(layers))]
    size = np.array(viewer.canvas.viewbox_size(layers), float)
    pitch = (canvas - size) / np.maximum(np.array(grid.actual_shape(layers)) - 1, 1)
    return [
        (np.stack([place * pitch, place * pitch + size]), [layers[at] for at in inside])
        for place, inside in grid.iter_viewboxes(layers)
    ]

"""The layer of found boxes: true and false positives and missed boxes, told apart by colour and by line."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from ...core.localization.one_image import Fate
from ..canvas.layers import rectangles
from ..canvas.redraw import replaced_at_once
from .result import BoxRow

Line: TypeAlias = "tuple[str, float, bool]"
MOST = 100
"""Boxes drawn at most, the most confident ones: more tell nothing and hold the window up."""


@dataclass(frozen=True, slots=True)
class Style:
    """How boxes of one fate look.

    Attributes
    ----------
    title
        What they are called.
    color
        IBM's palette: distinct for any colour vision, and none of the heatmaps' or findings' colours.
    width
        Of the line, as a multiple of the usual one.
    double
        Whether the line is drawn twice.
    """

    title: str
    color: str
    width: float
    double: bool = False


STYLES: dict[Fate, Style] = {
    "hit": Style("true positive", "#648fff", 1.8),
    "false": Style("false positive", "#ffb000", 0.7),
    "unjudged": Style("found, not scored", "#ffffff", 1.0),
    "missed": Style("missed", "#ff5fa8", 0.6, double=True),
}


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What the layer holds: one entry a box."""

    shapes: list[NDArray[np.float64]]
    types: list[str]
    colors: list[str]
    widths: list[float]
    fates: list[str]
    labels: list[str]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Drawing)
            and (self.types, self.colors, self.widths, self.labels)
            == (other.types, other.colors, other.widths, other.labels)
            and all(np.array_equal(a, b) for a, b in zip(self.shapes, other.shapes, strict=True))
        )


def drawing_of(rows: list[BoxRow], line: float) -> Drawing:
    """Found boxes and missed ones as shapes; `line` is the usual width of a line, in source pixels."""
    drawn = [row for row in rows if not row.annotated][:MOST] + [row for row in rows if row.fate == "missed"]
    styles = [STYLES[row.fate] for row in drawn]
    return Drawing(
        [
            _double(row, line) if style.double else rectangles(np.array(row.edges))[0]
            for row, style in zip(drawn, styles, strict=True)
        ],
        ["path" if style.double else "rectangle" for style in styles],
        [style.color for style in styles],
        [line * style.width for style in styles],
        [row.fate for row in drawn],
        [_label(row) for row in drawn],
    )


def found_layer() -> Shapes:
    """Make the layer, empty."""
    layer = Shapes(
        name="found boxes",
        ndim=2,
        face_color="transparent",
        features={"fate": [], "label": []},
        text={"string": "{label}", "color": "white", "size": 10, "anchor": "lower_left"},
        opacity=1.0,
        axis_labels=("row", "column"),
    )
    layer.editable = False
    return layer


def draw(layer: Shapes, drawing: Drawing) -> None:
    """Replace what the layer shows.

    Data, then widths and colours, then features: shapes beyond the former number would come with those of others.
    """
    if len(drawing.shapes) == 0 and layer.nshapes == 0:
        return
    with replaced_at_once(layer):
        layer.data = (drawing.shapes, drawing.types) if drawing.shapes else []
        if drawing.shapes:
            layer.edge_width = drawing.widths
            layer.edge_color = drawing.colors
        layer.features = {"fate": drawing.fates, "label": drawing.labels}


def _label(row: BoxRow) -> str:
    if row.fate == "missed":
        return "missed"
    return f"IoU {row.iou:.2f}" if row.iou > 0 else ""


def _double(row: BoxRow, line: float) -> NDArray[np.float64]:
    """Two frames around a box as one path, clear of the line the annotation itself is drawn with."""
    top, left, bottom, right = row.edges
    frames: list[Any] = []
    for gap in (1.2 * line, 2.8 * line):
        corners = rectangles(np.array([top - gap, left - gap, bottom + gap, right + gap]))[0]
        frames += [corners, corners[:1]]
    return np.concatenate(frames)

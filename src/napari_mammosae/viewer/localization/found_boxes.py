"""The layer of found boxes: true and false positives and missed boxes, told apart by colour and by line."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from napari.layers import Shapes, Vectors
from numpy.typing import NDArray

from ...core.localization.one_image import Fate
from ..canvas.boxes.lines import MANY, draw_lines, lines_layer
from ..canvas.layers import rectangles
from ..canvas.redraw import replaced_at_once
from .result import BoxRow

Line: TypeAlias = "tuple[str, float, bool]"
NAME = "found boxes"
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

    @property
    def many(self) -> bool:
        """Whether they are drawn as lines, which have one width and no texts."""
        return len(self.shapes) > MANY

    @property
    def corners(self) -> tuple[NDArray[np.float64], list[str]]:
        """Corners (n, 4, 2) of all frames, two for a box that is drawn double, and their colours."""
        frames, colors = [], []
        for shape, color in zip(self.shapes, self.colors, strict=True):
            for at in range(0, len(shape), 5):
                frames.append(shape[at : at + 4])
                colors.append(color)
        return np.array(frames).reshape(-1, 4, 2), colors

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


def found_layer(line: float, *, many: bool = False) -> Shapes | Vectors:
    """Make the layer, empty; one of lines for many boxes."""
    if many:
        return lines_layer(NAME, line)
    layer = Shapes(
        name=NAME,
        ndim=2,
        face_color="transparent",
        features={"fate": [], "label": []},
        text={"string": "{label}", "color": "white", "size": 10, "anchor": "lower_left"},
        opacity=1.0,
        axis_labels=("row", "column"),
    )
    layer.editable = False
    return layer


def draw(layer: Shapes | Vectors, drawing: Drawing) -> None:
    """Replace what the layer shows.

    Data, then widths and colours, then features: shapes beyond the former number would come with those of others.
    """
    if len(drawing.shapes) == 0 and len(layer.data) == 0:
        return
    if isinstance(layer, Vectors):
        draw_lines(layer, *drawing.corners)
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
        low, high, start, end = top - gap - 0.5, bottom + gap - 0.5, left - gap - 0.5, right + gap - 0.5
        frames += [(low, start), (low, end), (high, end), (high, start), (low, start)]
    return np.array(frames)

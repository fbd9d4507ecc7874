"""Annotated boxes as shapes to edit, and shapes as boxes again. Whatever is drawn, its upright rectangle counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from ....core.annotations.finding_colors import finding_color
from ....core.annotations.image_boxes import texts
from ....core.base.names import slug
from ....core.base.text import readable
from ....core.images.geometry import BOX
from .. import layers
from .lines import MANY, draw_lines, lines_layer

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Vectors
    from numpy.typing import NDArray

    from ...app.session import Session
    from ..owned import OwnedLayers


EXTRAS = ("note", "birads")


def empty_layer(image_rows: int) -> Shapes:
    """Make a layer of annotated boxes without any."""
    import pandas as pd

    # napari takes no list of colours for no shapes: make one, and take it away.
    any_box = pd.DataFrame([["mass", 0.0, 0.0, 1.0, 1.0]], columns=["finding", *BOX])
    layer = layers.truth_layer(any_box, image_rows)
    layer.data = []
    layer.features = {"finding": []}
    return layer


def write(layer: Shapes, boxes: pd.DataFrame, image_rows: int) -> None:
    """Show boxes (source edges): only what differs from what the layer shows is replaced."""
    import pandas as pd

    width = layers.line_width(image_rows)
    if _shows(layer, boxes) and same(read(layer), boxes) and all(one == width for one in layer.edge_width):
        return
    names = [str(name) for name in boxes["finding"]]
    features = pd.DataFrame(
        {"finding": [readable(name) for name in names], **{key: texts(boxes, key) for key in EXTRAS}}, dtype=object
    )
    if not _shows(layer, boxes):
        chosen = set(layer.selected_data)
        corners = layers.rectangles(boxes[list(BOX)].to_numpy(np.float64))
        layer.data = (list(corners), ["rectangle"] * len(corners)) if len(corners) else []
        layer.selected_data = {row for row in chosen if row < len(corners)}
    colors = [finding_color(name) for name in names]
    if names:
        layer.edge_color = colors
        layer.edge_width = [width] * len(names)
        layer.face_color = "transparent"
    layer.features = features
    if names:
        layer.text.color = colors


def read(layer: Shapes) -> pd.DataFrame:
    """Boxes of a layer: `finding` (slug), source edges, `note`, `birads`."""
    import pandas as pd

    boxes = pd.DataFrame(_edges(layer), columns=list(BOX))
    features = layer.features.reset_index(drop=True)
    boxes.insert(0, "finding", [slug(text) for text in texts(features, "finding")])
    for key in EXTRAS:
        boxes[key] = texts(features, key)
    return boxes


def same(boxes: pd.DataFrame, others: pd.DataFrame) -> bool:
    """Whether two tables hold the same boxes, in the same order, with the same findings and remarks."""
    if len(boxes) != len(others) or list(boxes["finding"]) != list(others["finding"]):
        return False
    if any(texts(boxes, key) != texts(others, key) for key in EXTRAS):
        return False
    return np.allclose(boxes[list(BOX)].to_numpy(np.float64), others[list(BOX)].to_numpy(np.float64), rtol=0, atol=1e-3)


def first_difference(boxes: pd.DataFrame, others: pd.DataFrame) -> int:
    """First row of a table that is not the same in a shorter one."""
    rows = range(min(len(boxes), len(others)))
    return next((row for row in rows if not same(boxes.iloc[[row]], others.iloc[[row]])), len(others))


def _shows(layer: Shapes, boxes: pd.DataFrame) -> bool:
    if layer.nshapes != len(boxes) or any(kind != "rectangle" for kind in layer.shape_type):
        return False
    corners = layers.rectangles(boxes[list(BOX)].to_numpy(np.float64))
    return all(
        len(shown) == 4 and np.allclose(np.sort(shown, axis=0), np.sort(wanted, axis=0), rtol=0, atol=1e-3)
        for shown, wanted in zip(layer.data, corners, strict=True)
    )


def _edges(layer: Shapes) -> NDArray[np.float64]:
    """Upright rectangles around the shapes, (n, 4) in edges: half a pixel beyond the pixels' centres."""
    boxes = [np.concatenate([shape[:, -2:].min(axis=0), shape[:, -2:].max(axis=0)]) + 0.5 for shape in layer.data]
    return np.array(boxes, np.float64).reshape(-1, 4)


def draw_boxes(owned: OwnedLayers, session: Session) -> None:
    """Draw the boxes of the image shown, in place of those of the image before.

    The layer stays from image to image, empty where there are no boxes: removing one takes napari most of a second.

    Raises
    ------
    FindingsError
        If the table's boxes were made for an image of another size.
    """
    shown, image = owned.with_role("truth"), session.image
    drawn = (owned.facts(layer).get("shows") == (session.findings, session.image) for layer in shown)
    if not session.blind and any(drawn):
        return  # by hand into this very layer
    boxes = None
    try:
        seen = owned.find("mammogram") is not None and owned.is_flat and not session.blind
        findings = session.findings if seen else None
        if findings is not None and image is not None:
            boxes = findings.boxes(image.full_name, shape=image.shape)
    finally:  # boxes that do not fit must not leave those of the image before
        many = boxes is not None and len(boxes) > MANY
        kept = next((layer for layer in shown if boxes is not None and _may_stay(owned, layer, many)), None)
        for layer in shown:
            if layer is not kept:
                owned.remove(layer)
    if boxes is None or image is None:
        return
    if many:
        if kept is None:
            kept = lines_layer("ground truth", layers.line_width(image.shape[0]))
            owned.add(kept, "truth")
        corners = layers.rectangles(boxes[list(BOX)].to_numpy(np.float64))
        draw_lines(kept, corners, [finding_color(str(name)) for name in boxes["finding"]])
    elif kept is not None:
        write(kept, boxes, image.shape[0])
    elif len(boxes):
        owned.add(layers.truth_layer(boxes, image.shape[0]), "truth")


def is_drawable(layer: Shapes | Vectors) -> bool:
    """Whether a layer of annotated boxes is one of shapes, not of lines."""
    return isinstance(layer, Shapes)


def _may_stay(owned: OwnedLayers, layer: Shapes | Vectors, many: bool) -> bool:
    """Whether a layer of boxes can show others: its kind fits their number, and nobody draws into it, nor has."""
    return is_drawable(layer) is not many and layer.mode == "pan_zoom" and "shows" not in owned.facts(layer)

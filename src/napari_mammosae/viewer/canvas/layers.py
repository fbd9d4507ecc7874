"""The layers this plugin adds: how they are made and where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Shapes

from ...core.annotations.finding_colors import finding_color
from ...core.base.errors import ImageError
from ...core.images.rasters import single_plane
from .colors import heat_colormap

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ...core.images.mammogram import Mammogram
    from .stack import LatentStack


RANK = "rank"
"""What the axis of the stack is called, and so its slider."""
KEY = "napari-mammosae"
"""Where `layer.metadata` holds what a layer is about: `mammogram` (a `Mammogram`) and `findings` on images that were
opened, `drawn_over` (an image's identifier) on what was drawn. Copies carry it along, so it says nothing of whose a
layer is."""


def tags(layer: Layer) -> dict[str, Any]:
    """What a layer is about, to read; its copies share it."""
    known = layer.metadata.get(KEY)
    return known if isinstance(known, dict) else {}


def tag(layer: Layer, **facts: Any) -> None:
    """Set what a layer is about, and leave what its copies say, and layers the user linked it to."""
    layer.metadata[KEY] = {**tags(layer), **facts}


def may_be_mammogram(layer: Layer) -> bool:
    """Whether a layer can be looked at: a single 2-D image, neither drawn over a mammogram nor a copy of what was."""
    return isinstance(layer, Image) and layer.ndim == 2 and "drawn_over" not in tags(layer)


def mammogram_of(layer: Image) -> Mammogram | None:
    """The image that a layer was opened from, if it is what the layer shows."""
    image = tags(layer).get("mammogram")
    return image if image is not None and shows(layer, image) else None


def shows(layer: Image, image: Mammogram) -> bool:
    """Whether the pixels of a layer are those of an image, whoever put them there."""
    pixels, wanted = pixels_of(layer), image.displayed()
    if layer.rgb:
        try:
            pixels = single_plane(pixels, layer.name)
        except ImageError:
            return False
    return pixels is wanted or np.array_equal(pixels, wanted)


def pixels_of(layer: Image) -> NDArray[Any]:
    """Pixels of an image layer at full resolution; RGB ones as (rows, columns, channels)."""
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def world_affine(layer: Layer) -> NDArray[np.float64]:
    """3 x 3 matrix from (row, column, 1) of a 2-D layer to world coordinates, any scale, rotation or shear included."""
    origin, row, column = (np.asarray(layer.data_to_world(p), float) for p in ((0, 0), (1, 0), (0, 1)))
    matrix = np.eye(3)
    matrix[:2, 0], matrix[:2, 1], matrix[:2, 2] = row - origin, column - origin, origin
    return matrix


def stack_affine(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """4 x 4 matrix of a stack of planes from the 3 x 3 one of a plane; ranks stay whole numbers."""
    out = np.eye(4)
    out[1:, 1:] = matrix
    return out


def mammogram_layer(image: Mammogram) -> Image:
    """Make the layer of a mammogram, one world unit a source pixel."""
    return Image(image.displayed(), **mammogram_options(image))


def mammogram_options(image: Mammogram) -> dict[str, Any]:
    """How a mammogram is added to a viewer; its facts go along, for people under their own names."""
    spacing = image.spacing
    facts = {
        "image_id": image.image_id,
        "laterality": image.laterality,
        "view": image.view,
        "spacing_mm": spacing,
        **image.metadata,
    }
    return {
        "name": image.image_id,
        "colormap": "gray",
        "contrast_limits": image.contrast_limits(),
        "axis_labels": ("row", "column"),
        "rgb": False,
        "multiscale": False,
        "metadata": {**{k: v for k, v in facts.items() if v is not None}, KEY: {"mammogram": image}},
    }


def latents_layer(stack: LatentStack, limits: tuple[float, float], colormap: str) -> Image:
    """Make the layer of all latents."""
    return Image(
        stack,
        name="SAE latents",
        rgb=False,
        multiscale=False,
        contrast_limits=limits,
        colormap=heat_colormap(colormap),
        blending="translucent",
        interpolation2d="linear",
        projection_mode="none",
        axis_labels=(RANK, "row", "column"),
    )


def truth_layer(boxes: pd.DataFrame, image_rows: int) -> Shapes:
    """Make the layer of annotated boxes with their findings' names; edges are given in source pixels."""
    names = [str(name) for name in boxes["finding"]]
    colors = [finding_color(name) for name in names]
    layer = Shapes(
        rectangles(boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)),
        shape_type="rectangle",
        name="ground truth",
        features={"finding": [name.replace("_", " ") for name in names]},
        edge_color=colors,
        edge_width=line_width(image_rows),
        face_color="transparent",
        text={"string": "{finding}", "color": colors, "size": 12, "anchor": "upper_left"},
        axis_labels=("row", "column"),
    )
    layer.editable = False  # annotations are looked at here, not drawn
    return layer


def line_width(image_rows: int) -> float:
    """Width of lines over an image, in its pixels."""
    return max(1.0, image_rows / 300)


def rectangles(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) in edge coordinates as corners (n, 4, 2) for a Shapes layer, where pixel centres are integers."""
    top, left, bottom, right = (np.asarray(boxes, float).reshape(-1, 4) - 0.5).T
    return np.stack(
        [np.stack(c, axis=-1) for c in ((top, left), (top, right), (bottom, right), (bottom, left))], axis=1
    )

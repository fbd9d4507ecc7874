"""The layers this plugin adds: how they are made, where they lie, how they are found again.

A layer is known by the role in its metadata, never by its name, so users may rename as they like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from napari.layers import Image, Layer, Shapes

from .colors import finding_color, heat_colormap, pin_colormap

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from ...core.images.mammogram import Mammogram
    from ..app.session import Session
    from .stack import LatentStack


KEY = "napari-mammosae"
"""Where `layer.metadata` holds what this plugin knows about a layer: a dictionary with a `role`, and
`mammogram` (a `Mammogram`) on images its reader opened, `latent` (int) on pins."""

Role: TypeAlias = Literal[
    "mammogram", "latents", "truth", "pin", "found", "logit map", "comparison", "region", "heatmap"
]


def tags(layer: Layer) -> dict[str, Any]:
    """Return what this plugin knows about a layer, to read or to change."""
    known: dict[str, Any] = layer.metadata.setdefault(KEY, {})
    return known


def role_of(layer: Layer) -> Role | None:
    """Role of a layer; None for layers that are not this plugin's."""
    known = layer.metadata.get(KEY)
    return known.get("role") if isinstance(known, dict) else None


def with_role(layers: Iterable[Layer], role: Role) -> list[Any]:
    """All layers of a role, lowest first."""
    return [layer for layer in layers if role_of(layer) == role]


def find(layers: Iterable[Layer], role: Role) -> Any:
    """Return the first layer of a role, or None."""
    return next(iter(with_role(layers, role)), None)


def may_be_mammogram(layer: Layer) -> bool:
    """Whether a layer can be looked at: a single 2-D image that this plugin did not draw itself."""
    return isinstance(layer, Image) and layer.ndim == 2 and role_of(layer) in (None, "mammogram")


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


def latents_layer(stack: LatentStack, affine: NDArray[np.float64], limits: tuple[float, float], colormap: str) -> Image:
    """Make the layer of all latents; `affine` maps cells (row, column) to world coordinates."""
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
        affine=stack_affine(affine),
        axis_labels=("order", "row", "column"),
        metadata={KEY: {"role": "latents"}},
    )


def pin_layer(values: NDArray[np.float32], latent: int, affine: NDArray[np.float64], index: int) -> Image:
    """Make the layer of one pinned latent, in a hue of its own."""
    return Image(
        values,
        name=f"latent {latent}",
        rgb=False,
        multiscale=False,
        contrast_limits=_limits(values),
        colormap=pin_colormap(index),
        blending="translucent",
        interpolation2d="linear",
        affine=affine,
        axis_labels=("row", "column"),
        metadata={KEY: {"role": "pin", "latent": latent}},
    )


def show_pin(layer: Image, values: NDArray[np.float32], affine: NDArray[np.float64]) -> None:
    """Give a pinned layer the values of another image."""
    layer.data = values
    layer.contrast_limits = _limits(values)
    layer.affine = affine


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    high = float(values.max(initial=0.0))
    return 0.0, high if high > 0 else 1.0


def truth_layer(boxes: pd.DataFrame, affine: NDArray[np.float64], image_rows: int) -> Shapes:
    """Make the layer of annotated boxes with their findings' names; edges are given in source pixels."""
    names = [str(name) for name in boxes["finding"]]
    colors = [finding_color(name) for name in names]
    layer = Shapes(
        rectangles(boxes[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)),
        shape_type="rectangle",
        name="ground truth",
        features={"finding": [name.replace("_", " ") for name in names]},
        edge_color=colors,
        edge_width=max(1.0, image_rows / 300),
        face_color="transparent",
        text={"string": "{finding}", "color": colors, "size": 12, "anchor": "upper_left"},
        affine=affine,
        axis_labels=("row", "column"),
        metadata={KEY: {"role": "truth"}},
    )
    layer.editable = False  # annotations are looked at here, not drawn
    return layer


def rectangles(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) in edge coordinates as corners (n, 4, 2) for a Shapes layer, where pixel centres are integers."""
    top, left, bottom, right = (np.asarray(boxes, float).reshape(-1, 4) - 0.5).T
    return np.stack(
        [np.stack(c, axis=-1) for c in ((top, left), (top, right), (bottom, right), (bottom, left))], axis=1
    )


def draw_pins(viewer: ViewerModel, session: Session, affine: NDArray[np.float64] | None) -> None:
    """One layer a pin, with its map where `affine` takes cells; empty (None) until the image's latents are there."""
    shown = {tags(layer)["latent"]: layer for layer in with_role(viewer.layers, "pin")}
    for latent in shown.keys() - set(session.pins):
        viewer.layers.remove(shown[latent])
    maps = session.maps
    if maps is None or affine is None:
        for layer in with_role(viewer.layers, "pin"):
            layer.data = np.zeros_like(layer.data)
        return
    for index, latent in enumerate(session.pins):
        if latent in shown:
            show_pin(shown[latent], maps[latent], affine)
        else:
            _add_aside(viewer, pin_layer(maps[latent], latent, affine, index))


def _add_aside(viewer: ViewerModel, layer: Layer) -> None:
    """Add a layer on top and leave the one that was selected selected."""
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active

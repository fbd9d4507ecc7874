"""The layer that shows which positions push a prediction, before an edit, after it, or what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap

from .canvas import layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .intervention.state import EditView

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


def show(viewer: Any, view: EditView | None, affine: NDArray[np.float64] | None, logit: int, kind: MapKind) -> None:
    """Bring the layer up to date: made, filled, or removed."""
    layer = layers.find(viewer.layers, "logit map")
    if view is None or view.effect.maps is None or affine is None or kind == "none":
        if layer is not None:
            viewer.layers.remove(layer)
        return
    values, limit = values_of(view, logit, kind)
    if layer is not None and (not isinstance(layer, Image) or layer.data.shape != values.shape):
        viewer.layers.remove(layer)
        layer = None
    if layer is None:
        active = viewer.layers.selection.active
        viewer.add_layer(logit_map_layer(values, limit, affine))
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active
        layer = layers.find(viewer.layers, "logit map")
    else:
        np.copyto(layer.data, values)
        if tuple(layer.contrast_limits) != (-limit, limit):
            layer.contrast_limits_range = (-limit, limit)
            layer.contrast_limits = (-limit, limit)
        if not np.array_equal(layer.affine.affine_matrix, affine):
            layer.affine = affine
        layer.refresh(extent=False)
    layers.tags(layer).update(kind=kind, logit=logit, edit=view.edit.describe())


def logit_map_layer(values: NDArray[np.float32], limit: float, affine: NDArray[np.float64]) -> Image:
    """Make the layer; `affine` takes cells to world coordinates."""
    return Image(
        values,
        name="logit map",
        rgb=False,
        multiscale=False,
        contrast_limits=(-limit, limit),
        colormap=diverging_colormap(),
        blending="translucent",
        interpolation2d="linear",
        affine=affine,
        axis_labels=("row", "column"),
        metadata={layers.KEY: {"role": "logit map"}},
    )

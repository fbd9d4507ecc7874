"""Where the camera looks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray


_FILL = 0.8  # of the canvas: what is said above and below the image hides nothing of it, a marker least of all
_NAPARI_FILL, _NEAR = 0.95, 0.01


def extent_shown(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Lowest and highest world coordinates (2, 2) of a layer along the two axes that the canvas shows, down and right.

    napari can show the axes in another order. An axis that the layer does not have is a point.
    """
    world, missing = layer.extent.world, viewer.dims.ndim - layer.ndim
    axes = [axis - missing for axis in viewer.dims.displayed[-2:]]
    return np.stack([world[:, axis] if axis >= 0 else np.zeros(2) for axis in axes], axis=1)


def fit(viewer: ViewerModel, layer: Layer) -> None:
    """Bring all of a layer into view.

    napari's own way counts hidden layers in, and, given one layer, needs it to have as many dimensions as the stack.
    """
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], *extent_shown(viewer, layer).mean(axis=0))
    camera.zoom = _fitting_zoom(viewer, layer)


def is_fitted(viewer: ViewerModel, layer: Layer, canvas: tuple[int, int]) -> bool:
    """Whether the camera looks at all of a layer as `fit` or napari has it, in a canvas of so many rows and columns."""
    low, high = extent_shown(viewer, layer)
    camera, size = viewer.scene.camera, high - low
    filled = camera.zoom * float(np.max(size / np.maximum(canvas, 1)))
    there = np.abs(camera.center[-2:] - (low + high) / 2) < _NEAR * size
    return bool(there.all()) and any(abs(filled - fill) < _NEAR for fill in (_FILL, _NAPARI_FILL))


def fitted_size(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Rows and columns of the canvas that all of a layer takes once it is fitted."""
    low, high = extent_shown(viewer, layer)
    size: NDArray[np.float64] = (high - low) * _fitting_zoom(viewer, layer)
    return size


def _fitting_zoom(viewer: ViewerModel, layer: Layer) -> float:
    low, high = extent_shown(viewer, layer)
    return _FILL * float(np.min(viewer.canvas.viewbox_size(viewer.layers) / np.maximum(high - low, 1)))


def leave_room(viewer: ViewerModel, layer: Layer) -> None:
    """Zoom out as far as the texts need, if the camera looks at all of a layer as napari's Home does.

    napari asks for the same view without a margin to export figures, which are left as large as they are.
    """
    low, high = extent_shown(viewer, layer)
    filled = viewer.scene.camera.zoom * float(np.max((high - low) / viewer.canvas.viewbox_size(viewer.layers)))
    if abs(filled - _NAPARI_FILL) < _NEAR:
        viewer.scene.camera.zoom *= _FILL / _NAPARI_FILL


def magnify(viewer: ViewerModel, layer: Layer, factor: float = 3.0) -> None:
    """Zoom in on what lies under the mouse, which stays where it is; on the middle if the mouse is beside the layer."""
    camera = viewer.scene.camera
    low, high = extent_shown(viewer, layer)
    at = np.array([viewer.cursor.position[axis] for axis in viewer.dims.displayed[-2:]])
    middle = np.array(camera.center[-2:])
    if not ((at >= low) & (at <= high)).all():
        at = middle
    camera.center = (*camera.center[:-2], *(at + (middle - at) / factor))
    camera.zoom *= factor


@contextmanager
def same_view(viewer: ViewerModel, layer: Layer) -> Iterator[None]:
    """Keep the part of a layer that is looked at, or all of it.

    napari shows everything anew once a stack brings a third dimension, whatever was zoomed in on, and takes the room
    for its slider from the canvas.
    """
    camera = viewer.scene.camera
    center, zoom = camera.center[-2:], camera.zoom
    was_whole = _FILL * zoom <= 1.02 * _fitting_zoom(viewer, layer)
    yield
    fit(viewer, layer)
    if not was_whole:
        camera.center, camera.zoom = (*camera.center[:-2], *center), zoom

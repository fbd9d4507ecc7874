"""The colourbar of the latents, readable over whatever lies behind it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from weakref import ref

from . import layers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_AREA = (200.0, 90.0)
"""Height and width in canvas pixels, from the top right corner, of a colourbar with its numbers."""


class Colorbar:
    """Shows the colourbar, with a box behind it only while a layer reaches below it.

    The box is made anew, shaders and all, several times whenever the colour scale changes, which by default is at every
    step through the latents: with OpenGL in software a fifth of the step. Beside the image there is nothing to cover.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = ref(viewer)
        self._undo = ExitStack()
        camera = viewer.scene.camera.events
        for event in (camera.zoom, camera.center, viewer.canvas.events.size, viewer.canvas.grid.events.enabled):
            event.connect(self.update)
            self._undo.callback(event.disconnect, self.update)

    def cleanup(self) -> None:
        """Follow the view no longer."""
        self._undo.close()

    def show(self) -> None:
        """Show it, if there are latents."""
        if (layer := self._stack_layer) is not None:
            self.update()
            layer.colorbar.visible = True

    def update(self, *_: object) -> None:
        """Cover what lies behind, or nothing."""
        layer = self._stack_layer
        if layer is not None and layer.colorbar.box != (covers := self._covers()):
            layer.colorbar.box = covers

    @property
    def _stack_layer(self) -> Image | None:
        return layers.find(viewer.layers, "latents") if (viewer := self._viewer()) is not None else None

    def _covers(self) -> bool:
        viewer = self._viewer()
        if viewer is None or viewer.canvas.grid.enabled:
            return True
        camera, (height, width) = viewer.scene.camera, viewer.canvas.size
        row, col = camera.center[-2:]
        bottom = row + (_AREA[0] - height / 2) / camera.zoom
        left = col + (width / 2 - _AREA[1]) / camera.zoom
        top, right = row - height / 2 / camera.zoom, col + width / 2 / camera.zoom
        for layer in viewer.layers:
            if layer.visible:
                (row_min, col_min), (row_max, col_max) = layer.extent.world[:, -2:]
                if row_min < bottom and row_max > top and col_max > left and col_min < right:
                    return True
        return False

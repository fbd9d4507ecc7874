"""napari's own Home and grid buttons, made to suit an image with layers drawn over it and texts above and below."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from weakref import ref

from .camera import fit, is_fitted, leave_room

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .owned import OwnedLayers


class Arrangement:
    """Keeps Home from putting the image under the texts, and the grid from taking image and latents apart.

    An image that all of is looked at stays so in a canvas of another size.
    """

    def __init__(self, viewer: ViewerModel, owned: OwnedLayers) -> None:
        self._viewer, self._owned = ref(viewer), owned
        self._stride: int | None = None
        self._size: tuple[int, int] = viewer.canvas.size
        self._undo = ExitStack()
        for event, callback in (
            (viewer.events.reset_view, self._on_home),
            (viewer.canvas.grid.events.enabled, self._on_grid),
            (viewer.layers.events.inserted, self._on_grid),
            (viewer.layers.events.removed, self._on_grid),
            (viewer.layers.events.reordered, self._on_grid),
        ):
            event.connect(callback)
            self._undo.callback(event.disconnect, callback)
        viewer.canvas.events.size.connect(self._on_size, position="first")  # texts are laid out around the image
        self._undo.callback(viewer.canvas.events.size.disconnect, self._on_size)

    def cleanup(self) -> None:
        """Follow the buttons no longer."""
        self._undo.close()

    def _on_home(self, *_: object) -> None:
        viewer = self._viewer()
        looking = viewer is not None and viewer.dims.ndisplay == 2 and not viewer.canvas.grid.enabled
        image = self._owned.find("mammogram")
        if viewer is not None and looking and image is not None:
            leave_room(viewer, image)

    def _on_size(self, *_: object) -> None:
        viewer = self._viewer()
        if viewer is None or min(viewer.canvas.size) <= 0:
            return
        before, self._size = self._size, viewer.canvas.size
        image, is_plane = self._owned.find("mammogram"), viewer.dims.ndisplay == 2 and not viewer.canvas.grid.enabled
        if image is not None and is_plane and is_fitted(viewer, image, before):
            fit(viewer, image)

    def _on_grid(self, *_: object) -> None:
        """Let the image and all that lies over it share a cell; *Side by side* and an exam arrange their own."""
        viewer = self._viewer()
        if viewer is None or self._owned.with_role("comparison", "exam"):
            return
        grid, image = viewer.canvas.grid, self._owned.find("mammogram")
        if not grid.enabled:
            if self._stride is not None:
                grid.stride, self._stride = self._stride, None
        elif image is not None and self._owned.drawn:
            self._stride = grid.stride if self._stride is None else self._stride
            grid.stride = viewer.layers.index(image) - len(viewer.layers)  # from the top of the list

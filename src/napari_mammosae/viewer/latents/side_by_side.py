"""The pinned latents side by side in napari's grid, each over its own copy of the mammogram."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes, Vectors
from psygnal import Signal

from ...core.images.geometry import BOX
from ...core.models.latents import LatentMaps
from ..canvas.boxes.lines import lines_layer, lines_of
from ..canvas.boxes.shapes import is_drawable, read
from ..canvas.layers import pixels_of, rectangles
from ..canvas.owned import PIXELS
from ..canvas.pins import pin_layer
from ..canvas.redraw import garbage_later
from ..context import Context, Controller


class SideBySide(Controller):
    """Turns the comparison on and off; what was there before is hidden meanwhile and comes back as it was.

    While it is on it follows the session: other pins or another image are compared as soon as they are there.

    Attributes
    ----------
    toggled
        Emits whether the comparison is on, after it changed.
    """

    toggled = Signal(bool)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._before: ExitStack | None = None
        self._hidden: list[Layer] = []
        self._rebuild = self.debounced(self._refresh, 0)
        events = self.session.events
        for event in (events.pins, events.maps, events.findings):
            self.listen(event, self._on_change)

    def close(self) -> None:
        """End the comparison and stop listening."""
        self.restore()
        self._rebuild.cancel()
        super().close()

    @property
    def shown(self) -> bool:
        """Whether the comparison is on."""
        return self._before is not None

    def hides(self, layer: Layer) -> bool:
        """Whether a layer is hidden for as long as the comparison is on."""
        return layer in self._hidden

    def show(self) -> None:
        """Compare the pinned latents; says what is missing when there is nothing to compare."""
        viewer, session, image_layer = self.scene.viewer, self.session, self.scene.image_layer
        if viewer is None or session.maps is None or image_layer is None:
            self.status.tell("Compute the latents of an image first, then pin those to compare.", error=True)
        elif self.scene.owned.with_role("exam"):
            self.status.tell("Leave the exam view first: Show exam in the Images dock.", error=True)
        elif not session.pins:
            self.status.tell("Pin the latents to compare: select rows, then Pin.", error=True)
        else:
            self.restore(announce=False)
            self._before = ExitStack()
            try:
                self._arrange(viewer, session.maps, image_layer, self._before)
            except BaseException:  # never leave the user with every layer hidden
                self.restore()
                raise
        self.toggled.emit(self.shown)

    def restore(self, *, announce: bool = True) -> None:
        """Remove the copies and bring back the layers, the grid and the camera of before."""
        if self._before is not None:
            undo, self._before = self._before, None
            with garbage_later():
                undo.close()
            if announce:
                self.toggled.emit(False)

    def toggle(self) -> None:
        """Turn the comparison on or off."""
        if self.shown:
            self.restore()
        else:
            self.show()

    def _arrange(self, viewer: ViewerModel, maps: LatentMaps, image_layer: Image, undo: ExitStack) -> None:
        grid, before = viewer.canvas.grid, list(viewer.layers)
        cells, owned = self.scene.cells_to_pixels(maps), self.scene.owned
        truths, pins = (
            [layer for layer in owned.with_role("truth") if len(layer.data)],
            {owned.facts(pin)["latent"]: pin for pin in owned.with_role("pin")},
        )
        undo.callback(_restore_camera(viewer))
        active = viewer.layers.selection.active
        if active is not None:
            undo.callback(_activate, viewer, active)
        self._hidden = [layer for layer in before if layer.visible]
        undo.callback(self._hidden.clear)
        for layer in before:
            undo.callback(self._bring_back, layer, layer.visible, image_layer)
            layer.visible = False
        stride = 2 + bool(truths)
        text = viewer.canvas.overlays.text  # it is about the stack, which is hidden
        undo.callback(self.scene.write_texts)

        def hide() -> None:
            text.visible = False

        hide()
        text.events.visible.connect(hide)
        undo.callback(text.events.visible.disconnect, hide)
        # With a negative stride napari counts groups from the top of the list, so what lies below does not matter;
        # the groups are added last pin first.
        named = []
        for latent in reversed(self.session.pins):
            named.append(_copy_of_pin(pins.get(latent), maps, latent))
            boxes = [(_copy_of_truth(layer), PIXELS) for layer in truths[:1]]
            for copy, to_pixels in ((_copy_of(image_layer), PIXELS), (named[-1], cells), *boxes):
                owned.add(copy, "comparison", to_pixels)
                undo.callback(owned.remove, copy)
        for copy in named:  # later than the layers are added: napari lays all texts out anew for each
            copy.name_overlay.visible = True
        for name, value in (("stride", -stride), ("shape", (-1, -1)), ("spacing", 4.0), ("enabled", True)):
            undo.callback(setattr, grid, name, getattr(grid, name))
            setattr(grid, name, value)
        viewer.reset_view()
        for event, callback in (
            (viewer.layers.events.inserted, self._on_layers),
            (viewer.layers.events.removed, self._on_layers),
            (grid.events.enabled, self._on_grid),
        ):
            event.connect(callback)
            undo.callback(event.disconnect, callback)

    def _bring_back(self, layer: Layer, visible: bool, mammogram: Layer) -> None:
        """Show a layer as before, unless it is the mammogram and another one was opened meanwhile."""
        if layer is not mammogram or layer is self.scene.image_layer:
            layer.visible = visible

    def _on_grid(self, *_: object) -> None:
        """Without the grid all copies would lie on each other."""
        if (viewer := self.scene.viewer) is not None and not viewer.canvas.grid.enabled:
            self.restore()

    def _on_layers(self, event: Any) -> None:
        if self.scene.owned.role_of(event.value) != "pin":  # a new pin comes with `events.pins`, hidden until then
            self._on_change()

    def _on_change(self, *_: object) -> None:
        if self.shown:
            self._rebuild()

    def _refresh(self) -> None:
        """Compare anew: other pins, another image, or layers that somebody added or removed."""
        if not self.shown:
            return
        if self.session.maps is None or not self.session.pins:
            self.restore()
        else:
            self.show()


def _copy_of(layer: Image) -> Image:
    """The mammogram once more, sharing its pixels."""
    return Image(
        pixels_of(layer),
        name=layer.name,
        rgb=False,
        multiscale=False,
        colormap=layer.colormap,
        contrast_limits=layer.contrast_limits,
        gamma=layer.gamma,
        axis_labels=("row", "column"),
    )


def _copy_of_pin(own: Image | None, maps: LatentMaps, latent: int) -> Image:
    """The pinned latent once more, in the colours its own layer has, its name in the cell's corner."""
    copy = pin_layer(maps[latent], latent, 0)
    if own is not None:
        copy.colormap, copy.contrast_limits = own.colormap, own.contrast_limits
    copy.name = f"pin {latent}"  # napari would number a second layer of the same name, and the name is shown
    copy.name_overlay.position = "top_right"  # the other corners hold the viewer's own texts
    return copy


def _copy_of_truth(layer: Shapes | Vectors) -> Vectors:
    """The annotated boxes once more, four lines each: a layer of lines is made in a fraction of a second."""
    if not is_drawable(layer):
        copy: Vectors = Vectors.create(*layer.as_layer_data_tuple())
        copy.name = "boxes"
        return copy
    copy = lines_layer("boxes", max(layer.edge_width, default=1.0))
    copy.data = lines_of(rectangles(read(layer)[list(BOX)].to_numpy(float)))
    copy.edge_color = np.repeat(layer.edge_color, 4, axis=0)
    return copy


def _restore_camera(viewer: ViewerModel) -> Callable[[], None]:
    camera = viewer.scene.camera
    center, zoom = camera.center, camera.zoom

    def restore() -> None:
        camera.center, camera.zoom = center, zoom

    return restore


def _activate(viewer: ViewerModel, layer: Any) -> None:
    if layer in viewer.layers:
        viewer.layers.selection.active = layer

"""The session as layers and texts of its viewer, and the slider's moves back into the session."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import ref

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.base.errors import SettingsError
from ...core.images.geometry import cell_affine
from . import colors, layers
from .arrangement import Arrangement
from .boxes.shapes import draw_boxes
from .camera import fit, same_view
from .latent_view import contrast_limits, resolve
from .owned import OwnedLayers
from .pins import draw_pins
from .redraw import Colorbars, drawn_once, pictured_later, sliced_once
from .sides import air_side, keep_beside, put_texts
from .stack import LatentStack
from .texts import write_latent, write_prediction
from .tools.rank_slider import count_from_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from ...core.images.mammogram import Mammogram
    from ...core.models.latents import LatentMaps
    from ..app.session import Session

_LETTERS = 18  # of a line beside the image, where there is little room
_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units")


class Scene:
    """Keeps a viewer's layers true to a session.

    Other code changes the session alone. The viewer is referenced weakly: a scene does not keep it alive. `telling` is
    entered around what may fail for the user's data.

    Attributes
    ----------
    owned
        The layers that are this plugin's.
    replaced
        Emits when the mammogram's layer was given other data than by `put`.
    arranged
        Emits when something may be displayed in another way: the mammogram's place, the axes, a layer's visibility.
    """

    replaced = Signal()
    arranged = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        telling: Callable[[], AbstractContextManager[None]] = nullcontext,
        colormap: str = "ember",
    ) -> None:
        self.session = session
        self._telling = telling
        self.colormap = colormap
        self._viewer = ref(viewer)
        self._undo = ExitStack()
        self._setting_limits = self._adding = self._putting = self._hidden_for_3d = False
        self._latents_seen = True
        self.owned = OwnedLayers(viewer)
        self._undo.callback(self.owned.cleanup)
        for event, callback in (
            (session.events.maps, self._on_maps),
            (session.events.model, self._on_model),
            (session.events.model, self._show_prediction),
            (session.events.image, self._show_prediction),
            (session.events.hidden_heads, self._show_prediction),
            (session.events.order, self._on_order),
            (session.events.current, self._show_current),
            (session.events.verdicts, self._show_current),
            (session.events.contrast, self._show_current),
            (session.events.pins, self._show_pins),
            (session.events.blind, self._on_blind),
            (session.events.findings, self.show_boxes),
            (session.events.image, self._on_image),
            (viewer.dims.events.current_step, self._on_step),
            (viewer.dims.events.ndisplay, self._hide_in_3d),
            (viewer.dims.events.ndisplay, self._on_ndisplay),
            (viewer.dims.events.order, self._on_axes),
            (viewer.layers.events, self._on_list),
            (viewer.canvas.events.size, self.write_texts),
            (viewer.canvas.grid.events.enabled, self.write_texts),
            (self.owned.deleted, self._on_deleted),
        ):
            self._connect(event, callback)
        sliced_once(viewer)
        self._colorbars = Colorbars(viewer, self.owned)
        self._undo.callback(self._colorbars.cleanup)
        self._undo.callback(Arrangement(viewer, self.owned).cleanup)
        put_texts(viewer, "left")

    def cleanup(self) -> None:
        """Cut every connection; layers stay as they are."""
        self._undo.close()

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, None when it is gone."""
        return self._viewer()

    @property
    def image_layer(self) -> Image | None:
        """The layer that is the mammogram, None when there is none or it was removed."""
        layer: Image | None = self.owned.find("mammogram")
        return layer

    @image_layer.setter
    def image_layer(self, layer: Image | None) -> None:
        before = self.image_layer
        if layer is before:
            return
        if before is not None:
            self.owned.release(before)
            self._follow(before, False)
        if layer is not None:
            self.owned.give(layer, "mammogram")
            self._follow(layer, True)

    def _follow(self, layer: Image, on: bool) -> None:
        """Follow where a layer lies and what it holds, or no longer."""
        events = [(getattr(layer.events, name), self._on_transform) for name in _TRANSFORMS]
        for event, callback in (*events, (layer.events.data, self._on_data)):
            (event.connect if on else event.disconnect)(callback)

    def put(self, layer: Image, pixels: NDArray[Any], options: dict[str, Any]) -> None:
        """Make a mammogram's layer that of the image which the session looks at next; see `mammogram_options`."""
        self._putting = True
        try:
            layer.data = pixels
        finally:
            self._putting = False
        layer.name = options["name"]
        layer.metadata.clear()  # in place: it is not for layers that the user linked to this one
        layer.metadata.update(options["metadata"])

    def look_at(self, layer: Image | None) -> None:
        """Make a layer the mammogram and show it alone, below what is drawn over it."""
        before, viewer = self.image_layer, self.viewer
        self.image_layer = layer
        if layer is None or viewer is None:
            return
        layer.visible = True
        if before is not None and before is not layer:
            before.visible = False
            if before.extent.world.tolist() != layer.extent.world.tolist():
                fit(viewer, layer)
        for over in reversed(viewer.layers[:]):
            below = viewer.layers.index(over) < viewer.layers.index(layer)
            if below and over in self.owned.drawn and self.owned.role_of(over) != "exam":  # it stays at the bottom
                viewer.layers.move(viewer.layers.index(over), viewer.layers.index(layer) + 1)

    @property
    def stack_layer(self) -> Image | None:
        """The layer of all latents, None while there is none."""
        layer: Image | None = self.owned.find("latents")
        return layer

    def show_stack(self) -> None:
        """Put the latents over the mammogram: into their layer, or into a new one (the user may have deleted it)."""
        maps, order, viewer = self.session.maps, self.session.order, self.viewer
        if maps is None or order is None or viewer is None or self.image_layer is None:
            return
        cells = self.cells_to_pixels(maps)
        layer = self.stack_layer
        if layer is not None and not isinstance(layer.data, LatentStack):
            self.owned.release(layer)  # the user has put something else into it
            layer = None
        elif layer is not None and layer.data.shape != maps.shape:
            self.owned.remove(layer)
            layer = None
        if layer is None:
            limits = contrast_limits(self.session, maps, self.session.current or 0)
            layer = layers.latents_layer(LatentStack(maps, order.latents), limits, self.colormap)
            pictured_later(layer)
            layer.events.contrast_limits.connect(self._on_limits)
            layer.visible = viewer.dims.ndisplay == 2
            self._hidden_for_3d = not layer.visible
            self._adding = True  # the slider appears at 0 before it is put where it belongs
            with same_view(viewer, self.image_layer):
                self.owned.add(layer, "latents", cells, at=viewer.layers.index(self.image_layer) + 1)
            self._adding = False
            viewer.layers.selection.active = layer
            viewer.dims.rollable = tuple(axis != self._axis for axis in range(viewer.dims.ndim))
            self._colorbars.show_later()
            count_from_one(viewer)
        elif not layer.data.shows(maps, order.latents):
            layer.data.show(maps, order.latents)
            self.owned.lay(layer, cells)
            if self._is_at_current():  # else it is read once the slider gets there
                layer.refresh(extent=False)
        top = float(maps.pooled_max.max(initial=0.0)) or 1.0
        with self._quietly():
            layer.contrast_limits_range = (0.0, top)
        self._hide_in_3d()
        self._show_current()

    def set_stack_aside(self, name: str) -> Image | None:
        """Hide the stack under a name of its own, so that another one can take its place; return its layer."""
        layer = self.stack_layer
        if layer is None or not isinstance(layer.data, LatentStack):
            return None
        layer.name, layer.visible, layer.colorbar.visible = name, False, False
        self.owned.hand_over(layer, "other latents")
        return layer

    def take_stack(self, layer: Image | None) -> None:
        """Make a stack that was set aside the one of the session's latents again; show them with `show_stack` then."""
        viewer = self.viewer
        if layer is None or viewer is None or self.owned.role_of(layer) != "other latents":
            return
        self.owned.hand_over(layer, "latents")
        layer.visible = viewer.dims.ndisplay == 2
        self._hidden_for_3d = not layer.visible
        viewer.layers.selection.active = layer
        self._colorbars.show_later()

    def see_latents(self, seen: bool) -> None:
        """Show the latents, and what is written of the current one, or make way for something else."""
        self._latents_seen = seen
        if (layer := self.stack_layer) is not None:
            layer.visible = seen
        self._show_current()

    def show_boxes(self, *_: object) -> None:
        """Draw the boxes of the image shown, in place of those of the image before."""
        with self._telling():
            draw_boxes(self.owned, self.session)

    def write_texts(self, *_: object) -> None:
        """Write the texts about the image shown, in place of others."""
        self._show_current()
        self._show_prediction()
        self.arranged.emit()

    def set_colormap(self, name: str) -> None:
        """Colour the latents by another map."""
        self.colormap = name
        if (layer := self.stack_layer) is not None:
            layer.colormap = colors.heat_colormap(name)

    def cells_to_pixels(self, maps: LatentMaps) -> NDArray[np.float64]:
        """3 x 3 matrix from (row, column, 1) of a cell to the mammogram's pixels; SettingsError without the image."""
        if self.image_layer is None or maps.frame is None:
            raise SettingsError("These latents do not come from the image that is shown.")
        return cell_affine(maps.frame, maps.shape[1:])

    def _connect(self, event: Any, callback: Callable[..., None]) -> None:
        event.connect(callback)
        self._undo.callback(event.disconnect, callback)

    @property
    def _axis(self) -> int:
        """Axis of the viewer that the ranks lie on; other layers may have brought axes before it."""
        viewer = self.viewer
        return viewer.dims.ndim - 3 if viewer is not None else 0

    def _on_model(self, model: object) -> None:
        if model is None and (layer := self.stack_layer) is not None:
            self.owned.remove(layer)

    def _on_image(self, image: Mammogram | None) -> None:
        self.owned.draw_over(image.image_id if image is not None else None)
        self.owned.unlink()
        self._place_texts()
        self.show_boxes()

    def _on_maps(self, maps: LatentMaps | None) -> None:
        layer = self.stack_layer
        if maps is not None:
            self.show_stack()
            QTimer.singleShot(0, self._show_prediction)  # apart, so that the window stalls less
        elif layer is not None and isinstance(layer.data, LatentStack):
            layer.data.clear()
            layer.refresh(extent=False)
        if maps is None:
            self._show_prediction()
        self._show_current()
        self._show_pins()

    def _on_order(self, order: object) -> None:
        if order is not None and self.stack_layer is not None and self.viewer is not None:
            with drawn_once(self.viewer):
                self.show_stack()

    def _is_at_current(self) -> bool:
        """Whether the slider is where the current latent stands in the order."""
        viewer = self.viewer
        return viewer is not None and round(viewer.dims.point[self._axis]) == self.session.rank

    def _on_step(self) -> None:
        viewer, order, layer = self.viewer, self.session.order, self.stack_layer
        if self._adding or viewer is None or order is None or layer is None or self.session.maps is None:
            return
        rank = round(viewer.dims.point[self._axis])
        with drawn_once(viewer):
            self.session.current = int(order.latents[min(max(rank, 0), order.latents.size - 1)])
            if not self._is_at_current():  # another stack has more latents
                self._show_current()

    def _on_blind(self, *_: object) -> None:
        """Hide what would sway a judge, or bring it back."""
        self.show_boxes()
        self._show_prediction()
        self._show_current()

    def _on_ndisplay(self) -> None:
        self.show_boxes()
        self.arranged.emit()

    def _hide_in_3d(self) -> None:
        """Hide the stack in 3-D, where napari would read all of it as a volume."""
        viewer, layer = self.viewer, self.stack_layer
        if viewer is None or layer is None:
            return
        if viewer.dims.ndisplay == 3 and layer.visible:
            self._hidden_for_3d, layer.visible = True, False
        elif viewer.dims.ndisplay == 2 and self._hidden_for_3d:
            self._hidden_for_3d, layer.visible = False, True

    def _on_axes(self) -> None:
        self.arranged.emit()

    def _on_list(self, event: Any) -> None:
        if event.type == "visible":
            self.arranged.emit()

    def _on_limits(self, event: Any) -> None:
        """The user moved the limits in napari's own controls: from now on they are set by hand."""
        layer = self.stack_layer
        if not self._setting_limits and layer is not None and layer is event.source:
            self.session.manual_limits = tuple(layer.contrast_limits)
            self.session.contrast = "manual"

    def _place_texts(self) -> None:
        """Put what is written on the side of the air, and colour scales on the other one."""
        viewer, layer, image = self.viewer, self.image_layer, self.session.image
        if viewer is not None and layer is not None and image is not None:
            put_texts(viewer, air_side(layer, image.laterality))
            self._colorbars.show_later()

    def _on_transform(self) -> None:
        self.owned.follow()
        self._place_texts()
        self.arranged.emit()

    def _on_data(self) -> None:
        if not self._putting:
            self.replaced.emit()

    def _on_deleted(self, layer: Any, role: str, facts: dict[str, Any]) -> None:
        if role == "mammogram":
            self._follow(layer, False)
            QTimer.singleShot(0, self._forget_image)  # the layer list is still in the middle of removing
        elif role == "pin":
            self.session.pins = tuple(pin for pin in self.session.pins if pin != facts["latent"])
        elif role == "latents":
            self._show_current()

    def _forget_image(self) -> None:
        if self.image_layer is None:
            self.owned.hide_drawn()
            self.session.image = None
            for layer in self.owned.drawn:
                self.owned.remove(layer)

    def _show_current(self, *_: object) -> None:
        viewer = self.viewer
        if viewer is None:
            return
        view, layer = resolve(self.session), self.stack_layer
        if view is None or layer is None:
            write_latent(viewer, "")
            return
        with drawn_once(viewer):
            if not self._is_at_current():
                viewer.dims.set_point(self._axis, view.rank)
            if self.owned.find("exam") is not None:  # it shows the latent in its own way
                return
            if tuple(layer.contrast_limits) != view.limits:
                with self._quietly():
                    layer.contrast_limits = view.limits
            text = keep_beside(viewer, self.image_layer, "top", view.text, _LETTERS)
            write_latent(viewer, text if self._latents_seen else "")

    def _show_prediction(self, *_: object) -> None:
        if (viewer := self.viewer) is not None:
            with drawn_once(viewer):
                alone = not self.owned.with_role("exam")
                write_prediction(viewer, self.session, chances=alone, beside=self.image_layer if alone else None)

    def _show_pins(self, *_: object) -> None:
        maps, there = self.session.maps, self.image_layer is not None
        draw_pins(self.owned, self.session, self.cells_to_pixels(maps) if maps is not None and there else None)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """While entered, changes of contrast limits are the scene's own and not the user's."""
        self._setting_limits = True
        try:
            yield
        finally:
            self._setting_limits = False

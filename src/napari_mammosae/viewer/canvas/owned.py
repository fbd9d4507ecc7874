"""Which layers of a viewer are this plugin's: the very ones it made, and the one that is looked at.

napari copies a layer's name and metadata to its duplicates, projections, parts and conversions, so neither says whose
a layer is. All other layers in the list are the user's: never changed, hidden or removed from here.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.layers.utils._link_layers import layer_is_linked
from psygnal import Signal

from .layers import stack_affine, tag, world_affine

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

Role: TypeAlias = Literal[
    "mammogram",
    "latents",
    "other latents",
    "truth",
    "pin",
    "found",
    "logit map",
    "comparison",
    "region",
    "heatmap",
    "ruler",
    "exam",
]

PIXELS = np.eye(3)
"""Where a layer lies whose rows and columns are those of the mammogram."""


@dataclass(slots=True, eq=False)
class _Place:
    role: Role
    to_pixels: NDArray[np.float64]
    facts: dict[str, Any] = field(default_factory=dict)


class OwnedLayers:
    """The layers of one viewer that have a role, by identity.

    A layer that leaves the list has none any more, even if the user puts it back.

    Attributes
    ----------
    deleted
        Emits (layer, role, facts) when somebody else removed a layer that had a role.
    """

    deleted = Signal(object, str, dict)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = ref(viewer)
        self._image_id: str | None = None
        self._places: WeakKeyDictionary[Layer, _Place] = WeakKeyDictionary()
        self._undo = ExitStack()
        for event, callback in (
            (viewer.layers.events.removed, self._on_removed),
            (viewer.layers.selection.events.changed, self.unlink),
        ):
            event.connect(callback)
            self._undo.callback(event.disconnect, callback)

    def cleanup(self) -> None:
        """Look at the list no longer."""
        self._undo.close()

    def add(
        self,
        layer: Layer,
        role: Role,
        to_pixels: NDArray[np.float64] = PIXELS,
        *,
        at: int | None = None,
        **facts: Any,
    ) -> None:
        """Add a layer to the list, on top or at a place, and leave selected what was selected.

        `to_pixels` (3 x 3) takes its rows and columns to pixels of the mammogram; `facts` is what to remember about it.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        self.give(layer, role, **facts)
        tag(layer, drawn_over=self._image_id)
        self.lay(layer, to_pixels)
        if layer.ndim > viewer.layers.ndim:
            viewer.layers.units = None  # what the user set for all layers has too few axes, and napari stumbles over it
        active = viewer.layers.selection.active
        viewer.layers.insert(len(viewer.layers) if at is None else at, layer)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    def lay(self, layer: Layer, to_pixels: NDArray[np.float64]) -> None:
        """Lay a layer over the mammogram, whose units it takes too: napari shows none together that do not fit."""
        self._places[layer].to_pixels = to_pixels
        if (image_layer := self.find("mammogram")) is not None:
            matrix = world_affine(image_layer) @ to_pixels
            wanted = matrix if layer.ndim == 2 else stack_affine(matrix)
            if not np.array_equal(layer.affine.affine_matrix, wanted):
                layer.affine = wanted
            layer.units = (*layer.units[:-2], *image_layer.units)

    @property
    def is_flat(self) -> bool:
        """Whether the canvas is in 2-D: in 3-D napari cannot take other shapes into a layer of plane ones."""
        viewer = self._viewer()
        return viewer is None or viewer.dims.ndisplay == 2

    def follow(self) -> None:
        """Lay all that is drawn over the mammogram, which was moved."""
        for layer in self.drawn:
            self.lay(layer, self._places[layer].to_pixels)

    def draw_over(self, image_id: str | None) -> None:
        """Remember over which image is drawn from now on; copies made before keep theirs."""
        self._image_id = image_id
        for layer in self.drawn:
            tag(layer, drawn_over=image_id)

    def give(self, layer: Layer, role: Role, **facts: Any) -> None:
        """Give a layer its role."""
        self._places[layer] = _Place(role, PIXELS, facts)

    def hand_over(self, layer: Layer, role: Role) -> None:
        """Give a layer that has a role another one; it stays where it lies."""
        self._places[layer].role = role

    def release(self, layer: Layer) -> None:
        """Leave a layer to the user."""
        self._places.pop(layer, None)

    def remove(self, layer: Layer) -> None:
        """Take a layer out of the list, which is not announced as the user's wish."""
        self.release(layer)
        if (viewer := self._viewer()) is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def hide_drawn(self) -> None:
        """Hide all that is drawn, before any of it is removed.

        Mesa's software OpenGL can crash when napari draws layers between the removals of others.
        """
        for layer in self.drawn:
            layer.visible = False

    def role_of(self, layer: Any) -> Role | None:
        """Role of a layer; None for the user's."""
        place = self._places.get(layer)
        return place.role if place is not None else None

    def facts(self, layer: Layer) -> dict[str, Any]:
        """What is remembered about a layer that has a role, to read or to change."""
        return self._places[layer].facts

    def with_role(self, *roles: Role) -> list[Any]:
        """All layers in the list with one of these roles, lowest first."""
        viewer = self._viewer()
        return [layer for layer in viewer.layers if self.role_of(layer) in roles] if viewer is not None else []

    def place_below(self, *roles: Role) -> int | None:
        """Where a layer is to be put to lie below all that have one of these roles; None without any."""
        viewer, above = self._viewer(), self.with_role(*roles)
        return viewer.layers.index(above[0]) if viewer is not None and above else None

    def find(self, role: Role) -> Any:
        """Return the lowest layer of a role, or None."""
        return next(iter(self.with_role(role)), None)

    @property
    def drawn(self) -> list[Any]:
        """All layers in the list that were drawn over the mammogram, lowest first."""
        viewer = self._viewer()
        layers = viewer.layers if viewer is not None else ()
        return [layer for layer in layers if self.role_of(layer) not in (None, "mammogram")]

    def unlink(self, *_: object) -> None:
        """Undo links of what is drawn: each step of the slider would change the user's linked layers as well."""
        viewer = self._viewer()
        if viewer is not None and (linked := [layer for layer in self.drawn if layer_is_linked(layer)]):
            for layer in linked:
                viewer.layers.unlink_layers([layer])

    def _on_removed(self, event: Any) -> None:
        place = self._places.pop(event.value, None)
        if place is not None:
            self.deleted.emit(event.value, place.role, place.facts)

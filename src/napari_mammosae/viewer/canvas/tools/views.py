"""Which mammograms are on the canvas, and which of them the mouse is over: of an exam its views, else the open one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Image

    from ....core.images.mammogram import Mammogram
    from ..scene import Scene


def views(scene: Scene) -> list[Any]:
    """Layers of the mammograms on the canvas."""
    owned, open_layer = scene.owned, scene.image_layer
    hung = [layer for layer in owned.with_role("exam") if "image" in owned.facts(layer)]
    return hung or ([open_layer] if open_layer is not None else [])


def view_under_mouse(scene: Scene) -> Image | None:
    """Layer of the mammogram that the mouse is over; of an exam None beside its views."""
    shown = views(scene)
    if shown == [scene.image_layer]:
        return scene.image_layer
    return next((layer for layer in layers_under_mouse(scene) if layer in shown), None)


def layers_under_mouse(scene: Scene) -> list[Any]:
    """All layers in the cell of the grid that the mouse is over."""
    viewer = scene.viewer
    if viewer is None:
        return []
    cells = viewer.canvas.grid.iter_viewboxes(viewer.layers)
    inside = next((inside for place, inside in cells if place == viewer.cursor.viewbox), ())
    return [viewer.layers[at] for at in inside]


def image_of(scene: Scene, layer: Image) -> Mammogram | None:
    """The mammogram that one of `views` shows."""
    if scene.owned.role_of(layer) == "exam":
        found: Mammogram | None = scene.owned.facts(layer)["image"]
        return found
    return scene.session.image

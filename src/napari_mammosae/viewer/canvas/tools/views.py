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
    viewer, shown = scene.viewer, views(scene)
    if viewer is None or shown == [scene.image_layer]:
        return scene.image_layer
    for place, inside in viewer.canvas.grid.iter_viewboxes(viewer.layers):
        if place == viewer.cursor.viewbox:
            return next((viewer.layers[at] for at in inside if viewer.layers[at] in shown), None)
    return None


def image_of(scene: Scene, layer: Image) -> Mammogram | None:
    """The mammogram that one of `views` shows."""
    if scene.owned.role_of(layer) == "exam":
        found: Mammogram | None = scene.owned.facts(layer)["image"]
        return found
    return scene.session.image

"""Where the canvas shows something else than what the model sees, in sentences for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from ...core.base.text import sentence
from ...core.models.domain import outside_domain
from .layers import may_be_mammogram, tags, world_affine

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from .scene import Scene

_NAMED = 3


def notes_on(scene: Scene) -> list[str]:
    """All that is to be said about what is shown now; empty where it is what the model sees."""
    viewer, layer = scene.viewer, scene.image_layer
    if viewer is None:
        return []
    if layer is None:
        refused = [refusal(other) for other in reversed(viewer.layers) if isinstance(other, Image)]
        return [text for text in refused if text][:1]
    return [
        text
        for text in (_on_domain(scene), _on_axes(viewer), _on_place(layer), *_on_image(scene), *_on_others(scene))
        if text
    ]


def is_stack(layer: Layer) -> bool:
    """Whether a layer is a stack of grey-scale images, of which one is shown."""
    return (
        isinstance(layer, Image)
        and layer.ndim == 3
        and not (layer.rgb or layer.multiscale)
        and layer.data.shape[-1] > 1
        and "drawn_over" not in tags(layer)
    )


def refusal(layer: Image) -> str:
    """Why an image layer cannot be the mammogram, and what to do; empty where it can be, or need not be."""
    if may_be_mammogram(layer) or "drawn_over" in tags(layer):
        return ""
    shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
    cure = (
        "Remove its last axis."
        if shape[-1] == 1
        else "Compute latents takes the slice shown; New… in the Images dock takes a folder of images."
        if is_stack(layer)
        else "Right-click it in the layer list and choose Split Stack."
        if layer.ndim == 3
        else "Open a single image of it."
    )
    return f"{layer.name} has {layer.ndim} axes ({' x '.join(map(str, shape))}), a mammogram has 2. {cure}"


def _on_domain(scene: Scene) -> str:
    model, image = scene.session.model, scene.session.image
    return outside_domain(model, image) if model is not None and image is not None else ""


def _on_axes(viewer: ViewerModel) -> str:
    shown, plane = tuple(viewer.dims.displayed), (viewer.dims.ndim - 2, viewer.dims.ndim - 1)
    if len(shown) == 3:
        return "The latents are hidden in 3-D display. Switch back to 2-D to see them."
    if shown == plane:
        return ""
    if shown == plane[::-1]:
        return "The canvas shows rows and columns swapped. The model sees the image as it is in its file."
    return "The canvas shows other axes than rows and columns. Reset the order of the axes to see the image."


def _on_place(layer: Image) -> str:
    linear = world_affine(layer)[:2, :2]
    if linear[0, 0] > 0 and np.allclose(linear, linear[0, 0] * np.eye(2), rtol=1e-6, atol=1e-6 * abs(linear[0, 0])):
        return ""
    return f"{layer.name} is turned, mirrored or stretched on the canvas. The model sees its pixels as they are."


def _on_image(scene: Scene) -> list[str]:
    """What reading the image has to say, and its way to the model's input."""
    image, maps = scene.session.image, scene.session.maps
    frame = None if maps is None else maps.frame
    return [sentence(note) for note in (*(image.notes if image else ()), *(frame.notes if frame else ()))]


def _on_others(scene: Scene) -> list[str]:
    """Layers of the user's that belong to another image: copies of what was drawn, and of mammograms."""
    viewer, image = scene.viewer, scene.session.image
    if viewer is None or image is None:
        return []
    others: dict[str, list[str]] = {}
    for layer in viewer.layers:
        image_id = _image_of(layer)
        if layer.visible and scene.owned.role_of(layer) is None and image_id not in (None, image.image_id):
            others.setdefault(str(image_id), []).append(layer.name)
    return [
        f"{_listed(names)} {'belongs' if len(names) == 1 else 'belong'} to {image_id}, not to {image.image_id}."
        for image_id, names in others.items()
    ]


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _image_of(layer: Layer) -> str | None:
    about = tags(layer)
    if (image := about.get("mammogram")) is not None:
        return str(image.image_id)
    over: str | None = about.get("drawn_over")
    return over

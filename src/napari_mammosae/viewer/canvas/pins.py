"""Pinned latents: layers of their own, which stay while the slider moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from .colors import pin_colormap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..app.session import Session
    from .owned import OwnedLayers


def pin_layer(values: NDArray[np.float32], latent: int, index: int) -> Image:
    """Make the layer of one pinned latent, in a hue of its own."""
    return Image(
        values,
        name=f"latent {latent}",
        rgb=False,
        multiscale=False,
        contrast_limits=_limits(values),
        colormap=pin_colormap(index),
        blending="translucent",
        interpolation2d="linear",
        axis_labels=("row", "column"),
    )


def draw_pins(owned: OwnedLayers, session: Session, cells: NDArray[np.float64] | None) -> None:
    """One layer a pin, with its map where `cells` (3 x 3) takes cells to pixels; empty (None) until then."""
    shown = {owned.facts(layer)["latent"]: layer for layer in owned.with_role("pin")}
    for latent in shown.keys() - set(session.pins):
        owned.remove(shown[latent])
    maps = session.maps
    if maps is None or cells is None:
        for layer in owned.with_role("pin"):
            layer.data = np.zeros_like(layer.data)
        return
    for index, latent in enumerate(session.pins):
        values, layer = maps[latent], shown.get(latent)
        if layer is None:
            owned.add(pin_layer(values, latent, index), "pin", cells, latent=latent)
        else:
            layer.data = values
            layer.contrast_limits = _limits(values)
            owned.lay(layer, cells)


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    high = float(values.max(initial=0.0))
    return 0.0, high if high > 0 else 1.0

"""Colours of everything drawn over a mammogram."""

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap

COLORMAPS = ("ember", "inferno", "magma", "viridis", "turbo")


_EMBER = ((1.0, 0.85, 0.1), (1.0, 0.45, 0.0), (0.85, 0.0, 0.15))


# Okabe and Ito's palette without black, then lighter takes on it: distinct for any colour vision, as far as twelve go.
PIN_COLORS = (
    *("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00"),
    *("#a6d8f5", "#f5cf87", "#7fd3bd", "#e6bcd3", "#f0a878"),
)


def heat_colormap(name: str) -> Colormap:
    """Colormap that is transparent at zero, so that weak positions leave the mammogram as it is."""
    at = np.linspace(0, 1, 65)
    if name == "ember":
        rgb = np.stack([np.interp(at, (0, 0.5, 1), channel) for channel in zip(*_EMBER, strict=True)], axis=1)
    else:  # the dark end of the perceptual maps would look like shadows on the breast
        rgb = ensure_colormap(name).map(0.25 + 0.75 * at)[:, :3]
    alpha = np.clip(1.4 * at, 0, 0.85)
    return Colormap(np.column_stack([rgb, alpha]), name=f"{name} (transparent)")


def pin_colormap(index: int) -> Colormap:
    """One hue, transparent at zero."""
    color = PIN_COLORS[index % len(PIN_COLORS)]
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return Colormap(np.array([[*rgb, 0.0], [*rgb, 0.85]]), name=f"pin {color}")


AMBER = "#ffb000"

"""Many boxes as plain lines: a layer of shapes takes seconds for a thousand of them, a layer of lines milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from napari.utils.colormaps.standardize_color import transform_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MANY = 60
"""Boxes that a layer of shapes draws without holding the window up; more are drawn as lines, without texts."""


def lines_of(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four lines a box, (4 n, 2, 2) starts and directions, from its corners (n, 4, 2)."""
    return np.stack([corners, np.roll(corners, -1, axis=1) - corners], axis=2).reshape(-1, 2, 2)


def lines_layer(name: str, width: float) -> Vectors:
    """Make the layer, empty; `width` is that of all its lines, in source pixels."""
    return Vectors(
        np.zeros((0, 2, 2)), ndim=2, name=name, edge_width=width, vector_style="line", axis_labels=("row", "column"),
        opacity=1.0,
    )  # fmt: skip


def draw_lines(layer: Vectors, corners: NDArray[np.float64], colors: Sequence[Any]) -> None:
    """Show other boxes, each in its colour."""
    layer.data = lines_of(corners)
    if len(corners):
        names = sorted(set(colors))
        values = transform_color(names)
        layer.edge_color = np.repeat(values[[names.index(color) for color in colors]], 4, axis=0)

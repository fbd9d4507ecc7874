"""Findings are told apart by their colours, whatever colours a person sees."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_mammosae.core.annotations.finding_colors import FINDING_COLORS
from napari_mammosae.viewer.canvas.colors import PIN_COLORS

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen(color: str, vision: str) -> np.ndarray:
    """CIELAB of a colour as somebody sees it."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(VISION[vision]) @ linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None, None])[0, 0]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "colors", [tuple(FINDING_COLORS.values()), PIN_COLORS[:7], ("#648fff", "#ffb000", "#ff5fa8")],
    ids=["findings", "pins", "fates of boxes"],
)  # fmt: skip
def test_no_two_look_alike(colors: tuple[str, ...], vision: str) -> None:
    least = min(
        float(deltaE_ciede2000(seen(one, vision), seen(other, vision))) for one, other in combinations(colors, 2)
    )
    assert least > 9.0

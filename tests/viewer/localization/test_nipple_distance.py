"""How far a box lies from the nipple, by the scale of the image."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.images.scale import Scale
from napari_mammosae.viewer.localization.result import nipple_text
from napari_mammosae.viewer.localization.tasks import look_at_anatomy

EDGES = np.array([9.5, 9.5, 20.5, 20.5])  # pixels 10 to 20 in edge coordinates, middle 14.5


def test_from_the_middle_of_the_box_in_millimetres_or_pixels() -> None:
    scope = SimpleNamespace(nipple=(44.5, 54.5), scale=Scale((0.4, 0.4), "Imager Pixel Spacing", 2.0))
    assert nipple_text(EDGES, scope) == "10 mm"  # 50 pixels of 0.2 mm
    scope.scale = None
    assert nipple_text(EDGES, scope) == "50 px"
    scope.nipple = None
    assert nipple_text(EDGES, scope) == ""


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_the_nipple_lies_where_the_source_image_has_it(laterality: str) -> None:
    rows, cols = np.indices((600, 400))
    pixels = np.where((rows - 300) ** 2 + cols**2 < 250**2, 120 + (rows + cols) % 40, 0).astype(np.uint8)
    if laterality == "R":
        pixels = pixels[:, ::-1]
    image = read_mammogram(pixels, laterality=laterality, view="CC")
    model = SimpleNamespace(preprocessing=Preprocessing(size=(300, 200)), grid=(10, 6))
    found = look_at_anatomy(image, model, lambda *_: None).nipple
    tip = 249 if laterality == "L" else 150
    np.testing.assert_allclose(found, (300, tip), atol=8)  # two reduced pixels of the model's input

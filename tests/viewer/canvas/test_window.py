import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from fakes import mammogram, phantom
from napari_mammosae.viewer.canvas import window
from napari_mammosae.viewer.canvas.camera import fit


@pytest.fixture
def layer():
    return Image(phantom(), colormap="gray")


def test_presets_set_limits_inside_the_data(layer):
    image = mammogram()
    seen = set()
    for name in window.preset_names(image):
        window.apply_preset(layer, image, name)
        low, high = layer.contrast_limits
        assert 0 <= low < high <= layer.data.max()
        seen.add((low, high))
    assert len(seen) == len(window.preset_names(image))


def test_the_default_is_the_window_of_the_file(layer):
    image = mammogram(window=(20_000.0, 8_000.0))
    window.apply_preset(layer, image, window.DEFAULT)
    assert tuple(layer.contrast_limits) == (16_000.0, 24_000.0)


def test_further_windows_of_the_file_can_be_chosen(layer):
    image = mammogram(window=(20_000.0, 8_000.0), windows=(("HARDER", 21_000.0, 2_000.0), ("Breast", 9_000.0, 400.0)))
    assert window.preset_names(image)[:3] == [window.DEFAULT, "HARDER", "Breast (file)"]
    window.apply_preset(layer, image, "HARDER")
    assert tuple(layer.contrast_limits) == (20_000.0, 22_000.0)
    window.apply_preset(layer, mammogram(window=(20_000.0, 8_000.0)), "HARDER")  # the next image has none of that name
    assert tuple(layer.contrast_limits) == (16_000.0, 24_000.0)


def test_dense_tissue_starts_at_the_median_of_the_breast(layer):
    window.apply_preset(layer, None, "Dense tissue")
    breast = layer.data[layer.data > 0]
    assert layer.contrast_limits[0] == pytest.approx(np.median(breast), rel=0.03)


@pytest.mark.parametrize("data", [np.zeros((40, 40)), np.full((40, 40), 7.0), np.full((40, 40), np.nan)])
def test_images_without_contrast_leave_the_limits(data):
    layer = Image(data, contrast_limits=(0, 1))
    for name in window.PRESETS:
        window.apply_preset(layer, None, name)
    assert tuple(layer.contrast_limits) == (0, 1)


def test_inverting_twice_is_nothing(layer):
    window.set_inverted(layer, not window.is_inverted(layer))
    assert window.is_inverted(layer)
    window.set_inverted(layer, not window.is_inverted(layer))
    assert not window.is_inverted(layer)


def test_the_pixels_are_never_touched(layer):
    before = layer.data.copy()
    window.set_inverted(layer, not window.is_inverted(layer))
    window.apply_preset(layer, None, "Breast")
    np.testing.assert_array_equal(layer.data, before)


def test_a_layer_is_fitted_whatever_else_there_is(layer):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 3000, 4000)), visible=False)
    layer.scale, layer.translate = (2, 2), (100, 300)
    viewer.add_layer(layer)
    fit(viewer, layer)
    rows, cols = layer.data.shape
    camera = viewer.scene.camera
    assert camera.center[-2:] == pytest.approx((100 + rows - 1, 300 + cols - 1))
    height, width = viewer.canvas.size
    assert camera.zoom == pytest.approx(0.8 * min(height / (2 * rows), width / (2 * cols)), rel=0.02)

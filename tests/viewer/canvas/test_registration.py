"""On the canvas of a real viewer, zoomed in: a latent that fires in one cell is drawn where that cell lies.

Where a cell lies is worked out here by the definition of the frames, not by the code under test; where it is drawn is
measured on screenshots against a mark painted into the mammogram's own pixels.
"""

import numpy as np
import pytest

from dicom_factory import breast_image, write_dicom
from fakes import FakeModel, maps_of, phantom
from layer_kit import owned
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl

GRID, INPUT = (48, 29), (1520, 912)
MODEL = FakeModel(n_latents=16, grid=GRID, preprocessing=Preprocessing(size=INPUT))
CELLS = [(1, 1), (24, 14), (46, 27), (7, 20)]


def dicom(tmp_path):
    """16 bit, larger than the model's input: cropped and shrunk."""
    return read_mammogram(write_dicom(tmp_path / "large.dcm", breast_image(2400, 1800, top=65_535)))


def small(tmp_path):
    """Smaller than the model's input: cropped and enlarged."""
    return read_mammogram(phantom(shape=(700, 500)), image_id="small")


def fitting(tmp_path):
    """Already of the model's size: nothing is cropped."""
    return read_mammogram(phantom(shape=INPUT), image_id="fitting")


def where_it_lies(frame, cell):
    """Source coordinates of a cell's centre, from the crop alone."""
    row0, col0, row1, col1 = frame.crop
    size, start = np.array([row1 - row0, col1 - col0]), np.array([row0, col0])
    return start + (np.array(cell) + 0.5) * size / GRID - 0.5


def centroid(picture):
    """Centre of brightness of a screenshot, in screen pixels (row, column)."""
    light = picture[..., :3].astype(float).sum(axis=2)
    rows, cols = np.indices(light.shape)
    return np.array([(rows * light).sum(), (cols * light).sum()]) / light.sum()


@pytest.mark.parametrize(
    ("image", "scale"), [(dicom, None), (dicom, (0.07, 0.05)), (small, None), (fitting, (0.07, 0.05))]
)
def test_a_cell_is_drawn_where_it_lies(viewer, tmp_path, image, scale):
    image = image(tmp_path)
    frame = image.frame_for(MODEL.facts.preprocessing)
    layer = mammogram_layer(image)
    if scale:
        layer.scale, layer.translate = scale, (11, -3)
    workspace = workspace_of(viewer)
    viewer.add_layer(layer)
    session = workspace.session
    session.handle = MODEL
    values = np.zeros((len(CELLS), *GRID), np.float32)
    for latent, cell in enumerate(CELLS):
        values[latent][cell] = 1
    session.maps = maps_of(MODEL, np.arange(len(CELLS), dtype=np.int32), values, frame)
    stack = owned(viewer).find("latents")
    stack.colorbar.visible = False
    marks = viewer.add_image(np.zeros(image.shape, np.uint8), contrast_limits=(0, 1), interpolation2d="nearest")
    marks.scale, marks.translate = layer.scale, layer.translate
    layer.visible = False
    for latent, cell in enumerate(CELLS):
        session.current = latent
        expected = where_it_lies(frame, cell)
        cell_size = np.array([np.diff(frame.crop[::2])[0], np.diff(frame.crop[1::2])[0]]) / GRID
        viewer.scene.camera.center = tuple(layer.data_to_world(expected))
        viewer.scene.camera.zoom = 0.35 * min(viewer.window._qt_viewer.canvas.size) / max(cell_size * layer.scale)
        for overlay in viewer.canvas.overlays.values():
            overlay.visible = False
        marks.visible, stack.visible = False, True
        drawn = centroid(viewer.screenshot(flash=False))
        # a mark of three by three pixels around the one the centre falls into
        nearest = np.round(expected).astype(int)
        data = np.zeros(image.shape, np.uint8)
        data[nearest[0] - 1 : nearest[0] + 2, nearest[1] - 1 : nearest[1] + 2] = 1
        marks.data, marks.visible, stack.visible = data, True, False
        mark = centroid(viewer.screenshot(flash=False))
        pixels = (drawn - mark) / viewer.scene.camera.zoom / layer.scale  # in source pixels
        np.testing.assert_allclose(pixels, expected - nearest, atol=0.5)


def test_boxes_are_drawn_on_their_pixels(viewer, tmp_path):
    """The rectangle's outline runs along the outer edges of the first and last pixel inside."""
    table = tmp_path / "boxes.csv"
    table.write_text("image,finding,xmin,ymin,xmax,ymax\nsmall,Mass,120,300,160,350\n")
    from napari_mammosae.core.annotations.boxes import read_findings

    workspace = workspace_of(viewer)
    viewer.add_layer(mammogram_layer(small(tmp_path)))
    workspace.session.findings = read_findings(table)
    truth = owned(viewer).find("truth")
    inside = np.zeros((700, 500), np.uint8)
    inside[300:350, 120:160] = 1
    filled = viewer.add_image(inside, contrast_limits=(0, 1))
    truth.text.visible = False
    owned(viewer).find("mammogram").visible = False
    viewer.scene.camera.center, viewer.scene.camera.zoom = (325, 140), 6
    centres = []
    for layer in (truth, filled):
        truth.visible, filled.visible = layer is truth, layer is filled
        centres.append(centroid(viewer.screenshot(flash=False)) / 6)
    np.testing.assert_allclose(*centres, atol=0.5)

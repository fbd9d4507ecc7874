"""On the canvas of a real viewer: the logit map lies where its cells lie, and says which way they push."""

import numpy as np
import pytest

import fakes
import intervene_kit
from layer_kit import owned
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.docks import InterveneDock
from napari_mammosae.viewer.intervention.layers import EDITED

pytestmark = pytest.mark.opengl

GRID, INPUT = (48, 29), (1520, 912)
UP, DOWN = (12, 8), (30, 20)  # cells where a latent pushes the first logit up, another one down


@pytest.fixture
def dock(viewer, qtbot):
    """An image larger than the model's input, with a latent in each of two cells."""
    attribution = np.zeros((2, 16))
    attribution[0, 3], attribution[0, 5] = 1.0, -1.0
    model = intervene_kit.TailModel(
        n_latents=16, grid=GRID, preprocessing=Preprocessing(size=INPUT), attribution=attribution
    )
    image = fakes.mammogram(shape=(2400, 1800))
    dock = InterveneDock(viewer)
    qtbot.addWidget(dock)
    viewer.add_layer(mammogram_layer(image))
    values = np.zeros((2, *GRID), np.float32)
    values[0][UP], values[1][DOWN] = 2.0, 2.0
    dock.session.handle = model
    dock.session.maps = fakes.maps_of(
        model, np.array([3, 5], np.int32), values, image.frame_for(model.facts.preprocessing)
    )
    return dock


def where_it_lies(frame, cell):
    """Source coordinates of a cell's centre, from the crop alone."""
    row0, col0, row1, col1 = frame.crop
    size = np.array([row1 - row0, col1 - col0])
    return np.array([row0, col0]) + (np.array(cell) + 0.5) * size / GRID - 0.5


def drawn_at(viewer, channel):
    """Centre of what is drawn in red (0) or blue (2), in source pixels."""
    for layer in viewer.layers:
        layer.visible = owned(viewer).role_of(layer) == "logit map"
    picture = viewer.export_figure(flash=False)[..., :3].astype(float)
    other = picture[..., 2 - channel]
    strength = np.clip(picture[..., channel] - other, 0, None)
    rows, cols = np.indices(strength.shape)
    centre = np.array([(rows * strength).sum(), (cols * strength).sum()]) / strength.sum()
    corner = viewer.layers.extent.world[0]
    return centre + corner


@pytest.mark.parametrize(("channel", "cell"), [(0, UP), (2, DOWN)])
def test_positions_are_drawn_where_they_lie(viewer, dock, channel, cell):
    dock.intervention.map_kind = "before"
    expected = where_it_lies(dock.session.maps.frame, cell)
    viewer.layers.remove(owned(viewer).find("latents"))
    frame = dock.session.maps.frame.crop
    half = np.array([(frame[2] - frame[0]) / GRID[0], (frame[3] - frame[1]) / GRID[1]]) / 2
    for layer in list(viewer.layers):
        if owned(viewer).role_of(layer) == "mammogram":
            layer.opacity = 0
    found = drawn_at(viewer, channel)
    assert np.abs(found - expected).max() < half.min() / 4


def test_the_edit_is_written_on_the_canvas(viewer, dock, qtbot):
    plain = viewer.screenshot(canvas_only=True, flash=False)
    dock.intervention.change(source="list", numbers="3")
    qtbot.wait(50)
    edited = viewer.screenshot(canvas_only=True, flash=False)
    amber = [(np.abs(p[..., :3].astype(int) - (255, 176, 0)) < 12).all(axis=2) for p in (plain, edited)]
    assert amber[0].sum() < 200
    assert amber[1].sum() > 1_500
    rows, cols = np.nonzero(amber[1])
    assert rows.min() > edited.shape[0] / 2  # at the bottom, in the corner of the air
    assert cols.max() > edited.shape[1] - 20
    assert viewer.canvas.overlays[EDITED].text.splitlines()[0].strip().endswith("without 1 latent (replace)")
    dock.intervention.undo()
    qtbot.wait(50)
    after = viewer.screenshot(canvas_only=True, flash=False)
    assert (np.abs(after[..., :3].astype(int) - (255, 176, 0)) < 12).all(axis=2).sum() < 200

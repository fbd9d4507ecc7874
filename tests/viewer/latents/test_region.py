import numpy as np
import pytest
from napari.components import ViewerModel

from fakes import GRID, INPUT, FakeModel, latent_maps, mammogram, maps_of, model_facts
from napari_mammosae.core.anatomy.query import cell_weights
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.latents.region import RegionQuery, ask
from napari_mammosae.viewer.workspace import workspace_of

CELL = INPUT[0] / GRID[0], INPUT[1] / GRID[1]


def corners(row0, col0, row1, col1):
    """A rectangle as napari keeps it, from edges in cells of the identity frame."""
    top, left, bottom, right = (v * c - 0.5 for v, c in zip((row0, col0, row1, col1), CELL * 2, strict=True))
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def quiet(*_):
    return None


@pytest.fixture
def workspace(qapp):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    viewer.add_layer(layers.mammogram_layer(mammogram(shape=INPUT)))
    model = FakeModel()
    workspace.session.handle = model
    workspace.session.maps = latent_maps(model, Frame.identity(INPUT))
    yield workspace
    workspace.close()


@pytest.fixture
def query(workspace):
    query = RegionQuery(workspace.context)
    yield query
    query.close()


def test_a_rectangle_covers_whole_and_part_cells():
    weights = cell_weights(("rectangle", corners(2, 1, 4, 2.5)), Frame.identity(INPUT), GRID)
    expected = np.zeros(GRID)
    expected[2:4, 1] = 1
    expected[2:4, 2] = 0.5
    assert np.allclose(weights, expected)


def test_polygon_ellipse_and_brush_agree_with_their_areas():
    frame = Frame.identity(INPUT)
    area = CELL[0] * CELL[1]
    square = corners(3, 2, 6, 5)
    polygon = cell_weights(("polygon", square), frame, GRID)
    rectangle = cell_weights(("rectangle", square), frame, GRID)
    assert np.allclose(polygon, rectangle, atol=0.05)
    ellipse = cell_weights(("ellipse", square), frame, GRID)
    assert ellipse.sum() == pytest.approx(np.pi / 4 * rectangle.sum(), rel=0.01)
    mask = np.zeros(INPUT, bool)
    mask[100:180, 60:120] = True
    assert cell_weights(mask, frame, GRID).sum() * area == pytest.approx(80 * 60)
    turned = cell_weights(("rectangle", np.array([[96, 30], [160, 94], [96, 158], [32, 94]], float)), frame, GRID)
    assert turned.sum() * area == pytest.approx(2 * 64 * 64, rel=0.02)


def test_a_region_follows_the_crop():
    frame = Frame((800, 600), (200, 100, 584, 356), INPUT)  # a crop of the input's size: one cell is 32 pixels
    box = np.array([[199.5, 99.5], [199.5, 131.5], [231.5, 131.5], [231.5, 99.5]])
    weights = cell_weights(("rectangle", box), frame, GRID)
    assert weights[0, 0] == pytest.approx(1)
    assert weights.sum() == pytest.approx(1)


def test_every_latent_is_measured():
    model, rng = model_facts(), np.random.default_rng(0)
    values = rng.random((3, *GRID)).astype(np.float32)
    values[1, :6] = 0  # fires, but not in the region
    maps = maps_of(model, np.array([4, 9, 60], np.int32), values)
    columns = ask(("rectangle", corners(0, 0, 4, 4)), maps, maps.frame, model, quiet)
    inside = values[:, :4, :4].sum(axis=(1, 2))
    total = values.sum(axis=(1, 2))
    cells = GRID[0] * GRID[1]
    for place, latent in enumerate((4, 9, 60)):
        assert columns["region.energy"][latent] == pytest.approx(inside[place], rel=1e-5)
        assert columns["region.share"][latent] == pytest.approx(inside[place] / total[place], rel=1e-5)
        assert columns["region.lift"][latent] == pytest.approx(inside[place] / total[place] * cells / 16, rel=1e-5)
        for c, name in enumerate(model.classes):
            expected = model.attribution[c, latent] * inside[place] / cells
            assert columns[f"region.logit.{name}"][latent] == pytest.approx(expected, rel=1e-5)
    assert columns["region.energy"][5] == 0
    assert np.isnan(columns["region.lift"][5])
    assert np.isnan(columns["region.share"][5])
    assert not any("logit" in key for key in ask(np.ones(INPUT, bool), maps, maps.frame, None, quiet))


def test_drawing_asks_and_a_new_shape_replaces_the_old(query, workspace, qtbot):
    query.draw("rectangle")
    viewer, layer = workspace.scene.viewer, query.layer
    assert viewer.layers.selection.active is layer
    assert layer.mode == "add_rectangle"
    layer.add([corners(0, 0, 3, 3)], shape_type="rectangle")
    qtbot.waitUntil(lambda: bool(query.columns), timeout=20_000)
    assert layer.mode == "pan_zoom"
    assert viewer.layers.selection.active is workspace.scene.stack_layer
    first = query.columns["region.energy"].copy()
    layer.add([corners(5, 2, 9, 7)], shape_type="rectangle")
    qtbot.waitUntil(lambda: not np.array_equal(first, query.columns["region.energy"]), timeout=20_000)
    assert len(layer.data) == 1
    query.clear()
    assert query.layer is None
    assert query.columns == {}


def test_a_brush_stroke_asks(query, workspace, qtbot):
    query.draw("brush")
    layer = query.layer
    assert layer.mode == "paint"
    layer.paint((100, 80), 1)
    qtbot.waitUntil(lambda: bool(query.columns), timeout=20_000)
    assert query.columns["region.energy"].max() > 0


def test_a_region_goes_with_its_image(query, workspace):
    query.draw("polygon")
    workspace.scene.viewer.add_layer(layers.mammogram_layer(mammogram(3, INPUT, "other")))
    assert query.layer is None


def test_without_an_image_it_says_what_is_needed(qapp):
    workspace = workspace_of(ViewerModel())
    query = RegionQuery(workspace.context)
    query.draw("rectangle")
    assert "mammogram" in workspace.status.last_told[0]
    workspace.close()

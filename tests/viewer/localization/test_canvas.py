"""Found boxes on the canvas of a real viewer: drawn as napari would, where they lie, and gone with their image."""

import numpy as np
import pytest

import fakes
from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LocalizeDock
from napari_mammosae.viewer.localization.found_boxes import draw, drawing_of
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

pytestmark = pytest.mark.opengl

SHAPE, GRID = (384, 256), (12, 8)


@pytest.fixture
def dock(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    workspace = workspace_of(viewer)
    path = tmp_path / "boxes.csv"
    path.write_text("image,finding,xmin,ymin,xmax,ymax\ncase,mass,64,96,128,192\n")
    image = fakes.mammogram(1, SHAPE, image_id="case")
    viewer.add_layer(layers.mammogram_layer(image))
    model = fakes.FakeModel(preprocessing=Preprocessing(size=SHAPE))
    workspace.session.findings = read_findings(path)
    workspace.session.handle = model
    values = np.zeros((2, *GRID), np.float32)
    values[0, 3:6, 2:4] = 1
    values[1, [1, 1, 9, 10], [1, 6, 1, 6]] = 1, 2, 3, 4
    workspace.session.maps = fakes.maps_of(model, np.array([3, 7], np.int32), values)
    workspace.session.current = 7
    dock = LocalizeDock(viewer)
    dock.viewer_for_test = viewer
    qtbot.addWidget(dock)
    settled(qtbot, dock)
    yield dock
    dock.cleanup()
    workspace.close()


def settled(qtbot, dock):
    localizer = dock.localizer
    qtbot.waitUntil(lambda: not localizer.outline.jobs.busy and not is_due(localizer._later), timeout=10_000)
    qtbot.wait(50)


def picture(viewer):
    return viewer.screenshot(canvas_only=True, flash=False)


def test_quickly_replaced_boxes_look_like_napari_s_own(qtbot, dock):
    viewer, localizer = dock.viewer_for_test, dock.localizer
    layer = owned(viewer).find("found")
    drawing = drawing_of(localizer.current.rows, 2.0)
    draw(layer, drawing_of(localizer.current.rows[:2], 2.0))
    draw(layer, drawing)
    qtbot.wait(50)
    mine = picture(viewer)
    layer.data = (drawing.shapes, drawing.types)
    layer.edge_width = drawing.widths
    layer.edge_color = drawing.colors
    layer.features = {"fate": drawing.fates, "label": drawing.labels}
    qtbot.wait(50)
    np.testing.assert_array_equal(mine, picture(viewer))


def test_a_found_box_is_drawn_where_it_lies(qtbot, dock):
    viewer, localizer = dock.viewer_for_test, dock.localizer
    dock.workspace.session.current = 3
    settled(qtbot, dock)
    box = find_regions(dock.workspace.session.maps[3], SHAPE).boxes[0]
    np.testing.assert_allclose(localizer.current.found[0], box)
    for layer in viewer.layers:
        layer.visible = owned(viewer).role_of(layer) in ("found", "mammogram")
    owned(viewer).find("mammogram").contrast_limits = (1e6, 2e6)  # black, and what the figure shows
    found = owned(viewer).find("found")
    found.text.visible = False
    found.edge_width = [1.0]
    found.edge_color = ["white"]
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False
    bright = viewer.export_figure(scale_factor=4, flash=False)[..., 0] > 128
    texts = len(bright) // 10  # at the top and the bottom: they are written again for another size
    bright[:texts] = bright[-texts:] = False
    rows, cols = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    scale = np.array(bright.shape) / SHAPE
    edges = [rows[0] / scale[0], cols[0] / scale[1], (rows[-1] + 1) / scale[0], (cols[-1] + 1) / scale[1]]
    np.testing.assert_allclose(edges, np.add(box, [-0.5, -0.5, 0.5, 0.5]), atol=0.6)  # half of the line lies outside


def test_another_image_has_none_of_these_boxes(qtbot, dock):
    viewer = dock.viewer_for_test
    other = layers.mammogram_layer(fakes.mammogram(2, SHAPE, image_id="other"))
    viewer.add_layer(other)
    settled(qtbot, dock)
    assert owned(viewer).find("found").nshapes == 0
    viewer.layers.remove(other)
    qtbot.wait(50)
    assert owned(viewer).find("found") is None


def test_boxes_of_the_latent_before_are_not_seen_over_the_next_heatmap(qtbot, dock):
    viewer, localizer = dock.viewer_for_test, dock.localizer
    localizer.session.current = 3
    settled(qtbot, dock)
    assert localizer.current.boxes.fate == ("hit",)  # with its text
    localizer.session.current = 7
    at_once = picture(viewer)
    found = owned(viewer).find("found")
    found.visible = False
    np.testing.assert_array_equal(picture(viewer), at_once)
    found.visible = True
    settled(qtbot, dock)
    assert np.any(picture(viewer) != at_once)

"""The dock in a real window: clicks and keys on it, the mouse on the canvas, and what is drawn."""

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from fake_run import FakeRun
from fakes import INPUT, FakeModel, latent_maps, mammogram
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

pytestmark = pytest.mark.opengl


@pytest.fixture
def dock(viewer, qtbot):
    """The dock beside an image with its latents."""
    session = workspace_of(viewer).session
    viewer.add_layer(layers.mammogram_layer(mammogram(shape=INPUT)))
    session.handle = FakeModel()
    session.maps = latent_maps(session.model, Frame.identity(INPUT))
    dock = LatentsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Latents", area="right")
    jobs = jobs_of(dock)
    settle(qtbot, dock)
    yield dock
    dock.cleanup()
    qtbot.waitUntil(lambda: not any(job.busy for job in jobs), timeout=30_000)


def jobs_of(dock):
    ranking, detail = dock.latents.ranking, dock.detail
    return ranking.jobs, detail.jobs, detail.gallery.jobs, dock.query.jobs, dock.workspace.jobs


def settle(qtbot, dock):
    jobs = jobs_of(dock)
    qtbot.waitUntil(lambda: not is_due(dock.detail._later) and not any(job.busy for job in jobs), timeout=60_000)
    QApplication.processEvents()


def picture(viewer):
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def test_a_click_on_a_row_shows_that_latent(dock, viewer, qtbot):
    before = picture(viewer)
    row = dock.table.row_of(int(dock.session.maps.latents[7]))
    dock.view.scrollTo(dock.table.index(row, 0))
    rectangle = dock.view.visualRect(dock.table.index(row, 0))
    qtbot.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=rectangle.center())
    assert dock.session.current == dock.session.maps.latents[7]
    assert viewer.dims.point[0] == row
    assert f"latent {dock.session.current}" in viewer.canvas.overlays.text.text
    assert np.abs(picture(viewer) - before).max() > 30


def test_a_rectangle_drawn_with_the_mouse_orders_the_table(dock, viewer, qtbot):
    dock.query.draw("rectangle")
    canvas = viewer.window._qt_viewer.canvas.native  # the one way to a real mouse on the canvas
    QApplication.processEvents()
    centre = canvas.rect().center()
    corners = centre - QPoint(40, 40), centre + QPoint(40, 40)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=corners[0])
    for step in range(1, 5):
        qtbot.mouseMove(canvas, pos=corners[0] + QPoint(20 * step, 20 * step))
        qtbot.wait(30)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=corners[1])
    qtbot.waitUntil(lambda: bool(dock.query.columns), timeout=30_000)
    assert dock.table.sort_key == "region.energy"
    assert len(dock.query.layer.data) == 1
    drawn = np.asarray(dock.query.layer.data[0])
    weights = np.zeros(INPUT, bool)
    low, high = np.clip(np.round(drawn.min(0) + 0.5), 0, INPUT).astype(int), np.round(drawn.max(0) + 0.5).astype(int)
    weights[low[0] : high[0], low[1] : high[1]] = True
    maps, best = dock.session.maps, int(dock.table.visible[0])
    cells = weights.reshape(12, 32, 8, 32).mean(axis=(1, 3))
    assert dock.query.columns["region.energy"][best] == pytest.approx((maps[best] * cells).sum(), rel=0.05)
    assert best == np.argmax([(maps[latent] * cells).sum() for latent in range(64)])


@pytest.mark.slow
def test_pins_side_by_side_are_drawn_and_undone_with_one_click(dock, viewer, qtbot):
    dock.view.select([int(latent) for latent in dock.table.visible[:3]])
    qtbot.mouseClick(dock.pin_button, Qt.MouseButton.LeftButton)
    qtbot.wait(100)  # colour bars come a moment later
    before, names = picture(viewer), [layer.name for layer in viewer.layers]
    qtbot.mouseClick(dock.side_button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()
    side = picture(viewer)
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (2, 2)
    rows, columns = side.shape[0] // 2, side.shape[1] // 2
    filled = [np.ptp(side[r : r + rows, c : c + columns], axis=2).max() > 60 for r in (0, rows) for c in (0, columns)]
    assert filled == [True, True, True, False]
    qtbot.mouseClick(dock.side_button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()
    assert [layer.name for layer in viewer.layers] == names
    assert np.abs(picture(viewer) - before).mean() < 1


def test_the_gallery_opens_an_image(dock, viewer, qtbot, tmp_path):
    dock.session.run = FakeRun(tmp_path)
    settle(qtbot, dock)
    dock.session.current = 5
    settle(qtbot, dock)
    pictures = dock.detail.gallery.list
    rectangle = pictures.visualItemRect(pictures.item(1))
    expected = dock.session.run.images["image_id"][dock.detail.gallery._cells[1].row]
    qtbot.mouseClick(pictures.viewport(), Qt.MouseButton.LeftButton, pos=rectangle.center())
    settle(qtbot, dock)
    assert dock.session.image.image_id == expected
    assert dock.session.current == 5
    assert dock.session.maps.row(5) is not None


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_texts_can_be_read_in_both_themes(dock, viewer, theme, qtbot):
    viewer.theme = theme
    dock.session.current = int(dock.table.visible[0])
    QApplication.processEvents()
    image = dock.view.viewport().grab().toImage()
    rectangle = dock.view.visualRect(dock.table.index(3, 0))
    greys = [
        image.pixelColor(x, y).lightness()
        for x in range(rectangle.left(), rectangle.right())
        for y in range(rectangle.top(), rectangle.bottom())
    ]
    assert max(greys) - min(greys) > 90


def test_a_closed_dock_is_forgotten(viewer, qtbot):
    dock = LatentsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Latents")
    session, jobs = dock.session, jobs_of(dock)
    gone = weakref.ref(dock.ranking), weakref.ref(dock.detail), weakref.ref(dock.filters)
    settle(qtbot, dock)
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.wait(50)
    session.current = 3
    session.pins = ()
    qtbot.wait(50)  # what held them is itself deleted by the next turn of the window's loop
    gc.collect()
    assert [one() for one in gone] == [None, None, None]
    qtbot.waitUntil(lambda: not any(job.busy for job in jobs))

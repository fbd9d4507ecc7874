"""What a step costs in drawings of a real canvas, and whether its texts can be read afterwards."""

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication

from fakes import INPUT, FakeModel, latent_maps
from layer_kit import owned
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    """A viewer with latents over an image that is black on its left and white on its right."""
    viewer = make_napari_viewer(show=True)
    session = workspace_of(viewer).session
    pixels = np.zeros(INPUT, np.uint16)
    pixels[:, INPUT[1] // 2 :] = 1000
    viewer.add_layer(layers.mammogram_layer(read_mammogram(pixels, image_id="halves")))
    session.handle = FakeModel()
    session.maps = latent_maps(session.model, Frame.identity(INPUT))
    qtbot.wait(500)
    yield viewer
    workspace_of(viewer).close()


class Repaints(QObject):
    """Counts how often a window asks to be painted."""

    def __init__(self, window):
        super().__init__()
        self.count = 0
        window.installEventFilter(self)

    def eventFilter(self, watched, event):
        self.count += event.type() == QEvent.Type.UpdateRequest
        return False


def test_a_step_is_drawn_once(viewer, qtbot):
    session = workspace_of(viewer).session
    repaints = Repaints(viewer.window._qt_window)
    draws = []
    viewer.window._qt_viewer.canvas.events.draw.connect(lambda event: draws.append(event))
    orders = [Order.by_score(score * np.arange(64), "number") for score in (1, -1)]
    ways = {
        "slider": lambda step: viewer.dims.set_point(0, step),
        "choice": lambda step: setattr(session, "current", int(session.order.latents[7 * step + 1])),
        "order": lambda step: setattr(session, "order", orders[step % 2]),
    }
    for what, take in ways.items():
        for step in range(1, 5):
            draws.clear()
            repaints.count = 0
            take(step)
            QApplication.processEvents()
            QApplication.processEvents()
            assert (len(draws), repaints.count) == (1, 1), (what, step)
            drawn = viewer.screenshot(flash=False)
            viewer.window._qt_viewer.canvas.native.update()
            qtbot.wait(100)
            np.testing.assert_array_equal(viewer.screenshot(flash=False), drawn)  # nothing was left to draw


def test_the_latent_s_text_can_be_read(viewer, qtbot):
    owned(viewer).find("latents").opacity = 0
    viewer.scene.camera.zoom *= 40
    text = viewer.canvas.overlays.text

    def lightness(opacity):
        text.opacity = opacity
        qtbot.wait(100)
        return viewer.screenshot(flash=False)[..., :3].mean(axis=2)

    shown = text.opacity
    for theme, ground in (("dark", 0), ("light", 255)):
        viewer.theme = theme
        for side in (0.1, 0.9):  # over black, over white
            text.opacity = shown
            viewer.scene.camera.center = (INPUT[0] / 2, INPUT[1] * side)
            written, plate = lightness(shown), lightness(0)
            letters = np.abs(written - plate) > 60
            assert letters.sum() > 500, (theme, side)
            rows, columns = np.nonzero(letters)
            around = slice(rows.min() - 3, rows.max() + 4), slice(columns.min() - 3, columns.max() + 4)
            assert np.ptp(plate[around]) < 5, (theme, side)  # all letters lie on the plate, not beside it
            assert np.abs(plate[around] - ground).max() < 0.25 * 255  # the image barely shows through

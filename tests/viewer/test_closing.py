"""What is left when viewers and docks go while work is under way."""

import gc
import weakref

import pytest

import fakes
from napari_mammosae.viewer.image.panel import ModelDock
from napari_mammosae.viewer.workspace import controller_of

pytestmark = pytest.mark.opengl


@pytest.fixture
def busy(make_napari_viewer, qtbot, monkeypatch):
    """A viewer in the middle of a computation."""
    viewer = make_napari_viewer()
    fakes.install(monkeypatch, seconds=0.3)
    controller = controller_of(viewer)
    viewer.add_image(fakes.phantom())
    qtbot.waitUntil(lambda: not controller.jobs.busy)
    controller.compute()
    return viewer


def test_a_viewer_closed_during_a_computation(busy, qtbot):
    controller = controller_of(busy)
    busy.close()
    qtbot.waitUntil(lambda: not controller.jobs.busy, timeout=5000)
    assert len(busy.layers) == 0


def test_a_dock_closed_during_a_computation(busy, qtbot):
    controller = controller_of(busy)
    dock = ModelDock(busy)
    busy.window.add_dock_widget(dock, name="dock")
    busy.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(lambda: not controller.jobs.busy, timeout=5000)
    assert controller.session.maps is not None
    controller.cleanup()


def test_controllers_die_with_their_viewers(make_napari_viewer, qtbot, monkeypatch):
    fakes.install(monkeypatch)

    def use() -> weakref.ref:
        viewer = make_napari_viewer()
        dock = ModelDock(viewer)
        viewer.window.add_dock_widget(dock, name="dock")
        viewer.add_image(fakes.phantom())
        qtbot.waitUntil(lambda: not dock.controller.jobs.busy)
        dock.controller.compute()
        qtbot.waitUntil(lambda: dock.controller.session.maps is not None)
        gone = weakref.ref(dock.controller.session.maps.values)
        viewer.close()
        return gone

    maps = use()
    gc.collect()
    qtbot.wait(50)
    gc.collect()
    assert maps() is None

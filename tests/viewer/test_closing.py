"""What is left when viewers and docks go while work is under way."""

import gc
import weakref

import pytest

import fakes
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl


@pytest.fixture
def busy(make_napari_viewer, qtbot, monkeypatch):
    """A viewer in the middle of a computation."""
    viewer = make_napari_viewer()
    fakes.install(monkeypatch, seconds=0.3)
    workspace = workspace_of(viewer)
    viewer.add_image(fakes.phantom())
    qtbot.waitUntil(lambda: not workspace.jobs.busy)
    workspace.images.compute()
    return viewer


def test_a_viewer_closed_during_a_computation(busy, qtbot):
    workspace = workspace_of(busy)
    busy.close()
    qtbot.waitUntil(lambda: not workspace.jobs.busy, timeout=5000)
    assert len(busy.layers) == 0


def test_a_dock_closed_during_a_computation(busy, qtbot):
    workspace = workspace_of(busy)
    dock = ModelDock(busy)
    busy.window.add_dock_widget(dock, name="dock")
    busy.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(lambda: not workspace.jobs.busy, timeout=5000)
    assert workspace.session.maps is not None
    workspace.close()


def test_controllers_die_with_their_viewers(make_napari_viewer, qtbot, monkeypatch):
    fakes.install(monkeypatch)

    def use() -> weakref.ref:
        viewer = make_napari_viewer()
        dock = ModelDock(viewer)
        viewer.window.add_dock_widget(dock, name="dock")
        viewer.add_image(fakes.phantom())
        qtbot.waitUntil(lambda: not dock.workspace.jobs.busy)
        dock.workspace.images.compute()
        qtbot.waitUntil(lambda: dock.workspace.session.maps is not None)
        gone = weakref.ref(dock.workspace.session.maps.values)
        viewer.close()
        return gone

    maps = use()
    gc.collect()
    qtbot.wait(50)
    gc.collect()
    assert maps() is None

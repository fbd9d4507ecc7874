"""A user's first quarter of an hour: menus, buttons, the slider, keys; the real model code with tiny weights."""

import gc
import weakref

import numpy as np
import pytest
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from npe2 import PluginManager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMenu, QTabBar

from dicom_factory import breast_image, truncate, write_dicom
from fakes import write_png
from layer_kit import owned
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.image.panels.model import FILES
from napari_mammosae.viewer.launch import MODEL_DOCK, open_dock
from napari_mammosae.viewer.reader import PLUGIN, prefer_for_mammograms
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl


def menu_action(viewer, *path):
    """An entry of the window's menus, found by the texts a user reads."""
    window = next(w for w in viewer.window._qt_window.findChildren(QMenu) if w.title().lstrip("&") == path[0])
    menu = window
    for text in path[1:]:
        menu.aboutToShow.emit()
        action = next(a for a in menu.actions() if a.text().replace("&&", "&").startswith(text))
        menu = action.menu()
    return action


def dock_of(viewer):
    return next(iter(viewer.window._qt_window.findChildren(ModelDock)), None)


def idle(qtbot, workspace):
    qtbot.waitUntil(lambda: not workspace.jobs.busy, timeout=60_000)


@pytest.fixture
def at_work(viewer, qtbot, tiny_model):
    """The sample opened from the menu, the dock opened from the menu, latents computed by its button."""
    menu_action(viewer, "File", "Open Sample", "Mammo-SAE", "Synthetic phantom, mass with marker").trigger()
    menu_action(viewer, "Layers", "Visualize", "Model & image").trigger()
    dock = dock_of(viewer)
    qtbot.waitUntil(lambda: dock.job.compute_button.isVisible() and not dock.workspace.jobs.busy)
    dock.model.name_box.setCurrentText(FILES)
    dock.model.classifier.set_path(tiny_model)
    qtbot.mouseClick(dock.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, dock.workspace)
    assert workspace_of(viewer).session.maps is not None, dock.job.status.text()
    return dock


def test_the_first_latent_shown_fires_whatever_docks_were_open_before(viewer, qtbot, tiny_model):
    viewer.add_image(breast_image(), name="breast")
    for title in ("Model & image", "Latents"):
        menu_action(viewer, "Layers", "Visualize", title).trigger()
    dock = dock_of(viewer)
    qtbot.waitUntil(lambda: dock.job.compute_button.isEnabled() and not dock.workspace.jobs.busy)
    dock.model.name_box.setCurrentText(FILES)
    dock.model.classifier.set_path(tiny_model)
    qtbot.mouseClick(dock.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, dock.workspace)
    session = workspace_of(viewer).session
    assert session.maps is not None, dock.job.status.text()
    assert session.rank == 0
    assert session.maps.pooled_mean[session.current] == session.maps.pooled_mean.max() > 0
    assert f"rank 1 of 64   latent {session.current}" in viewer.canvas.overlays.text.text
    assert np.any(owned(viewer).find("latents").data[0])


def test_from_the_menu_to_every_latent_over_the_image(viewer, at_work):
    session = workspace_of(viewer).session
    stack = owned(viewer).find("latents")
    assert stack.data.shape == (64, *session.model.grid)
    assert len(owned(viewer).with_role("truth")) == 1
    assert "mass" in owned(viewer).find("truth").features["finding"].tolist()
    assert viewer.canvas.overlays.text.visible
    assert stack.colorbar.visible
    assert session.image.path.name.startswith("phantom")


def test_the_slider_and_the_keys(viewer, at_work, qtbot):
    session, canvas = workspace_of(viewer).session, viewer.window._qt_viewer.canvas.native
    slider = viewer.window._qt_viewer.dims.slider_widgets[0].slider
    slider.setValue(7)
    assert session.current == session.order.latents[7]
    assert f"latent {session.current}" in viewer.canvas.overlays.text.text
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert session.pins == (session.current,)
    qtbot.keyClick(canvas, Qt.Key.Key_H)
    assert [layer.visible for layer in viewer.layers if owned(viewer).role_of(layer) != "mammogram"] == [False] * 3
    qtbot.keyClick(canvas, Qt.Key.Key_H)
    assert all(layer.visible for layer in viewer.layers)
    qtbot.keyClick(canvas, Qt.Key.Key_G)
    assert not owned(viewer).find("truth").visible
    qtbot.keyClick(canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ShiftModifier)
    assert owned(viewer).find("mammogram").colormap.name == "gray_r"
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    assert session.rank == 8


def test_exactly_one_read_of_the_stack_a_step(viewer, at_work, qtbot, monkeypatch):
    stack = owned(viewer).find("latents").data
    reads, read = [], type(stack).__getitem__
    monkeypatch.setattr(type(stack), "__getitem__", lambda self, key: reads.append(key) or read(self, key))
    for step in (3, 4, 60, 2):
        reads.clear()
        viewer.dims.set_point(0, step)
        qtbot.wait(30)
        assert len(reads) == 1


def test_the_dock_closed_and_opened_again(viewer, at_work, qtbot):
    session = workspace_of(viewer).session
    viewer.dims.set_point(0, 5)
    latent = session.current
    dock = next(d for d in viewer.window._qt_window.findChildren(QDockWidget) if d.isAncestorOf(at_work))
    viewer.window.remove_dock_widget(at_work)
    assert dock is not None
    del dock
    qtbot.wait(50)
    viewer.dims.set_point(0, 6)
    assert session.current == session.order.latents[6]
    session.current = latent
    menu_action(viewer, "Layers", "Visualize", "Model & image").trigger()
    again = next(d for d in viewer.window._qt_window.findChildren(ModelDock) if d is not at_work)
    assert again.latent.latent_box.value() == latent
    assert again.image.layer_box.currentText() == session.image.image_id
    assert again.job.unload_button.isEnabled()


def tab_texts(viewer):
    return [bar.tabText(i) for bar in viewer.window._qt_window.findChildren(QTabBar) for i in range(bar.count())]


@pytest.mark.parametrize("way", ["menu", "command line"])
def test_the_tab_of_the_dock_reads_as_its_name(viewer, qtbot, way):
    """Qt's tabs take an ampersand for the mark of a shortcut unless it is doubled, and brackets leave no room."""
    if way == "menu":
        menu_action(viewer, "Layers", "Visualize", "Model & image").trigger()
    else:
        open_dock(viewer, MODEL_DOCK)
    open_dock(viewer, "Latents")
    qtbot.waitUntil(lambda: {"Model && image", "Latents"} <= set(tab_texts(viewer)))
    dock = dock_of(viewer).parent()
    assert dock.name == "Model & image (Mammo-SAE)"  # what napari and the title bar call it


def test_the_menu_shows_and_hides_the_dock_that_the_command_line_opened(viewer, qtbot):
    dock = open_dock(viewer, MODEL_DOCK)
    qtbot.waitUntil(dock.isVisible)
    for visible in (False, True):
        menu_action(viewer, "Plugins", "Mammo-SAE", MODEL_DOCK).trigger()
        assert dock.isVisible() == visible
    assert len(viewer.window._qt_window.findChildren(ModelDock)) == 1


def test_deleting_the_stack_and_showing_it_again(viewer, at_work, qtbot):
    viewer.layers.remove(owned(viewer).find("latents"))
    viewer.dims.set_point(0, 0)
    qtbot.mouseClick(at_work.latent.show_button, Qt.MouseButton.LeftButton)
    stack = owned(viewer).find("latents")
    session = workspace_of(viewer).session
    np.testing.assert_array_equal(stack.data[session.rank], session.maps[session.current])


def test_another_sample_during_a_computation(viewer, at_work, qtbot):
    session = workspace_of(viewer).session
    first = session.image
    qtbot.mouseClick(at_work.job.compute_button, Qt.MouseButton.LeftButton)
    menu_action(viewer, "File", "Open Sample", "Mammo-SAE", "Synthetic phantom, suspicious").trigger()
    idle(qtbot, at_work.workspace)
    assert session.image is not first
    assert session.maps is not None
    assert "suspicious calcification" in owned(viewer).find("truth").features["finding"].tolist()
    assert len(owned(viewer).with_role("truth")) == 1


def test_an_image_another_reader_opened_with_a_scale_of_its_own(viewer, at_work, qtbot, tmp_path):
    viewer.open(write_png(tmp_path, "case.png"), plugin="napari", scale=(0.1, 0.1))
    at_work.image.layer_box.setCurrentText("case")
    at_work.image.layer_box.activated.emit(at_work.image.layer_box.currentIndex())
    idle(qtbot, at_work.workspace)
    qtbot.mouseClick(at_work.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, at_work.workspace)
    session, stack = workspace_of(viewer).session, owned(viewer).find("latents")
    edges = np.array(session.maps.frame.crop).reshape(2, 2)
    half_cell = (edges[1] - edges[0]) / session.model.grid / 2
    centres = edges - 0.5 + [half_cell, -half_cell]  # of the first and the last cell, in source pixels
    np.testing.assert_allclose(stack.extent.world[:, 1:], centres * 0.1, atol=1e-6)


def test_a_broken_model_is_told_and_the_next_one_works(viewer, at_work, qtbot, tmp_path, tiny_model):
    broken = tmp_path / "model.toml"
    broken.write_text('classifier = "gone.pth"\n')
    at_work.model.classifier.set_path(broken)
    maps = workspace_of(viewer).session.maps
    qtbot.mouseClick(at_work.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, at_work.workspace)
    assert "gone.pth" in at_work.job.status.text()
    assert at_work.job.warning.isVisibleTo(at_work)
    assert workspace_of(viewer).session.maps is maps
    at_work.model.classifier.set_path(tiny_model)
    qtbot.mouseClick(at_work.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, at_work.workspace)
    assert "fire on this image" in at_work.job.status.text()


def test_unloading_frees_the_weights(viewer, at_work, qtbot):
    weights = [
        weakref.ref(p) for p in workspace_of(viewer).session.handle._child._models.model._loaded().backbone.parameters()
    ]
    qtbot.mouseClick(at_work.job.unload_button, Qt.MouseButton.LeftButton)
    gc.collect()
    assert not any(w() is not None and w().device.type == "cpu" for w in weights)


def test_dicom_goes_to_our_reader(viewer, tmp_path):
    prefer_for_mammograms()  # what activating the plugin does, once a process; settings are fresh in every test
    path = write_dicom(tmp_path / "case.dcm", breast_image())
    (layer,) = viewer.open(path, plugin=None)  # as File > Open and drag and drop do
    assert layers.tags(layer)["mammogram"].image_id == "case"


def test_the_very_first_dicom_takes_one_ok_and_later_ones_none(viewer, tmp_path, monkeypatch):
    """Before anything of the plugin was used, napari does not know the preference yet: it asks, with ours chosen."""
    asked = []
    monkeypatch.setattr(QtReaderDialog, "exec_", lambda self: asked.append(self._get_plugin_choice()) or True)
    PluginManager.instance().deactivate(PLUGIN)
    for name in ("first.dcm", "second.dcm", "third.DCM"):
        path = write_dicom(tmp_path / name, breast_image())
        viewer.window._qt_viewer._qt_open([str(path)], stack=False)  # what File > Open and drag and drop call
    assert asked == ["Mammo-SAE"]
    mammograms = [layers.tags(layer).get("mammogram") for layer in viewer.layers]
    assert [image.image_id for image in mammograms] == ["first", "second", "third"]


def test_a_damaged_dicom_dropped_on_the_window(viewer, at_work, qtbot, tmp_path, monkeypatch):
    """napari offers its other readers; the dock says what is wrong, and everything stays as it was."""
    monkeypatch.setattr(QtReaderDialog, "exec_", lambda self: False)  # the user cancels
    prefer_for_mammograms()
    idle(qtbot, at_work.workspace)
    session, before = workspace_of(viewer).session, list(viewer.layers)
    image, maps, rank = session.image, session.maps, session.rank
    path = truncate(write_dicom(tmp_path / "cut.dcm", breast_image()))
    viewer.window._qt_viewer._qt_open([str(path)], stack=False)
    assert "cut.dcm" in at_work.job.status.text()
    assert "is truncated (" in at_work.job.status.text()
    assert at_work.job.warning.isVisibleTo(at_work)
    assert str(tmp_path) not in at_work.job.status.text()
    assert list(viewer.layers) == before
    assert (session.image, session.maps, session.rank) == (image, maps, rank)
    viewer.dims.set_point(0, rank + 1)
    assert session.rank == rank + 1
    qtbot.mouseClick(at_work.job.compute_button, Qt.MouseButton.LeftButton)
    idle(qtbot, at_work.workspace)
    assert "fire on this image" in at_work.job.status.text()


def test_three_dimensions_and_back(viewer, at_work, qtbot):
    viewer.dims.ndisplay = 3
    assert not owned(viewer).find("latents").visible
    viewer.dims.ndisplay = 2
    assert owned(viewer).find("latents").visible

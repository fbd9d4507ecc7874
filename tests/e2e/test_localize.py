"""From a heatmap to a saved box, with the mouse: the embedded example, its boxes, a threshold, a drawn box."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QTabBar

from layer_kit import owned
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.viewer import samples
from napari_mammosae.viewer.docks import LocalizeDock, ModelDock
from napari_mammosae.viewer.workspace import workspace_of
from waiting import is_due

pytestmark = pytest.mark.opengl

LEFT = Qt.MouseButton.LeftButton


def trigger(viewer, *path):
    """Choose an entry of the window's menus by the texts a user reads."""
    menu = next(w for w in viewer.window._qt_window.findChildren(QMenu) if w.title().lstrip("&") == path[0])
    for text in path[1:]:
        menu.aboutToShow.emit()
        action = next(a for a in menu.actions() if a.text().replace("&&", "&").startswith(text))
        menu = action.menu()
    action.trigger()


def dock_of(viewer, kind):
    return viewer.window._qt_window.findChildren(kind)[-1]


def idle(qtbot, dock):
    jobs = [
        dock.workspace.jobs,
        dock.workspace.opener.jobs,
        dock.localizer.jobs,
        dock.editor.jobs,
        dock.localizer.outline.jobs,
    ]
    qtbot.waitUntil(lambda: not any(j.busy for j in jobs) and not is_due(dock.localizer._later), timeout=60_000)
    qtbot.wait(30)


def on_canvas(viewer, row, col):
    """Where a point of the image lies on the canvas widget."""
    canvas = viewer.window._qt_viewer.canvas
    camera, size = viewer.scene.camera, canvas.native.size()
    offset = (np.array([row, col]) - camera.center[-2:]) * camera.zoom
    return QPoint(round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0]))


def drag(qtbot, widget, start, end):
    QTest.mouseMove(widget, start)
    qtbot.wait(20)
    QTest.mousePress(widget, LEFT, Qt.KeyboardModifier.NoModifier, start)
    for share in (0.3, 0.6, 1.0):
        QTest.mouseMove(widget, start + (end - start) * share)
        qtbot.wait(20)
    QTest.mouseRelease(widget, LEFT, Qt.KeyboardModifier.NoModifier, end)
    qtbot.wait(20)


def click_tab(qtbot, dock, index):
    bar = dock.tabs.findChild(QTabBar)
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    yield viewer
    workspace_of(viewer).close()


def open_example(viewer, qtbot):
    """Menu File > IO utilities > Mammo-SAE > Open the example, then the dock from its menu."""
    trigger(viewer, "File", "IO Utilities", "Mammo-SAE", "Open the example")
    trigger(viewer, "Layers", "Measure", "Localise")
    dock = dock_of(viewer, LocalizeDock)
    idle(qtbot, dock)
    assert workspace_of(viewer).session.maps is not None, dock.actions_part.status.text()
    return dock


@pytest.mark.slow
def test_threshold_draw_save_reopen_find(viewer, qtbot, tmp_path, monkeypatch):
    dock = open_example(viewer, qtbot)
    session, tree = workspace_of(viewer).session, dock.boxes.list
    phantoms = samples.PHANTOMS

    # load the boxes, and pick a latent that sees the mass
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(phantoms / "findings.csv"), ""))
    trigger(viewer, "Layers", "Visualize", "Model & image")
    qtbot.mouseClick(dock_of(viewer, ModelDock).image.boxes_button, LEFT)
    idle(qtbot, dock)
    dock.parentWidget().raise_()  # its tab, which lies behind that of the model
    assert tree.topLevelItem(0).text(0).startswith("mass: ")
    qtbot.mouseClick(tree.viewport(), LEFT, pos=tree.visualItemRect(tree.topLevelItem(0)).center())
    qtbot.mouseClick(dock.actions_part.hits_button, LEFT)
    idle(qtbot, dock)
    assert session.rank == 0
    assert session.order.name == "IoU with the mass box"

    # drag the threshold's line, and read the IoU
    before = tree.topLevelItem(0).text(1)
    assert float(before) == pytest.approx(session.order.scores[session.current], abs=0.006)
    plot = dock.choice.plot
    level = dock.localizer.current.boxes.regions.level
    top = dock.localizer.current.scope.values.maximum

    def at(activation):
        inside = plot.plotItem.vb.mapViewToScene(QPointF(activation, 0.3))
        return plot.mapFromScene(inside)

    drag(qtbot, plot.viewport(), at(level), at(level + 0.5 * (top - level)))
    idle(qtbot, dock)
    assert dock.localizer.current.boxes.regions.level == pytest.approx(level + 0.5 * (top - level), abs=0.06 * top)
    assert tree.topLevelItem(0).text(1) != before
    assert dock.choice.value_box.value() == pytest.approx(dock.localizer.choice.value, abs=1e-3)

    # draw a missing box
    click_tab(qtbot, dock, 2)
    qtbot.mouseClick(dock.draw.edit_button, LEFT)
    truth = owned(viewer).find("truth")
    canvas = viewer.window._qt_viewer.canvas.native
    drag(qtbot, canvas, on_canvas(viewer, 300, 350), on_canvas(viewer, 420, 500))
    qtbot.waitUntil(lambda: truth.nshapes == 2, timeout=5000)
    idle(qtbot, dock)
    drawn = session.findings.boxes(session.image.image_id, shape=session.image.shape).iloc[-1]
    np.testing.assert_allclose(
        drawn[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float), [300, 350, 420, 500], atol=8
    )
    assert drawn["finding"] == "mass"
    assert "Not saved" in dock.draw.state.text()
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert truth.nshapes == 1
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert truth.nshapes == 2
    qtbot.mouseClick(dock.draw.note_edit, LEFT)
    qtbot.keyClicks(dock.draw.note_edit, "missed at first")
    qtbot.keyClick(dock.draw.note_edit, Qt.Key.Key_Return)

    # save
    path = tmp_path / "corrected.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), "Plain CSV (*.csv)"))
    qtbot.mouseClick(dock.draw.save_button, LEFT)
    idle(qtbot, dock)
    assert not dock.draw.state.isVisible()
    assert path.with_name("corrected.csv.json").exists()
    assert (phantoms / "findings.csv").read_text().count("phantom-900052") == 1

    # reopen, and find it
    session.findings = None
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    qtbot.mouseClick(dock_of(viewer, ModelDock).image.boxes_button, LEFT)
    idle(qtbot, dock)
    click_tab(qtbot, dock, 0)
    assert [row.annotated for row in tree.rows[:2]] == [True, True]
    found = read_findings(path).boxes(session.image.image_id)
    assert found["note"].tolist() == ["", "missed at first"]
    qtbot.mouseClick(tree.viewport(), LEFT, pos=tree.visualItemRect(tree.topLevelItem(1)).center())
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (359.5, 424.5), atol=8)


@pytest.mark.slow
def test_closing_and_reopening_the_window_s_dock(viewer, qtbot):
    dock = open_example(viewer, qtbot)
    assert owned(viewer).find("found") is not None
    viewer.window.remove_dock_widget(dock)
    dock.cleanup()
    dock.deleteLater()
    qtbot.wait(50)
    assert owned(viewer).find("found") is not None  # closing a dock changes nothing but what is seen
    trigger(viewer, "Layers", "Measure", "Localise")
    again = dock_of(viewer, LocalizeDock)
    idle(qtbot, again)
    assert owned(viewer).find("found") is not None
    assert again.findChildren(QPushButton)

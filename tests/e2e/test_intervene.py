"""A user takes the marker away from the embedded model, and looks at what is left: real weights, real mouse."""

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtWidgets import QFileDialog, QMenu

from layer_kit import owned
from napari_mammosae.core.base.text import numbers_of
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.viewer.docks import InterveneDock
from napari_mammosae.viewer.intervention.layers import BANNER, EDITED
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = pytest.mark.opengl


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    yield viewer
    workspace_of(viewer).close()


@pytest.fixture
def dock(viewer, qtbot):
    """The dock from the menu, the demo's run opened, its first image shown."""
    menu = next(m for m in viewer.window._qt_window.findChildren(QMenu) if m.title().lstrip("&") == "Layers")
    for title in ("Visualize", "Intervene"):
        menu.aboutToShow.emit()
        action = next(a for a in menu.actions() if a.text().startswith(title))
        menu = action.menu()
    action.trigger()
    dock = viewer.window._qt_window.findChild(InterveneDock)
    workspace = dock.workspace
    workspace.opener.open_demo()
    qtbot.waitUntil(lambda: workspace.session.maps is not None and dock.over_run.curve is not None, timeout=60_000)
    idle(qtbot, dock)
    yield dock
    idle(qtbot, dock)


def idle(qtbot, dock):
    work = dock.workspace
    jobs = (work.jobs, work.opener.jobs, work.intervention.passing, work.over_run.jobs, work.exporter.jobs)
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=60_000)


def press(qtbot, check):
    qtbot.mouseClick(check, Qt.MouseButton.LeftButton, pos=QPoint(8, check.height() // 2))


def logits_by_hand(session, mask):
    """Logits of all images of the run, and of the one shown, with latents removed from what the model said."""
    weight = np.where(mask, session.model.attribution, 0)
    run = session.run
    return run.logits - run.pooled("mean") @ weight.T, session.maps.logits - weight @ session.maps.pooled_mean


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.slow
def test_without_my_spurious_latents(viewer, dock, qtbot, tmp_path, monkeypatch):
    session, canvas = dock.session, viewer.window._qt_viewer.canvas.native
    part = session.model.attribution[0] * session.maps.pooled_mean
    spurious = np.argsort(-part)[:3]
    dock.workspace.intervention.change(form="delta")  # as worked out by hand
    for latent in spurious:  # looked at, and judged by key
        session.current = int(latent)
        qtbot.keyClick(canvas, Qt.Key.Key_0)
    assert "(3)" in dock.set.switch.text()

    press(qtbot, dock.set.switch)
    mask = np.isin(np.arange(session.model.n_latents), spurious)
    many, one = logits_by_hand(session, mask)
    text = viewer.canvas.overlays[EDITED].text
    assert viewer.canvas.overlays[EDITED].visible
    assert BANNER in text
    assert f"mass {sigmoid(one[0]):.3f}" in text
    assert dock.result.after_text() == f"{sigmoid(one[0]):.3f} ({one[0]:+.2f})"
    assert dock.set.banner.isVisible()
    mass = session.run.label("mass")
    assert f"→ {auroc(mass, many[:, 0]):.4f}" in dock.run.move_part.measures.text()

    dock.workspace.browser.show(1)  # the next image is edited as well
    idle(qtbot, dock)
    qtbot.waitUntil(lambda: dock.workspace.browser.row == 1)
    one = logits_by_hand(session, mask)[1]
    assert f"mass {sigmoid(one[0]):.3f}" in viewer.canvas.overlays[EDITED].text

    press(qtbot, dock.set.switch)
    assert not viewer.canvas.overlays[EDITED].visible

    slider = dock.set.k_slider.slider  # drag k with the mouse
    middle, y = slider.width() // 2, slider.height() // 2
    handle = QPoint(5, y)
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=handle)
    for x in range(5, middle, 12):
        qtbot.mouseMove(slider, QPoint(x, y))
        slider.setValue(round(x / slider.width() * slider.maximum()))  # window managers are missing under test
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(middle, y))
    dragged = dock.intervention.state.k
    assert dragged > 3
    assert dock.run.plot.marker.value() == pytest.approx(np.log1p(dragged))

    dock.tabs.setCurrentIndex(1)  # drag the line on the curve
    qtbot.wait(100)
    plot = dock.run.plot
    start = plot.mapFromScene(plot.plotItem.vb.mapViewToScene(QPointF(plot.marker.value(), 0)))
    y = plot.height() // 3
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(start.x(), y))
    for step in range(1, 9):
        qtbot.mouseMove(plot.viewport(), QPoint(start.x() + 6 * step, y))
        qtbot.wait(15)
    qtbot.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(start.x() + 48, y))
    further = dock.intervention.state.k
    assert further > dragged
    assert dock.set.k_slider.k == further

    qtbot.mouseClick(dock.set.undo_button, Qt.MouseButton.LeftButton)
    assert dock.intervention.state.k == dragged

    dock.result.map_box.setCurrentIndex(3)
    dock.result.map_box.activated.emit(3)
    drawn = owned(viewer).find("logit map")
    idle(qtbot, dock)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "edit.csv"), ""))
    qtbot.mouseClick(dock.export_button, Qt.MouseButton.LeftButton)
    idle(qtbot, dock)
    table = pd.read_csv(tmp_path / "edit.csv").set_index("class")
    mask = np.isin(np.arange(session.model.n_latents), numbers_of(table["latents"].iloc[0]))
    assert mask.sum() == table["set_size"].iloc[0] == dock.over_run.curve.union_size[dragged]
    many, one = logits_by_hand(session, mask)
    np.testing.assert_allclose(table["logit_after"], one, atol=1e-5)
    np.testing.assert_allclose(table["probability_after"], sigmoid(one), atol=1e-6)
    curve = pd.read_csv(tmp_path / "edit.curve.csv").set_index("k")
    row = curve.loc[curve.index[curve.index <= dragged].max()]
    assert row["auroc"] == pytest.approx(auroc(mass, many[:, 0]), abs=1e-9)
    flips = pd.read_csv(tmp_path / "edit.flips.csv")
    changed = (many[:, 0] >= 0) != (session.run.logits[:, 0] >= 0)
    assert list(flips["flipped_image"]) == list(session.run.images["image_id"][changed])
    record = json.loads((tmp_path / "edit.json").read_text())
    assert record["model"]["sae_sha256"] == session.model.sae_sha256
    assert record["edit"]["latents"] == np.flatnonzero(mask).tolist()
    assert drawn.data.sum(dtype=float) == pytest.approx(one[0] - session.maps.logits[0], abs=1e-3)  # float16 maps


def test_the_banner_stays_when_the_dock_is_closed(viewer, dock, qtbot):
    dock.set.k_slider.box.setValue(4)
    assert viewer.canvas.overlays[EDITED].visible
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(50)
    assert viewer.canvas.overlays[EDITED].visible
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_H)  # hiding overlays does not hide this
    assert viewer.canvas.overlays[EDITED].visible
    picture = viewer.screenshot(canvas_only=True, flash=False)
    amber = (np.abs(picture[..., :3].astype(int) - (255, 176, 0)) < 12).all(axis=2)
    assert amber.sum() > 1_500  # it is really there to be read


def test_the_dock_fits_a_small_laptop(viewer, dock, qtbot):
    dock.set.k_slider.box.setValue(4)
    dock.tabs.setCurrentIndex(1)
    qtbot.wait(50)
    assert viewer.window._qt_window.height() <= 768
    assert viewer.window._qt_window.width() <= 1366
    assert dock.minimumSizeHint().height() <= 480

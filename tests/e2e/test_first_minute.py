"""The demo's first minute in a real window: filled at once, and led by keys alone to what the marker's removal does."""

import time

import pytest
from qtpy.QtCore import QEvent, QObject, Qt

from cut_off import find_cut_off
from layer_kit import owned
from napari_mammosae.viewer.docks import ImagesDock, InterveneDock, LatentsDock, ModelDock
from napari_mammosae.viewer.guide.controller import guide_of
from napari_mammosae.viewer.guide.panel import GuidePanel
from napari_mammosae.viewer.guide.steps import STEPS
from napari_mammosae.viewer.launch import show_demo
from napari_mammosae.viewer.localization.panel import LocalizePanel

pytestmark = pytest.mark.opengl

CEILING = 20
"""Seconds from the first paint until the docks are filled: one on a quiet machine."""


class FirstPaint(QObject):
    """When a window is painted first."""

    at = None

    def eventFilter(self, watched, event):
        if self.at is None and event.type() == QEvent.Type.Paint:
            self.at = time.monotonic()
        return False


def press(qtbot, viewer, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, key, modifier)


@pytest.mark.slow
def test_the_demo_is_filled_at_once_and_leads_by_keys_alone_to_the_auroc(viewer, qtbot):
    window = viewer.window._qt_window
    window.resize(1366, 740)
    workspace = show_demo(viewer)
    paint = FirstPaint()
    window.installEventFilter(paint)
    model, images, latents, intervene = (
        window.findChild(kind) for kind in (ModelDock, ImagesDock, LatentsDock, InterveneDock)
    )
    guide, session = guide_of(workspace), workspace.session

    def filled():
        assert images.list.table.size == 40
        assert latents.table.sort_key == "run.diff"
        assert latents.detail.gallery.list.count()
        assert not workspace.pictures.jobs.busy  # the gallery has its pictures
        assert workspace.over_run.curve is not None
        assert model.prediction.isVisible()
        assert paint.at is not None

    qtbot.waitUntil(filled, timeout=3 * CEILING * 1000)  # the time before the first paint counts here too
    assert time.monotonic() - paint.at < CEILING
    window.removeEventFilter(paint)
    assert window.height() <= 768
    assert owned(viewer).find("found") is None  # until Localise is looked at

    press(qtbot, viewer, Qt.Key.Key_Right)
    assert guide.is_done("latent")
    first = session.current
    press(qtbot, viewer, Qt.Key.Key_Right)
    assert session.current != first
    actions = 2
    while key := guide.next_key:
        press(qtbot, viewer, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
        actions += 1
        qtbot.waitUntil(lambda key=key: guide.is_done(key), timeout=20_000)
        if key == "ranking":
            assert not latents.visibleRegion().isEmpty()
            assert len(latents.view.selected) <= 1  # Shift, held down for the key, selects no rows
    assert actions <= 10
    assert not intervene.run.visibleRegion().isEmpty()
    qtbot.waitUntil(lambda: "AUROC" in guide.said, timeout=20_000)
    assert intervene.run.move_part.measures.text() in guide.said

    _check_the_way_by_mouse(workspace, window, qtbot)
    window.findChild(LocalizePanel).parent().raise_()
    qtbot.waitUntil(lambda: owned(viewer).find("found") is not None, timeout=20_000)


def _check_the_way_by_mouse(workspace, window, qtbot):
    """All is taken back, the demo opened anew, and the buttons of the steps are clicked."""
    guide, panel = guide_of(workspace), window.findChild(GuidePanel)
    workspace.toggle_spurious()
    while any(workspace.reviewer.book.verdicts().values()):
        workspace.reviewer.undo()
    qtbot.waitUntil(lambda: not workspace.over_run.jobs.busy, timeout=20_000)
    guide.start()
    qtbot.waitUntil(lambda: not any(guide.is_done(step.key) for step in STEPS), timeout=20_000)
    assert workspace.intervention.map_kind == "before"
    qtbot.waitUntil(lambda: workspace.session.current == workspace.latents.table.visible[0], timeout=20_000)
    before = workspace.session.maps.logits_sae[0]
    for key, button in panel.buttons.items():
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda key=key: guide.is_done(key), timeout=20_000)
        assert find_cut_off(panel) == []
    assert len(panel.buttons) <= 10
    assert workspace.intervention.view.after[0] < before  # without the marker less speaks for a mass
    qtbot.waitUntil(lambda: "AUROC" in panel.said.text(), timeout=20_000)

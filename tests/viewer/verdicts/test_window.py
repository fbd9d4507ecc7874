"""Keys, overlay and screenshots of verdicts in a real window."""

import sqlite3

import cv2
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from layer_kit import owned
from napari_mammosae.viewer.app import keymap
from napari_mammosae.viewer.docks import ImagesDock, LatentsDock, VerdictsDock
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import make_tiny_run, open_run_in

pytestmark = pytest.mark.opengl


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, tiny_model):
    return make_tiny_run(tmp_path_factory.mktemp("tiny-run"), tiny_model)


@pytest.fixture
def viewer(make_napari_viewer, qtbot, run_path):
    viewer = make_napari_viewer(show=True)
    open_run_in(qtbot, workspace_of(viewer), run_path)
    yield viewer
    workspace_of(viewer).close()
    for path in run_path.glob("verdicts.sqlite*"):
        path.unlink()


def overlay(viewer):
    return viewer.canvas.overlays.text.text


def dock_in(viewer, kind):
    dock = kind(viewer)
    viewer.window.add_dock_widget(dock, name=kind.__name__)
    return dock


def test_the_keys_judge_and_step_wherever_the_focus_is(viewer, qtbot):
    workspace = workspace_of(viewer)
    session, book = workspace.session, workspace.reviewer.book
    images, latents = dock_in(viewer, ImagesDock), dock_in(viewer, LatentsDock)
    verdicts = dock_in(viewer, VerdictsDock)
    places = (
        viewer.window._qt_viewer.canvas.native,
        latents.view,
        images.list.view,
        verdicts.form.next_button,
    )
    verdict_of = {"8": "lesion", "9": "anatomy", "0": "spurious", "U": "unsure"}
    for place, (key, verdict) in zip(places, verdict_of.items(), strict=True):
        place.setFocus()
        qtbot.keyClick(place, key)
        assert book.verdict(session.current) == verdict, place
        assert overlay(viewer).endswith(verdict)
        judged = session.current
        qtbot.keyClick(place, "n")
        assert session.current != judged
        row = workspace.browser.row
        qtbot.keyClick(place, "j")
        qtbot.waitUntil(lambda row=row: workspace.browser.row == row + 1)
    qtbot.keyClick(places[0], "U", Qt.KeyboardModifier.ShiftModifier)
    assert book.verdict(judged) == ""
    qtbot.keyClick(places[0], "R", Qt.KeyboardModifier.ShiftModifier)
    assert book.verdict(judged) == "unsure"
    qtbot.keyClick(places[0], "J", Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: workspace.browser.row == 3)


def test_keys_typed_into_a_field_judge_nothing(viewer, qtbot):
    workspace = workspace_of(viewer)
    form = dock_in(viewer, VerdictsDock).form
    latent, row = workspace.session.current, workspace.browser.row
    form.note.setFocus()
    qtbot.keyClicks(form.note, "890unUNjJ")
    assert form.note.text() == "890unUNjJ"
    assert workspace.reviewer.book.verdict(latent) == ""
    assert (workspace.session.current, workspace.browser.row) == (latent, row)


def test_every_review_key_is_bound_and_let_go(viewer):
    workspace = workspace_of(viewer)
    bound = {str(key) for key in viewer.keymap}
    assert {key.key.replace("-", "+") for key in (*keymap.REVIEW_KEYS, *keymap.BROWSE_KEYS)} <= bound
    workspace.close()
    assert not {str(key) for key in viewer.keymap} & {key.key.replace("-", "+") for key in keymap.REVIEW_KEYS}


def test_a_screenshot_is_kept_when_it_is_wanted(viewer, qtbot, run_path):
    workspace = workspace_of(viewer)
    form = dock_in(viewer, VerdictsDock).form
    QApplication.processEvents()
    workspace.reviewer.judge_lesion()
    form.screenshot.click()
    workspace.reviewer.judge_spurious()
    with sqlite3.connect(run_path / "verdicts.sqlite") as connection:
        kept = connection.execute("SELECT png FROM screenshots").fetchall()
    connection.close()
    ((png,),) = kept  # of the second verdict alone
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == viewer.screenshot(canvas_only=True, flash=False).shape[:2]
    assert picture.std() > 5  # not blank


def test_blind_hides_boxes_and_prediction_on_the_canvas(viewer, qtbot, tmp_path):
    from napari_mammosae.core.annotations.boxes import read_findings
    from napari_mammosae.viewer.canvas.texts import PREDICTION

    workspace = workspace_of(viewer)
    (tmp_path / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-000,mass,60,150,120,220\n")
    workspace.session.findings = read_findings(tmp_path / "boxes.csv")
    assert owned(viewer).find("truth") is not None
    workspace.reviewer.set_blind(True)
    assert owned(viewer).find("truth") is None
    assert not viewer.canvas.overlays[PREDICTION].visible
    assert "rank" not in overlay(viewer)
    workspace.browser.next_image()
    qtbot.waitUntil(lambda: workspace.browser.row == 1)
    workspace.browser.previous_image()
    qtbot.waitUntil(lambda: workspace.browser.row == 0)
    qtbot.wait(50)
    assert owned(viewer).find("truth") is None
    assert not viewer.canvas.overlays[PREDICTION].visible
    workspace.reviewer.set_blind(False)
    assert owned(viewer).find("truth") is not None
    assert "rank" in overlay(viewer)

"""Walking the images that excite a latent most: by keys, by the buttons of the gallery, and from suspect to suspect."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from fake_run import FakeRun
from fakes import FakeModel
from napari_mammosae.viewer.app import keymap
from napari_mammosae.viewer.app.order import Order
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.workspace import workspace_of

SILENT, WITH_MASS = 3, 5


@pytest.fixture
def workspace(viewer, tmp_path, qtbot):
    workspace = workspace_of(viewer)
    workspace.session.handle = FakeModel()
    run = workspace.session.run = FakeRun(tmp_path)
    workspace.browser.files_of(run).root = tmp_path
    workspace.browser.show(1)
    qtbot.waitUntil(lambda: workspace.session.maps is not None)
    workspace.session.current = WITH_MASS
    return workspace


def strongest_of_each_patient(run, latent):
    """Rows by falling mean, worked out one by one."""
    found = {}
    for row, patient in enumerate(run.images["patient"]):
        mean = run.dense[row, ..., latent].mean()
        if mean > found.get(patient, (0, None))[0]:
            found[patient] = mean, row
    return [row for _, row in sorted(found.values(), reverse=True)]


def press(viewer, action):
    key = next(one for one in viewer.keymap if str(one).replace("+", "-") == keymap.key_for(action))
    viewer.keymap[key](viewer)


def arrive(qtbot, workspace, row):
    qtbot.waitUntil(lambda: workspace.browser.row == row and workspace.session.maps is not None)


def test_keys_walk_from_the_strongest_to_the_weakest_and_back(workspace, viewer, qtbot):
    rows = strongest_of_each_patient(workspace.session.run, WITH_MASS)
    assert len(rows) > 3
    press(viewer, "strongest_image")
    arrive(qtbot, workspace, rows[0])
    press(viewer, "previous_top_image")
    assert workspace.status.last_told[0].startswith(f"This is the strongest of the {len(rows)} images")
    for row in rows[1:]:
        press(viewer, "next_top_image")
        arrive(qtbot, workspace, row)
    press(viewer, "next_top_image")
    assert "weakest" in workspace.status.last_told[0]
    press(viewer, "previous_top_image")
    arrive(qtbot, workspace, rows[-2])
    assert workspace.session.current == WITH_MASS


def test_two_quick_steps_are_two_steps(workspace, viewer, qtbot):
    rows = strongest_of_each_patient(workspace.session.run, WITH_MASS)
    press(viewer, "strongest_image")
    press(viewer, "next_top_image")
    press(viewer, "next_top_image")
    arrive(qtbot, workspace, rows[2])


def test_the_gallery_s_buttons_walk_and_mark_the_image_in_the_exam_view_too(workspace, viewer, qtbot):
    rows = strongest_of_each_patient(workspace.session.run, WITH_MASS)
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    gallery = dock.detail.gallery
    try:
        qtbot.waitUntil(lambda: gallery.list.count() == len(rows), timeout=20_000)
        workspace.toggle_exam()
        qtbot.waitUntil(lambda: workspace.exam.shown is not None, timeout=20_000)
        for button, place in ((gallery.strongest_button, 0), (gallery.next_button, 1), (gallery.previous_button, 0)):
            assert "(key " in button.toolTip()
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
            qtbot.waitUntil(lambda row=rows[place]: row in workspace.exam.shown.rows, timeout=20_000)
            arrive(qtbot, workspace, rows[place])
            assert gallery.list.currentRow() == place
        workspace.session.current = SILENT
        qtbot.waitUntil(lambda: gallery.list.count() == 0, timeout=20_000)
        assert not gallery.strongest_button.isEnabled()
    finally:
        dock.cleanup()
        qtbot.waitUntil(lambda: not any(j.busy for j in (gallery.jobs, workspace.exam.jobs)), timeout=20_000)


@pytest.mark.parametrize("latent", [SILENT, None])
def test_without_such_an_image_it_says_so(workspace, viewer, latent):
    workspace.session.current = latent
    before = workspace.browser.row
    press(viewer, "strongest_image")
    assert workspace.browser.row == before
    assert ("silent on every image" if latent == SILENT else "choose a latent") in workspace.status.last_told[0]


def test_a_suspect_is_shown_where_it_fires(workspace, qtbot):
    session, search = workspace.session, workspace.suspects
    assert workspace.top_images.is_silent  # latent 5 fires where there is a mass, and the image has none
    session.current = 7
    search.choose(7)  # fires everywhere: the image stays
    assert workspace.browser.goal == 1
    search.choose(WITH_MASS)
    arrive(qtbot, workspace, strongest_of_each_patient(session.run, WITH_MASS)[0])


def test_the_slider_moves_to_an_image_only_while_suspects_are_stacked(workspace, qtbot):
    session, search = workspace.session, workspace.suspects
    workspace.top_images.show_latent()
    workspace.browser.show(1)
    arrive(qtbot, workspace, 1)
    session.current = 7
    search._values = {"suspect.suspicion": np.arange(64.0)}
    search.order_stack()
    session.current = WITH_MASS
    arrive(qtbot, workspace, strongest_of_each_patient(session.run, WITH_MASS)[0])
    session.order = Order.by_score(np.arange(64.0), "another")
    session.current = 7
    workspace.browser.show(1)
    arrive(qtbot, workspace, 1)
    session.current = WITH_MASS
    qtbot.wait(400)
    assert workspace.browser.goal == 1

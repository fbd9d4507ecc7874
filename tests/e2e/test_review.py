"""A user's first review, with the embedded model: the demo run, a ranking, the suspects, a verdict that stays."""

import csv

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMenu

from napari_mammosae.core.images.geometry import cell_scale_translate
from napari_mammosae.core.ranking.scores import LabelledPool
from napari_mammosae.core.ranking.table import rank_latents
from napari_mammosae.viewer.docks import ImagesDock, LatentsDock, VerdictsDock
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle

pytestmark = pytest.mark.opengl

PHANTOMS = 40


def open_docks(viewer):
    """Open the docks from the menu Layers > Visualize, as a user does."""
    menus = {menu.title().lstrip("&"): menu for menu in viewer.window._qt_window.findChildren(QMenu)}
    menus["Layers"].aboutToShow.emit()
    visualize = next(action.menu() for action in menus["Layers"].actions() if action.text() == "Visualize")
    visualize.aboutToShow.emit()
    for name in ("Images", "Latents", "Verdicts"):
        next(action for action in visualize.actions() if action.text().startswith(name)).trigger()
    return (viewer.window._qt_window.findChild(kind) for kind in (ImagesDock, LatentsDock, VerdictsDock))


@pytest.fixture
def start_napari(make_napari_viewer):
    """Open a window; what works in it is stopped in the end."""
    workspaces = []

    def start():
        viewer = make_napari_viewer(show=True)
        workspaces.append(workspace_of(viewer))
        return viewer

    yield start
    for workspace in workspaces:
        workspace.close()


def click(qtbot, widget, pos=None):
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, **({} if pos is None else {"pos": pos}))


def click_row(qtbot, view, row):
    click(qtbot, view.viewport(), view.visualRect(view.model().index(row, 0)).center())


def share_on_markers(run, latent):
    """Part of a latent's activation that lies in cells which the phantoms' own list of view markers touches."""
    boxes = {}
    with (run.path.parent / "phantoms" / "structures.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            if line["finding"] == "marker":
                boxes[line["image"]] = [float(line[key]) for key in ("ymin", "xmin", "ymax", "xmax")]
    image, cell, value = run.maps(latent)
    names = run.images.set_index("image")["image_id"]
    height, width = run.info["preprocessing"]["size"]
    (sr, sc), (tr, tc) = cell_scale_translate((height, width), run.grid)
    centres = np.stack([cell // run.grid[1] * sr + tr, cell % run.grid[1] * sc + tc], 1)
    on = 0.0
    for number, centre, strength in zip(image, centres, value.astype(float), strict=True):
        box = boxes.get(names[number])
        if box is not None and box[0] - sr <= centre[0] <= box[2] + sr and box[1] - sc <= centre[1] <= box[3] + sc:
            on += strength
    return on / value.astype(float).sum()


@pytest.mark.slow
def test_the_marker_latent_is_found_called_spurious_and_found_again(start_napari, qtbot):
    viewer = start_napari()
    workspace = workspace_of(viewer)
    session, canvas = workspace.session, viewer.window._qt_viewer.canvas.native
    images, latents, verdicts = open_docks(viewer)

    # The demo run, which comes with the package
    click(qtbot, images.run.demo_button)
    assert images.run.progress.cancel_button.isVisibleTo(images)
    idle(qtbot, workspace, timeout=60_000)
    run = session.run
    assert len(run) == PHANTOMS, images.run.status.text()
    assert session.image.image_id == run.images["image_id"].iloc[0]
    assert session.maps is not None

    # Ranked by difference for mass
    qtbot.waitUntil(lambda: latents.table.sort_key == "run.diff", timeout=30_000)
    assert latents.ranking.label_box.currentText() == "mass"
    plain = rank_latents(LabelledPool(run.pooled("mean"), run.label("mass")), "diff")
    assert latents.table.order.tolist()[:20] == plain["latent"].tolist()[:20]
    assert session.order.latents.tolist()[:20] == plain["latent"].tolist()[:20]

    # The marker latent among the suspects
    click(qtbot, verdicts.suspects.find_button)
    qtbot.waitUntil(lambda: not verdicts.suspects.jobs.busy, timeout=60_000)
    box, view = verdicts.suspects.place_box, verdicts.suspects.view
    box.setCurrentIndex(box.findText("burned-in marker"))
    box.activated.emit(box.currentIndex())
    shares = [share_on_markers(run, latent) for latent in view.table.visible[:20].tolist()]
    assert max(shares) > 0.4  # what a user sees on the images, walking down the list
    view.scrollTo(view.model().index(int(np.argmax(shares)), 0))
    click_row(qtbot, view, int(np.argmax(shares)))
    marker = session.current
    assert marker == view.table.visible[int(np.argmax(shares))]
    text = viewer.canvas.overlays.text
    assert f"latent {marker}" in text.text

    # Spurious by key, undone, redone
    qtbot.keyClick(canvas, "0")
    assert text.text.endswith("spurious")
    qtbot.keyClick(canvas, "u", Qt.KeyboardModifier.ShiftModifier)
    assert "spurious" not in text.text
    qtbot.keyClick(canvas, "r", Qt.KeyboardModifier.ShiftModifier)
    assert text.text.endswith("spurious")
    assert verdicts.form.buttons["spurious"].isChecked()

    # napari closed and opened again
    viewer.close()
    again = start_napari()
    workspace = workspace_of(again)
    images, latents, verdicts = open_docks(again)
    click(qtbot, images.run.demo_button)
    idle(qtbot, workspace, timeout=60_000)
    qtbot.keyClicks(latents.filters.text, "spurious")
    qtbot.waitUntil(lambda: latents.table.visible.tolist() == [marker], timeout=60_000)
    click_row(qtbot, latents.view, 0)
    assert workspace.session.current == marker
    assert again.canvas.overlays.text.text.endswith("spurious")
    assert verdicts.form.buttons["spurious"].isChecked()

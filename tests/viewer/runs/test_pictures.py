"""The images of a run as pictures: by patient and study, made for what is seen, and quickly for very many."""

import threading
import time

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from fake_run import FakeRun
from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.viewer.runs import thumbnails as module
from napari_mammosae.viewer.runs.picture_model import PictureModel
from napari_mammosae.viewer.runs.pictures_panel import RunPictures
from napari_mammosae.viewer.workspace import workspace_of


class Source:
    """Decodes pictures out of nothing: an image's number as its grey value."""

    def __init__(self):
        self.made, self.threads = [], set()

    def __call__(self, path, frame):
        number = int(path.stem.removeprefix("image-"))
        self.made.append(number)
        self.threads.add(threading.get_ident())
        return np.full((40, 24), number % 250, np.uint8)


@pytest.fixture
def shown(viewer, tmp_path, qtbot, monkeypatch):
    """Show the pictures of a run of a table, in a window of 380 x 520."""

    def showing(images):
        source = Source()
        workspace = workspace_of(viewer)
        run = FakeRun(tmp_path, 4, write=False)
        run.images = images
        workspace.thumbnails._decode = source
        workspace.session.run = run
        files = workspace.browser.files_of(run)
        monkeypatch.setattr(type(files), "path", lambda _, row: tmp_path / images["path"].iloc[row])
        panel = RunPictures(workspace.thumbnails)
        qtbot.addWidget(panel)
        panel.resize(380, 520)
        panel.show()
        return panel, source, workspace

    return showing


def table(count, *, a_patient=4, **columns):
    names = [f"image-{row:05d}" for row in range(count)]
    return pd.DataFrame(
        {
            "image": np.arange(count, dtype=np.int32),
            "image_id": names,
            "path": [f"{name}.png" for name in names],
            "patient": [f"patient-{row // a_patient:05d}" for row in range(count)],
            "label.mass": 0.0, "label.density": 0.0,
        }
        | {name: (values * count)[:count] for name, values in columns.items()}
    )  # fmt: skip


def test_a_row_is_a_study_and_views_hang(shown):
    images = table(10, a_patient=6, laterality=["L", "L", "R", "R"], view=["CC", "MLO", "CC", "MLO"])
    images["study_day"] = [0, 0, 0, 0, 30, 30, None, None, None, None]
    panel, *_ = shown(images)
    model = panel.model
    assert model.rows.tolist() == [[3, 1, 2, 0], [5, 4, -1, -1], [7, 9, 6, 8]]
    texts = [[model.index(row, column).data() for column in range(4)] for row in range(3)]
    assert texts == [
        ["R MLO", "L MLO", "R CC", "L CC"], ["L MLO", "L CC", None, None], ["R MLO", "L MLO", "R CC", "L CC"],
    ]  # fmt: skip
    vertical = [model.headerData(row, Qt.Orientation.Vertical) for row in range(3)]
    assert [text.split("\n")[1:] for text in vertical] == [["day 0"], ["day 30"], []]
    assert not model.flags(model.index(1, 2)) & Qt.ItemFlag.ItemIsSelectable


def test_what_is_not_known_comes_in_the_order_of_the_files(shown):
    panel, *_ = shown(table(7, a_patient=5))
    assert panel.model.rows.tolist() == [[0, 1, 2, 3], [4, -1, -1, -1], [5, 6, -1, -1]]
    assert panel.model.index(0, 0).data() == "image-00000"
    assert panel.model.headerData(1, Qt.Orientation.Vertical) is None  # the same study goes on


def test_pictures_of_what_is_seen_are_made_in_a_thread(shown, qtbot):
    panel, source, workspace = shown(table(400))
    first = panel.model.index(0, 0)
    qtbot.waitUntil(lambda: first.data(Qt.ItemDataRole.DecorationRole) is not None)
    qtbot.waitUntil(lambda: len(workspace.thumbnails) >= len(panel.view.seen()))
    assert first.data(Qt.ItemDataRole.DecorationRole).toImage().pixelColor(5, 5).red() == 0
    assert set(source.made) == set(panel.view.seen())
    assert len(source.made) == len(set(source.made)) < 100
    assert threading.get_ident() not in source.threads


def test_choosing_a_picture_opens_the_image_by_mouse_and_by_keyboard(shown, qtbot, monkeypatch):
    panel, _, workspace = shown(table(40))
    opened = []
    monkeypatch.setattr(workspace.browser, "show", opened.append)
    at = panel.view.visualRect(panel.model.index(1, 2)).center()
    QTest.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QTest.keyClick(panel.view, Qt.Key.Key_Down)
    QTest.keyClick(panel.view, Qt.Key.Key_Return)
    assert opened == [6, 10]


def test_a_file_that_cannot_be_read_says_why(shown, qtbot):
    panel, _, workspace = shown(table(4))

    def fail(path, frame):
        raise ImageError(f"{path.name}: broken")

    workspace.thumbnails._decode = fail
    workspace.thumbnails.forget()
    index = panel.model.index(0, 1)
    qtbot.waitUntil(lambda: "broken" in index.data(Qt.ItemDataRole.ToolTipRole))
    assert index.data(Qt.ItemDataRole.DecorationRole) is None


def test_twenty_thousand_images_are_listed_and_scrolled_smoothly(shown, qtbot, monkeypatch):
    """The ceilings are several times what it takes on a quiet machine, 30 frames a second among them."""
    start = time.process_time()
    panel, source, workspace = shown(table(20_000, laterality=["L", "L", "R", "R"], view=["CC", "MLO", "CC", "MLO"]))
    QApplication.processEvents()
    assert panel.model.rowCount() == 5_000
    assert time.process_time() - start < 3
    bar = panel.view.verticalScrollBar()
    painted = []
    for step in range(120):
        start = time.process_time()
        bar.setValue(bar.maximum() * (step + 1) // 120)
        panel.view.viewport().repaint()
        QApplication.processEvents()
        painted.append(time.process_time() - start)
    assert bar.value() == bar.maximum()
    assert np.median(painted) < 4 / 30
    last = panel.model.index(4_999, 3)
    qtbot.waitUntil(lambda: last.data(Qt.ItemDataRole.DecorationRole) is not None)
    assert len(source.made) < 4_000  # what passed by was not decoded
    for row in range(0, 20_000, 500):
        panel.view.scrollTo(panel.model.index_of(row))
        qtbot.waitUntil(lambda at=row: workspace.thumbnails.get(at) is not None)
    assert len(workspace.thumbnails) <= module.MOST


def test_another_run_s_pictures_are_not_taken_for_this_one_s(shown, qtbot, viewer, tmp_path):
    panel, _, workspace = shown(table(8))
    qtbot.waitUntil(lambda: len(workspace.thumbnails) == 8)
    before = workspace.session.run
    workspace.session.run = FakeRun(tmp_path, 4, write=False)
    workspace.thumbnails._take(before, 1, np.zeros((2, 2), np.uint8))
    assert workspace.thumbnails.get(1) is None or workspace.thumbnails.get(1).shape != (2, 2)
    workspace.session.run = None
    assert panel.model.rowCount() == 0
    assert PictureModel(workspace.thumbnails).index_of(3).isValid() is False

"""The table of 16,384 latents in a real viewer: sort, filter, re-order of the stack, and a step to the next row.

Everything is timed until the window has been drawn, on whatever screen there is; without a GPU OpenGL is software.
What napari itself takes is timed in the same run: painting the canvas again, and a step in a viewer of the same size
that holds the same kinds of layers and nothing of this project.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "napari.yaml")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import napari
from _report import Report
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from viewer import SOURCE, Bare

import fakes
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.viewer.canvas.camera import fit
from napari_mammosae.viewer.canvas.layers import mammogram_layer
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.latents.filters import LatentFilter
from napari_mammosae.viewer.widgets.columns import CELLS, MAXIMUM, MEAN, VERDICT

if TYPE_CHECKING:
    from collections.abc import Callable

LATENTS, GRID, SIZE, LIVE, REPEATS = 16_384, (48, 29), (1520, 912), 1_500, 15
WINDOWS = ((1366, 768), (1600, 1000))
WORDS = ("", "", "", "lesion", "anatomy", "spurious, marker", "unsure")


def drawn_ms(*calls: Callable[[], object]) -> list[float]:
    """Median milliseconds of each of several calls, made in turn, until nothing is left to draw."""
    found: list[list[float]] = [[] for _ in calls]
    for round_ in range(REPEATS + 2):
        for call, times in zip(calls, found, strict=True):
            start = time.perf_counter()
            call()
            QApplication.processEvents()
            QApplication.processEvents()
            if round_ > 1:  # the first ones warm up
                times.append(time.perf_counter() - start)
            QTest.qWait(150)  # what the dock does a moment later is no part of this
    return [1e3 * statistics.median(times) for times in found]


def scene(window: tuple[int, int] = WINDOWS[0]) -> tuple[napari.Viewer, LatentsDock]:
    """A viewer with a mammogram of the published size in full view, all latents over it, and the dock."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*window)
    dock = LatentsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Latents")
    model = fakes.FakeModel(n_latents=LATENTS, grid=GRID, preprocessing=Preprocessing(size=SIZE))
    image = fakes.mammogram(shape=(3000, 1800))
    viewer.add_layer(mammogram_layer(image))
    dock.session.handle = model
    dock.session.maps = fakes.latent_maps(model, image.frame_for(model.facts.preprocessing), live=LIVE)
    verdicts = np.random.default_rng(2).choice(WORDS, LATENTS).tolist()
    dock.session.verdicts = verdicts.__getitem__
    QTest.qWait(1000)
    fit(viewer, dock.workspace.scene.image_layer)
    QTest.qWait(200)
    return viewer, dock


def main() -> None:
    report = Report(
        "Table of 16,384 latents",
        f"{LIVE:,} latents live on the image, window drawn each time; medians of {REPEATS}.",
    )
    for window in WINDOWS:
        measure(window, report)
    bare, ranks = Bare(fakes.phantom(shape=SOURCE)), itertools.count(1)
    plain = drawn_ms(lambda: bare.step(next(ranks)))[0]
    report.add("step of the slider in bare napari, the same kinds of layers, no table", plain, "ms")
    bare.viewer.close()
    report.finish()


def measure(window: tuple[int, int], report: Report) -> None:
    """Everything, in a window of one size."""
    viewer, dock = scene(window)
    columns = {column.key: column for column in dock.table.columns}
    report.note(f"**window of {window[0]} x {window[1]}**, {len(columns)} columns", "")

    def in_turn(*calls: Callable[[], object]) -> Callable[[], object]:
        state = {"next": 0}

        def call() -> None:
            calls[state["next"] % len(calls)]()
            state["next"] += 1

        return call

    def bounded(what: str, call: Callable[[], object]) -> None:
        report.add(what, drawn_ms(call)[0], "ms", at_most=50)

    dock.follow_button.setChecked(False)
    sort = dock.view.sort_by
    both = in_turn(lambda: sort(columns[MAXIMUM.key]), lambda: sort(columns[MEAN.key], rising=True))
    bounded("sort by a number", both)
    both = in_turn(lambda: sort(columns[VERDICT.key]), lambda: sort(columns[VERDICT.key], rising=False))
    bounded("sort by verdict", both)
    sort(columns[MAXIMUM.key])

    def filter_by(**wanted: object) -> Callable[[], object]:
        return lambda: dock.filters.changed.emit(LatentFilter(**wanted))

    bounded("filter by text", in_turn(filter_by(text="12"), filter_by(text="spurious"), filter_by()))
    both = in_turn(filter_by(fires=True, column=MAXIMUM.key, low=0.5), filter_by())
    bounded("filter by image and range", both)
    filter_by()()

    dock.follow_button.setChecked(True)
    both = in_turn(lambda: sort(columns[CELLS.key]), lambda: sort(columns[MEAN.key]))
    bounded("sort, and the stack in the table's order", both)
    table, session = dock.table, dock.session
    orders = [dock.session.order]
    sort(columns[MAXIMUM.key])
    orders.append(session.order)

    def reorder(order: object) -> None:
        session.order = order

    bounded("re-order of the stack alone", in_turn(lambda: reorder(orders[0]), lambda: reorder(orders[1])))
    dock.view.setFocus()
    dock.view.selectRow(0)

    def slide() -> None:
        viewer.dims.set_point(0, viewer.dims.point[0] + 1)

    canvas = viewer.window._qt_viewer.canvas.native
    down, sliding, painting = drawn_ms(lambda: QTest.keyClick(dock.view, Qt.Key.Key_Down), slide, canvas.update)
    report.add("Down key in the table until the latent is drawn", down, "ms", at_most=50)
    report.add("step of the slider until the row is selected", sliding, "ms", at_most=50)
    report.add("the canvas painted again and nothing else, in turn with these two", painting, "ms")
    assert table.row_of(session.current) == dock.view.currentIndex().row()
    viewer.close()


if __name__ == "__main__":
    main()

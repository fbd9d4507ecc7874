"""The table of 16,384 latents in a real viewer: sort, filter, re-order of the stack, and a step to the next row.

Everything is timed until the window has been drawn, on whatever screen there is; without a GPU OpenGL is software.
The run is made up: 400 images, 300 latents firing on each.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "napari.yaml")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import napari
from _report import Report
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import fakes
from napari_mammosae.core.preprocessing import Preprocessing
from napari_mammosae.viewer.docks.columns import CELLS, MAXIMUM, MEAN, VERDICT
from napari_mammosae.viewer.docks.filters import LatentFilter
from napari_mammosae.viewer.docks.latents import LatentsDock
from napari_mammosae.viewer.layers import mammogram_layer

if TYPE_CHECKING:
    from collections.abc import Callable

LATENTS, GRID, SIZE, LIVE, REPEATS = 16_384, (48, 29), (1520, 912), 1_500, 15
WORDS = ("", "", "", "lesion", "anatomy", "spurious, marker", "unsure")


class Model(fakes.FakeModel):
    """Attributions of two classes; no weights."""

    attribution = np.random.default_rng(1).normal(size=(2, LATENTS))
    sae = None


def drawn_seconds(call: Callable[[], object]) -> float:
    """Median time of a call until nothing is left to draw."""
    found = []
    for round_ in range(REPEATS + 2):
        start = time.perf_counter()
        call()
        QApplication.processEvents()
        QApplication.processEvents()
        if round_ > 1:  # the first ones warm up
            found.append(time.perf_counter() - start)
        QTest.qWait(150)  # what the dock does a moment later is no part of this
    return statistics.median(found)


def scene() -> tuple[napari.Viewer, LatentsDock]:
    """A viewer with a mammogram of the published size, all latents over it, and the dock."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1600, 1000)
    dock = LatentsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Latents")
    model = Model(n_latents=LATENTS, grid=GRID, preprocessing=Preprocessing(size=SIZE))
    image = fakes.mammogram(shape=(3000, 1800))
    viewer.add_layer(mammogram_layer(image))
    dock.session.model = model
    dock.session.maps = fakes.latent_maps(model, image.frame_for(model.preprocessing), live=LIVE)
    verdicts = np.random.default_rng(2).choice(WORDS, LATENTS).tolist()
    dock.session.verdicts = verdicts.__getitem__
    QTest.qWait(1000)
    return viewer, dock


def main() -> None:
    viewer, dock = scene()
    columns = {column.key: column for column in dock.table.columns}
    report = Report(
        "Table of 16,384 latents",
        f"{len(columns)} columns, {LIVE:,} latents live on the image, window drawn each time; medians of {REPEATS}.",
    )

    def in_turn(*calls: Callable[[], object]) -> Callable[[], object]:
        state = {"next": 0}

        def call() -> None:
            calls[state["next"] % len(calls)]()
            state["next"] += 1

        return call

    dock.follow_button.setChecked(False)
    sort = dock.view.sort_by
    both = in_turn(lambda: sort(columns[MAXIMUM.key]), lambda: sort(columns[MEAN.key], rising=True))
    report.add("sort by a number", 1e3 * drawn_seconds(both), "ms", at_most=50)
    both = in_turn(lambda: sort(columns[VERDICT.key]), lambda: sort(columns[VERDICT.key], rising=False))
    report.add("sort by verdict", 1e3 * drawn_seconds(both), "ms", at_most=50)
    sort(columns[MAXIMUM.key])

    def filter_by(**wanted: object) -> Callable[[], object]:
        return lambda: dock.filters.changed.emit(LatentFilter(**wanted))

    both = in_turn(filter_by(text="12"), filter_by(text="spurious"), filter_by())
    report.add("filter by text", 1e3 * drawn_seconds(both), "ms", at_most=50)
    both = in_turn(filter_by(fires=True, column=MAXIMUM.key, low=0.5), filter_by())
    report.add("filter by image and range", 1e3 * drawn_seconds(both), "ms", at_most=50)
    filter_by()()

    dock.follow_button.setChecked(True)
    both = in_turn(lambda: sort(columns[CELLS.key]), lambda: sort(columns[MEAN.key]))
    report.add("sort, and the stack in the table's order", 1e3 * drawn_seconds(both), "ms", at_most=50)
    table, session = dock.table, dock.session
    orders = [dock.session.order]
    sort(columns[MAXIMUM.key])
    orders.append(session.order)

    def reorder(order: object) -> None:
        session.order = order

    both = in_turn(lambda: reorder(orders[0]), lambda: reorder(orders[1]))
    report.add("re-order of the stack alone", 1e3 * drawn_seconds(both), "ms", at_most=50)
    dock.view.setFocus()
    dock.view.selectRow(0)
    step = lambda: QTest.keyClick(dock.view, Qt.Key.Key_Down)  # noqa: E731
    report.add("Down key in the table until the latent is drawn", 1e3 * drawn_seconds(step), "ms", at_most=50)

    def slide() -> None:
        viewer.dims.set_point(0, viewer.dims.point[0] + 1)

    report.add("step of the slider until the row is selected", 1e3 * drawn_seconds(slide), "ms", at_most=50)
    assert table.row_of(session.current) == dock.view.currentIndex().row()
    viewer.close()
    report.finish()


if __name__ == "__main__":
    main()

"""Moving the threshold in the viewer: the project's own work, and the time until the boxes are on the screen.

Side by side with the plain way to find the boxes: upsample the whole heatmap, threshold, label, measure.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from unittest.mock import patch

import cv2
import napari
import numpy as np
from _report import Report, median_seconds
from qtpy.QtWidgets import QApplication
from skimage.measure import label, regionprops

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))  # the fake model

import fakes
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.localization.boxes import find_regions
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.viewer.app.preferences import PLUGIN
from napari_mammosae.viewer.docks import LocalizeDock
from napari_mammosae.viewer.localization import layers
from napari_mammosae.viewer.workspace import workspace_of

GRID, LATENTS, MOVES = (48, 29), 2048, 15
REGIONS = (1, 5, 20)


def heatmap(regions: int, *, dense: bool) -> np.ndarray:
    """(48, 29) with so many separate blobs, on nothing or on a low rise that is on everywhere."""
    rows, cols = np.indices(GRID)
    cells = np.zeros(GRID)
    places = [(4 + 9 * (i // 4), 3 + 7 * (i % 4)) for i in range(20)]
    for i, (row, col) in enumerate(places[:regions]):
        cells += (1 + i / 20) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 2.0)
    cells[cells < 0.05] = 0
    return (cells + (0.05 + 0.001 * rows if dense else 0)).astype(np.float32)


def plain(cells: np.ndarray, level: float) -> list[tuple[int, ...]]:
    """Boxes the way a script finds them."""
    heat = cv2.resize(cells, (912, 1520), interpolation=cv2.INTER_LINEAR)
    return [region.bbox for region in regionprops(label(heat > level * heat.max(), connectivity=2))]


def spin(app: QApplication, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()


def main() -> None:
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    app = QApplication.instance()
    workspace = workspace_of(viewer)
    viewer.open_sample(PLUGIN, "mass_with_marker")
    session = workspace.session
    session.handle = fakes.FakeModel(
        classes=(), n_latents=LATENTS, grid=GRID, preprocessing=Preprocessing(), name="random maps"
    )
    maps = [heatmap(n, dense=dense) for n in REGIONS for dense in (False, True)]
    values = np.stack(maps)

    def of_all(live: np.ndarray) -> np.ndarray:
        out = np.zeros(LATENTS, np.float32)
        out[: len(maps)] = live
        return out

    session.maps = LatentMaps(
        (LATENTS, *GRID), np.arange(len(maps), dtype=np.int32), values, of_all(values.mean((1, 2))),
        of_all(values.max((1, 2))), of_all((values > 0).sum((1, 2))).astype(np.int32), np.zeros(0), np.zeros(0), 0.0,
        session.image.frame_for(session.model.preprocessing),
    )  # fmt: skip
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Localise")
    assert isinstance(dock, LocalizeDock)
    localizer = dock.localizer
    dock.choice.kind_box.setCurrentIndex(1)
    dock.choice.kind_box.activated.emit(1)  # relative
    spin(app, 3)

    report = Report(
        "Moving the threshold",
        f"Heatmaps of {GRID[0]} x {GRID[1]} cells on 1520 x 912; medians of {MOVES} moves of the slider with the dock "
        "open on a 1366 x 768 window. Own work: boxes, matching, figures, list and plots without napari. "
        "On the screen: from the slider to the painted canvas, the 15 ms in which moves are gathered included.",
    )
    canvas, painted = viewer.window._qt_viewer.canvas._scene_canvas, []
    canvas.events.draw.connect(lambda event: painted.append(event))
    for latent, cells in enumerate(maps):
        session.current = latent
        spin(app, 0.5)
        own, shown, found = [], [], []
        for move in range(MOVES + 2):
            step = 300 + 10 * move
            with patch.object(layers, "draw"):
                dock.choice.slider.setValue(step + 300)
                start = time.perf_counter()
                localizer.update()
                own.append(time.perf_counter() - start)
            spin(app, 0.1)
            painted.clear()
            start = time.perf_counter()
            dock.choice.slider.setValue(step)
            while (not painted or localizer.current.choice.value != step / 1000) and time.perf_counter() < start + 2:
                app.processEvents()
            shown.append(time.perf_counter() - start)
            spin(app, 0.05)
            found.append(len(localizer.current.found))
        kind = "dense" if latent % 2 else "sparse"
        name = f"{statistics.median(found):.0f} regions, {kind}"
        report.add(f"{name}: own work", 1000 * statistics.median(own[2:]), "ms", at_most=15)
        report.add(f"{name}: on the screen", 1000 * statistics.median(shown[2:]), "ms", at_most=100)
        core = median_seconds(lambda cells=cells: find_regions(cells, (1520, 912), "relative:0.4"))
        slow = median_seconds(lambda cells=cells: plain(cells, 0.4))
        report.add(f"{name}: boxes alone", 1000 * core, "ms")
        report.add(f"{name}: boxes the plain way", 1000 * slow, "ms")
    mammogram = viewer.layers[0]
    repaints = []
    for _ in range(MOVES):
        painted.clear()
        start = time.perf_counter()
        mammogram.gamma = 1.0 + 0.01 * len(repaints)
        while not painted and time.perf_counter() < start + 2:
            app.processEvents()
        repaints.append(time.perf_counter() - start)
    report.add("napari's canvas painted again, nothing else (part of every 'on the screen')",
               1000 * statistics.median(repaints), "ms")  # fmt: skip
    viewer.close()
    report.finish()


if __name__ == "__main__":
    main()

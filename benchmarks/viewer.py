"""A slider step and adding the stack, against bare napari.

Two viewers side by side in one process, one with the project's scene and dock, one with the same kinds of layers added
by hand and an empty dock of the same width; the steps alternate between them, so that both see the same machine.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))  # the fake model

H, GRID, INPUT, SOURCE, LIVE = 16_384, (48, 29), (1520, 912), (3328, 2560), 800
STEPS, DOCK_WIDTH, SIZE = 40, 345, (1600, 1000)
BOX = np.array([[[900, 700], [900, 1100], [1300, 1100], [1300, 700]]], float)


def main() -> None:
    report = Report(
        "Viewer",
        f"{H:,} latents of {GRID[0]} x {GRID[1]} cells over {SOURCE[0]:,} x {SOURCE[1]:,} pixels, {LIVE} of them live; "
        f"medians of {STEPS} slider steps until nothing is left to draw, in turn in two viewers.",
    )
    from fakes import phantom

    pixels = phantom(shape=SOURCE)
    bare, ours = Bare(pixels), Ours(pixels)
    ours.step(1), bare.step(1)
    times: dict[Any, list[float]] = {bare: [], ours: []}
    for rank in range(2, 2 + STEPS):
        for side in (bare, ours):
            times[side].append(timed(side, rank))
    plain, project = statistics.median(times[bare]), statistics.median(times[ours])
    report.add("slider step, the same kinds of layers in bare napari", 1000 * plain, "ms")
    report.add("slider step, this project", 1000 * project, "ms")
    report.add("… in units of bare napari's", project / plain, at_most=1.3)
    report.add("… in the project's own code", 1000 * own_seconds(ours), "ms", at_most=5)
    report.add("… most reads of the stack a step", most_reads(ours), at_most=1)
    report.add("adding the stack", ours.added, "s", at_most=0.3)
    report.add("… the same kind of layer in bare napari", bare.added, "s")
    for side in (bare, ours):
        side.viewer.close()
    report.finish()


def settle(seconds: float = 0.3) -> None:
    """Let the windows draw what they have to."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()


def timed(side: Bare | Ours, rank: int) -> float:
    """Seconds from moving a slider to everything drawn."""
    from qtpy.QtWidgets import QApplication

    settle(0.02)
    start = time.perf_counter()
    side.step(rank)
    QApplication.processEvents()
    QApplication.processEvents()  # what a drawing leaves to be drawn again
    return time.perf_counter() - start


def new_viewer() -> Any:
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    return viewer


class Planes:
    """An array-like of all latents, as plain as can be."""

    shape, ndim, dtype, size = (H, *GRID), 3, np.dtype(np.float32), H * GRID[0] * GRID[1]

    def __init__(self) -> None:
        self._live = np.random.default_rng(0).gamma(1, 1, (LIVE, *GRID)).astype(np.float32)

    def __len__(self) -> int:
        return H

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        return self._live[key[0] % LIVE][key[1:]]


class Bare:
    """A mammogram, a stack of planes, a box, a colourbar and a text that changes: nothing of this project."""

    def __init__(self, pixels: np.ndarray) -> None:
        from qtpy.QtWidgets import QWidget

        self.viewer = new_viewer()
        dock = QWidget()
        dock.setFixedWidth(DOCK_WIDTH)
        self.viewer.window.add_dock_widget(dock)
        self.viewer.add_image(pixels, name="mammogram")
        settle()
        start = time.perf_counter()
        self.planes = self.viewer.add_image(
            Planes(),
            rgb=False,
            multiscale=False,
            contrast_limits=(0, 5),
            colormap="inferno",
            blending="translucent",
            interpolation2d="linear",
            projection_mode="none",
            affine=np.diag([1, SOURCE[0] / GRID[0], SOURCE[1] / GRID[1], 1.0]),
        )
        self.added = time.perf_counter() - start
        self.planes.colorbar.visible = True
        self.viewer.add_shapes(BOX, shape_type="rectangle", edge_width=8, face_color="transparent")
        self.viewer.canvas.overlays.text.visible = True
        settle()

    def step(self, rank: int) -> None:
        self.viewer.dims.set_point(0, rank)
        self.planes.contrast_limits = (0, 4 + rank % 50 / 7)
        self.viewer.canvas.overlays.text.text = f"rank {rank} of {H}   latent {7 * rank}\nmean 0.{rank}\nmaximum 3"


class Ours:
    """The same through the project: session, scene and dock."""

    def __init__(self, pixels: np.ndarray) -> None:
        from fakes import FakeModel, latent_maps
        from napari_mammosae.core.images.mammogram import read_mammogram
        from napari_mammosae.core.images.preprocessing import Preprocessing
        from napari_mammosae.viewer.canvas.layers import mammogram_layer
        from napari_mammosae.viewer.workspace import workspace_of

        self.viewer = new_viewer()
        self.viewer.window.add_plugin_dock_widget("napari-mammosae", "Model & image")
        self.session = workspace_of(self.viewer).session
        image = read_mammogram(pixels, image_id="mammogram")
        self.viewer.add_layer(mammogram_layer(image))
        self.session.handle = FakeModel(n_latents=H, grid=GRID, preprocessing=Preprocessing(size=INPUT))
        maps = latent_maps(self.session.model, image.frame_for(self.session.model.preprocessing), live=LIVE)
        settle()
        start = time.perf_counter()
        self.session.maps = maps
        self.added = time.perf_counter() - start
        self.viewer.add_shapes(BOX, shape_type="rectangle", edge_width=8, face_color="transparent")
        settle()

    def step(self, rank: int) -> None:
        self.viewer.dims.set_point(0, rank)


def own_seconds(ours: Ours) -> float:
    """Mean time of a step spent in this package's own functions, and in what they call of others but napari."""
    profile = cProfile.Profile()
    for rank in range(100, 100 + STEPS):
        profile.enable()
        ours.step(rank)
        profile.disable()
        settle(0.02)
    total = 0.0
    for (file, *_), (_, _, inside, _, callers) in pstats.Stats(profile).stats.items():
        if "napari_mammosae" in file:
            total += inside
        elif "napari" not in file:
            total += sum(row[2] for (caller, *_), row in callers.items() if "napari_mammosae" in caller)
    return total / STEPS


def most_reads(ours: Ours) -> int:
    from napari_mammosae.viewer.canvas.stack import LatentStack

    counts, reads, read = [], [], LatentStack.__getitem__
    LatentStack.__getitem__ = lambda self, key: reads.append(key) or read(self, key)
    try:
        for rank in range(300, 300 + STEPS):
            reads.clear()
            ours.step(rank)
            settle(0.05)
            counts.append(len(reads))
    finally:
        LatentStack.__getitem__ = read
    return max(counts)


if __name__ == "__main__":
    main()

"""A slider step and adding the stack, against bare napari.

Side by side in one run: the project's scene against the same kinds of layers added to bare napari, 16,384 latents of
48 x 29 cells over a mammogram of 3,328 x 2,560 pixels.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from _report import Report

H, GRID, INPUT, SOURCE = 16_384, (48, 29), (1520, 912), (3328, 2560)
STEPS = 40

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the fake model and the tiny one


def main() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    report = Report(
        "Viewer",
        f"{H:,} latents of {GRID[0]} x {GRID[1]} cells over {SOURCE[0]:,} x {SOURCE[1]:,} pixels, of which 800 latents "
        f"fire; medians of {STEPS} slider steps, events processed, software OpenGL where there is no GPU.",
    )
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    app = QApplication.instance()
    settle(app)
    bare = bare_napari(viewer, app)
    ours, own, reads, added = this_project(viewer, app)
    report.add("slider step, same layers in bare napari", 1000 * bare, "ms")
    report.add("slider step, this project", 1000 * ours, "ms")
    report.add("… of bare napari's", ours / bare, "", at_most=1.3)
    report.add("… in the project's own code", 1000 * own, "ms", at_most=5)
    report.add("… reads of the stack a step, most", reads, "", at_most=1)
    report.add("adding the stack", added, "s", at_most=0.3)
    viewer.close()
    report.finish()


def settle(app, seconds: float = 0.5) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()


def picture() -> np.ndarray:
    from fakes import phantom

    return phantom(shape=SOURCE)


def maps_for(image):
    from fakes import FakeModel, latent_maps
    from napari_mammosae.core.preprocessing import Preprocessing

    model = FakeModel(n_latents=H, grid=GRID, preprocessing=Preprocessing(size=INPUT))
    return model, latent_maps(model, image.frame_for(model.preprocessing), live=800)


def step_seconds(app, move) -> float:
    """Median time from moving the slider to everything drawn."""
    times = []
    for rank in range(1, STEPS + 1):
        start = time.perf_counter()
        move(rank)
        app.processEvents()
        times.append(time.perf_counter() - start)
        settle(app, 0.01)
    return statistics.median(times)


def boxes(layer) -> None:
    layer.add_rectangles(np.array([[[900, 700], [900, 1100], [1300, 1100], [1300, 700]]], float))


def bare_napari(viewer, app) -> float:
    """A mammogram, a stack of planes, a box, a colourbar and a text that changes: nothing of this project."""
    rng = np.random.default_rng(0)

    class Planes:
        shape, ndim, dtype, size = (H, *GRID), 3, np.dtype(np.float32), H * GRID[0] * GRID[1]

        def __init__(self) -> None:
            self.live = rng.gamma(1, 1, (800, *GRID)).astype(np.float32)

        def __len__(self) -> int:
            return H

        def __getitem__(self, key):
            return self.live[key[0] % 800][key[1:]]

    viewer.add_image(picture(), name="mammogram")
    planes = viewer.add_image(
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
    planes.colorbar.visible = True
    shapes = viewer.add_shapes(edge_width=8, face_color="transparent")
    boxes(shapes)
    text = viewer.canvas.overlays.text
    text.visible = True
    settle(app)

    def move(rank: int) -> None:
        viewer.dims.set_point(0, rank)
        planes.contrast_limits = (0, 4 + rank % 5)
        text.text = f"rank {rank}\nmean 0.1\nmaximum 3"

    found = step_seconds(app, move)
    viewer.layers.clear()
    settle(app)
    return found


def this_project(viewer, app) -> tuple[float, float, float, float]:
    """Step, own share of it, most reads a step, seconds to add the stack."""
    from napari_mammosae.core.images import Mammogram
    from napari_mammosae.viewer.controller import controller_of
    from napari_mammosae.viewer.layers import mammogram_layer
    from napari_mammosae.viewer.stack import LatentStack

    image = Mammogram.from_array(picture(), image_id="mammogram")
    model, maps = maps_for(image)
    viewer.window.add_plugin_dock_widget("napari-mammosae", "Model & image")
    session = controller_of(viewer).session
    viewer.add_layer(mammogram_layer(image))
    session.model = model
    settle(app)
    start = time.perf_counter()
    session.maps = maps
    added = time.perf_counter() - start
    boxes(viewer.add_shapes(edge_width=8, face_color="transparent"))
    settle(app)
    own = own_seconds(viewer, app)
    reads, read = [], LatentStack.__getitem__
    LatentStack.__getitem__ = lambda self, key: reads.append(key) or read(self, key)
    try:
        step = step_seconds(app, lambda rank: viewer.dims.set_point(0, rank))
        counts = []
        for rank in range(300, 300 + STEPS):
            reads.clear()
            viewer.dims.set_point(0, rank)
            settle(app, 0.05)
            counts.append(len(reads))
    finally:
        LatentStack.__getitem__ = read
    return step, own, max(counts), added


def own_seconds(viewer, app) -> float:
    """Mean time of a step spent in this package's functions themselves, and in what they call of numpy's."""
    profile = cProfile.Profile()
    for rank in range(100, 100 + STEPS):
        profile.enable()
        viewer.dims.set_point(0, rank)
        app.processEvents()
        profile.disable()
    total = 0.0
    for (file, *_), (_, _, inside, _, callers) in pstats.Stats(profile).stats.items():
        if "napari_mammosae" in file:
            total += inside
        elif "napari" not in file:  # numpy, psygnal and built-in functions, as far as this package called them
            total += sum(row[2] for (caller, *_), row in callers.items() if "napari_mammosae" in caller)
    return total / STEPS


if __name__ == "__main__":
    main()

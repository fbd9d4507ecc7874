"""One move of the k slider in the Intervene dock, everything on the screen included."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))  # the fake model and run

IMAGES, LATENTS, LIVE, LIVE_HERE, GRID, INPUT, SOURCE = 4_000, 16_384, 850, 400, (48, 29), (1520, 912), (3328, 2560)
MOVES = 60


def main() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_mammosae.viewer.canvas.layers import mammogram_layer

    report = Report(
        "The Intervene dock",
        f"{LATENTS:,} latents, {LIVE_HERE} of them live on the image ({SOURCE[0]:,} x {SOURCE[1]:,} pixels); a made-up "
        f"run of {IMAGES:,} images with {LIVE} live latents. A move of k: logits and logit map, waterfall, banner, the "
        "layer over the mammogram, the run's measures, its flips, the mark on the curve.",
    )
    viewer = napari.Viewer(show=True)
    model, image, maps, run = made_up()
    viewer.add_layer(mammogram_layer(image))
    _, dock = viewer.window.add_plugin_dock_widget("napari-mammosae", "Intervene")
    session = dock.session
    wait(lambda: session.image is not None)
    session.handle, session.maps, session.run = model, maps, run
    wait(lambda: dock.over_run.bands is not None, seconds=300)
    for title, tab, kind in (("image and map", 0, "difference"), ("run and map", 1, "difference")):
        dock.tabs.setCurrentIndex(tab)
        dock.intervention.map_kind = kind
        rng = np.random.default_rng(0)
        moves, drawn = [], []
        for k in rng.integers(1, LATENTS, MOVES):
            begin = time.perf_counter()
            dock.set.k_slider.box.setValue(int(k))
            moves.append(time.perf_counter() - begin)
            QApplication.processEvents()
            drawn.append(time.perf_counter() - begin)
        report.add(f"a move, {title} shown", 1e3 * statistics.median(moves), "ms", at_most=30)
        report.add("… painted as well (software OpenGL)", 1e3 * statistics.median(drawn), "ms")
    dock.workspace.close()
    viewer.close()
    report.finish()


def made_up() -> tuple[Any, Any, Any, Any]:
    """A model, an image of its size with 400 live maps, and a run."""
    import pandas as pd
    import scipy.sparse

    import fakes
    from intervene_kit import MemoryRun, TailModel
    from napari_mammosae.core.images.preprocessing import Preprocessing

    rng = np.random.default_rng(0)
    model = TailModel(
        n_latents=LATENTS,
        grid=GRID,
        classes=("mass",),
        task="binary",
        preprocessing=Preprocessing(size=INPUT),
        attribution=rng.normal(0, 0.2, (1, LATENTS)),
        constant=np.array([-0.1]),
    )
    image = fakes.mammogram(shape=SOURCE)
    live = np.sort(rng.choice(LATENTS, LIVE, replace=False)).astype(np.int32)
    here = np.sort(rng.choice(live, LIVE_HERE, replace=False))
    values = np.maximum(rng.normal(-1, 1, (LIVE_HERE, *GRID)), 0).astype(np.float32)
    maps = fakes.maps_of(model, here, values, image.frame_for(model.facts.preprocessing))

    class Large(MemoryRun):
        """The same run with a sparse matrix of the published size."""

        def pooled(self, kind: str = "mean") -> Any:
            return self.sparse

    run = Large(model, n=2)
    labels = (rng.random(IMAGES) < 0.4).astype(float)
    dense = np.maximum(rng.normal(-0.3, 1, (IMAGES, LIVE)) + labels[:, None] * rng.normal(0, 0.2, LIVE), 0)
    rows, columns = np.nonzero(dense)
    run.sparse = scipy.sparse.csc_array((dense[rows, columns], (rows, live[columns])), shape=(IMAGES, LATENTS))
    run.logits_sae = run.sparse @ model.facts.attribution.T + model.facts.constant
    run.logits = run.logits_sae + rng.normal(0, 0.3, run.logits_sae.shape)
    names = [f"case-{i:04d}" for i in range(IMAGES)]
    run.images = pd.DataFrame(
        {
            "image": np.arange(IMAGES, dtype=np.int32),
            "image_id": names,
            "path": [f"{name}.png" for name in names],
            "patient": [f"p{i // 4}" for i in range(IMAGES)],
            "split": None,
            "label.mass": labels,
        }
    )
    run.numbers = run.images["image"].to_numpy()
    return model, image, maps, run


def wait(done: Any, seconds: float = 60) -> None:
    """Let the window work until something is there."""
    from qtpy.QtTest import QTest

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QTest.qWait(50)
    if not done():
        raise TimeoutError("the window did not come to rest")


if __name__ == "__main__":
    main()

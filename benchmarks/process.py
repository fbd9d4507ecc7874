"""What the boundary to the model process costs: the same maps asked for in this process and in another one, in turn."""

from __future__ import annotations

import statistics
import time

import numpy as np
from _report import Report

from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.process import child
from napari_mammosae.process.child import Child

LATENTS, GRID, SIZE, REPEATS = 16_384, (48, 29), (1520, 912), 15


def maps_of(live: int) -> LatentMaps:
    """Maps of an image on which so many latents fire, as a model would return them."""
    values = np.random.default_rng(0).random((live, *GRID), np.float32)
    pooled, cells = np.zeros(LATENTS, np.float32), np.zeros(LATENTS, np.int32)
    ids = np.arange(live, dtype=np.int32)
    return LatentMaps((LATENTS, *GRID), ids, values, pooled, pooled, cells, np.zeros(2), np.zeros(2), 0.0)


def serve() -> None:
    """In the other process: a task that has the maps ready, so that nothing but the way is timed."""
    from napari_mammosae.process.main import main
    from napari_mammosae.process.tasks import TASKS

    ready = {live: maps_of(live) for live in (1000, LATENTS)}
    TASKS["maps"] = lambda models, report, image, live: ready[live]
    main()


def main() -> None:
    child._BEGIN = child._BEGIN.replace("from napari_mammosae.process.main import main; main()", "")
    child._BEGIN += f"import runpy; runpy.run_path({__file__!r})['serve']()"
    image = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
    other = Child()
    report = Report("Process", "An image made ready for the model goes to another process, its maps come back.")
    for live, bound in ((1000, 30), (LATENTS, 150)):
        other.call("maps", image, live)
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            other.call("maps", image, live)
            seconds.append(time.perf_counter() - start)
        report.add(f"{live:,} latents that fire, median", 1000 * statistics.median(seconds), "ms", at_most=bound)
    other.kill()
    report.finish()


if __name__ == "__main__":
    main()

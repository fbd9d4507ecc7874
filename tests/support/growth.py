"""A script: the same thing again and again in one process; prints what is left after each round, as JSON.

`growth.py FOLDER viewers|steps|images ROUNDS [here]`; "here" computes in this process, which is quicker.
"""

import gc
import json
import sys
import threading
from collections import Counter
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtTest import QTest

import in_process
import tiny
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.process import batch, opening, remote
from napari_mammosae.viewer import launch
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.workspace import workspace_of

PROCESS = psutil.Process()
IMAGES = 10


def left() -> dict:
    """What is there: objects of this package, threads, processes, and memory in MiB."""
    QTest.qWait(50)
    for _ in range(3):
        gc.collect()
    mine = Counter(
        type(one).__name__ for one in gc.get_objects() if str(type(one).__module__).startswith("napari_mammosae")
    )
    return {
        "objects": dict(mine),
        "threads": threading.active_count(),
        "processes": sum(one.status() != psutil.STATUS_ZOMBIE for one in PROCESS.children(recursive=True)),
        "memory": PROCESS.memory_info().rss / 2**20,
    }


def wait(ready) -> None:
    for _ in range(3000):
        if ready():
            return
        QTest.qWait(20)
    raise SystemExit("nothing after a minute")


def open_viewer(folder: Path, model: Path):
    viewer = napari.Viewer(show=True)
    workspace = workspace_of(viewer)
    workspace.images.choice = ModelChoice(str(model), device="cpu")
    for name in (launch.MODEL_DOCK, *launch._other_docks()):
        launch.open_dock(viewer, name)
    workspace.images.open_image(folder / "images" / "0.npy", compute=True)
    wait(lambda: workspace.session.maps is not None)
    return viewer, workspace


def rounds(kind: str, folder: Path, model: Path, count: int):
    """Yield what is left after every round."""
    if kind == "viewers":
        for _ in range(count):
            viewer, workspace = open_viewer(folder, model)
            workspace.intervention.change(k=3)
            QTest.qWait(100)
            viewer.close()
            del viewer, workspace
            yield left()
        return
    write_run(folder / "images", {"name": model, "device": "cpu"}, folder / "run", maps=True, workers=0)
    viewer, workspace = open_viewer(folder, model)
    session = workspace.session
    if kind == "images":
        session.run = open_run(folder / "run")
        workspace.browser.files_of(session.run).root = folder / "images"
    for number in range(count):
        if kind == "steps":
            for step in range(100):
                viewer.dims.set_point(0, (7 * step + number) % tiny.LATENTS)
                QTest.qWait(1)
            viewer.dims.set_point(0, 0)  # what a latent's boxes and measures are depends on the latent
            QTest.qWait(500)
        else:
            for row in range(IMAGES):
                workspace.browser.show(row)
                wait(lambda row=row: workspace.browser.row == row and not workspace.jobs.busy)
        yield left()
    viewer.close()


if __name__ == "__main__":
    place, what, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if sys.argv[4:] == ["here"]:
        for module in (batch, opening, remote):
            module.Child = in_process.InProcess
    toml = tiny.write_model(place / "model")
    (place / "images").mkdir()
    for seed in range(IMAGES):
        np.save(place / "images" / f"{seed}.npy", tiny.picture(seed))
    print(json.dumps(list(rounds(what, place, toml, number))))

"""A script: look at a run, save sessions and die; or open some. Each writes what the canvas shows.

python session_steps.py save FOLDER        (the folder holds `run`, `images`, `model`, `inner` and `boxes.csv`)
python session_steps.py open FOLDER CASE ...   (and `CASE.session.json`, one after the other)
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from qtpy.QtTest import QTest

from napari_mammosae.core.datasets.find import read_boxes
from napari_mammosae.viewer import launch
from napari_mammosae.viewer.canvas.tools.ruler import Measured
from napari_mammosae.viewer.sessions.controller import keeper_of
from napari_mammosae.viewer.workspace import workspace_of


def wait(ready) -> None:
    for _ in range(2400):
        if ready():
            return
        QTest.qWait(30)
    raise SystemExit(f"nothing after a minute; {work.status.last_told}")


def settle() -> None:
    jobs = work.jobs, work.opener.jobs, work.ranking.jobs, work.localizer.jobs, work.images.prompts.jobs, work.exam.jobs
    for _ in range(3):
        QTest.qWait(120)
        wait(lambda: not any(one.busy for one in jobs))


def look_around() -> None:
    session, images = work.session, work.images
    images.choice = replace(images.choice, name=str(folder / "model" / "model.toml"))
    images.load()
    settle()
    work.opener.open(folder / "run")
    settle()
    for name in ("Latents", "Localise"):
        launch.open_dock(viewer, name)
    session.findings = read_boxes(folder / "boxes.csv")
    work.browser.show(6)
    settle()
    work.ranking.choose(score="auroc")
    settle()
    _open_another_layer()
    images.prompts.ask("Mass | no mass")
    settle()
    images.heads.show("classifier", False)
    session.current = int(session.maps.latents[3])
    work.actions.toggle_pin()
    session.current = int(session.maps.latents[5])
    work.actions.set_window("Breast")
    work.actions.invert()
    work.localizer.choice = replace(work.localizer.choice, kind="relative", value=0.6)
    work.intervention.change(source="list", numbers=str(session.current))
    work.intervention.map_kind = "before"
    _draw_a_box()
    measure()
    work.query.put(("rectangle", np.array([[150.0, 60], [150, 140], [210, 140], [210, 60]])))
    viewer.scene.camera.zoom *= 1.5
    settle()


def _open_another_layer() -> None:
    """Its stack is seen beside the one that the docks work with."""
    work.images.choice = replace(work.images.choice, name=str(folder / "inner" / "model.toml"))
    work.layers.add()
    settle()
    work.session.current = int(work.session.maps.latents[2])
    work.layers.choose(0)
    settle()
    other = work.layers.open[1].stack
    other.visible, other.opacity = True, 0.3


def _draw_a_box() -> None:
    """It is not saved as boxes; its draft is."""
    work.editor.start()
    layer = work.scene.owned.find("truth")
    layer.add_rectangles(np.array([[250.0, 60], [250, 120], [300, 120], [300, 60]]))
    wait(lambda: work.editor.unsaved)
    work.editor.stop()


def measure() -> None:
    """Draw a line on every image that is shown."""
    files = work.browser.files_of(work.session.run)
    images = [
        Measured(str(files.path(row).resolve()), name) for row, name in enumerate(work.session.run.images["image_id"])
    ]
    work.actions.ruler.put({image: [[[30.0, 30], [90, 110]]] for image in images})


def keep(name: str) -> None:
    np.save(folder / f"{name}.npy", viewer.screenshot(flash=False))
    keeper.save(folder / f"{name}.session.json")


mode, folder = sys.argv[1], Path(sys.argv[2])
viewer = launch._viewer()
work = workspace_of(viewer)
launch.open_dock(viewer, launch.MODEL_DOCK)
keeper = keeper_of(work)
if mode == "save":
    look_around()
    keep("image")
    work.toggle_exam()
    settle()
    viewer.scene.camera.zoom *= 1.2
    settle()
    measure()
    settle()
    keep("exam")
    os.kill(os.getpid(), signal.SIGKILL)
for case in sys.argv[3:]:
    keeper.open(folder / f"{case}.session.json")
    wait(lambda: not keeper.busy)
    settle()
    np.save(folder / f"{case}-again.npy", viewer.screenshot(flash=False))
    print(work.status.last_told, work.session.rank, work.session.pins, work.intervention.is_on)
viewer.close()

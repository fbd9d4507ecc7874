"""A script: look at a run, save the session and die; or open the session. Each writes what the canvas shows.

python session_steps.py save|open FOLDER   (the folder holds `run`, `boxes.csv` and, when opened, `case.session.json`)
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
from napari_mammosae.viewer.sessions.controller import keeper_of
from napari_mammosae.viewer.workspace import workspace_of


def wait(ready) -> None:
    for _ in range(2400):
        if ready():
            return
        QTest.qWait(30)
    raise SystemExit(f"nothing after a minute; {work.status.last_told}")


def settle() -> None:
    for _ in range(3):
        QTest.qWait(120)
        wait(lambda: not any(one.busy for one in (work.jobs, work.opener.jobs, work.ranking.jobs, work.localizer.jobs)))


def look_around() -> None:
    work.images.choice = replace(work.images.choice, name=str(folder / "model" / "model.toml"))
    work.images.load()
    settle()
    work.opener.open(folder / "run")
    settle()
    for name in ("Latents", "Localise"):
        launch.open_dock(viewer, name)
    work.session.findings = read_boxes(folder / "boxes.csv")
    work.browser.show(6)
    settle()
    work.ranking.choose(score="auroc")
    settle()
    session = work.session
    session.current = int(session.maps.latents[3])
    work.actions.toggle_pin()
    session.current = int(session.maps.latents[5])
    work.actions.set_window("Breast")
    work.actions.invert()
    work.localizer.choice = replace(work.localizer.choice, kind="relative", value=0.6)
    work.intervention.change(source="list", numbers=str(session.current))
    work.intervention.map_kind = "before"
    viewer.scene.camera.zoom *= 1.5
    settle()


mode, folder = sys.argv[1], Path(sys.argv[2])
viewer = launch._viewer()
work = workspace_of(viewer)
launch.open_dock(viewer, launch.MODEL_DOCK)
keeper = keeper_of(work)
if mode == "save":
    look_around()
    np.save(folder / "save.npy", viewer.screenshot(flash=False))
    keeper.save(folder / "case.session.json")
    os.kill(os.getpid(), signal.SIGKILL)
keeper.open(folder / "case.session.json")
wait(lambda: not keeper.busy)
settle()
np.save(folder / "open.npy", viewer.screenshot(flash=False))
print(work.status.last_told, work.session.rank, work.session.pins, work.intervention.is_on)
viewer.close()

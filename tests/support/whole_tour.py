"""A script: a real viewer through everything that computes; then print which of the given modules it has imported."""

import sys
from pathlib import Path

from qtpy.QtTest import QTest

import napari_mammosae as ms
from napari_mammosae.process.tasks import RunJob
from napari_mammosae.viewer import launch

FORBIDDEN = {"torch", "timm", "triton", "torchvision"}


def wait(ready, what: str) -> None:
    for _ in range(2400):
        if ready():
            return
        QTest.qWait(50)
    raise SystemExit(
        f"{what}: nothing after two minutes; {workspace.status.last_told}, {workspace.opener.line.last_told}"
    )


def tour(folder: Path) -> None:
    session = workspace.session
    for name in (launch.MODEL_DOCK, *launch._other_docks()):
        launch.open_dock(viewer, name)
    wait(lambda: session.maps is not None, "computing")
    workspace.images.compute()
    wait(lambda: not workspace.jobs.busy and session.handle.pid is not None, "loading and computing")
    workspace.opener.make(RunJob(str(folder / "phantoms"), folder / "run", (folder / "phantoms" / "labels.csv",)))
    wait(lambda: session.run.path == folder / "run", "making a run")
    wait(lambda: workspace.over_run.curve is not None, "sweeping over the run")
    workspace.intervention.use_run()
    workspace.intervention.change(k=5)
    wait(lambda: workspace.over_run.move.effect is not None, "intervals of the edit")
    session.findings = ms.read_findings(folder / "phantoms" / "findings.csv")
    workspace.browser.show(0)
    wait(lambda: not workspace.jobs.busy and session.maps is not None, "another image")
    workspace.localizer.drawn = True
    wait(lambda: workspace.localizer.current is not None, "localising")
    workspace.measures.measure()
    wait(lambda: not workspace.measures.jobs.busy, "measuring over the run")
    workspace.suspects.find()
    wait(lambda: not workspace.suspects.jobs.busy, "looking for suspects")
    workspace.comparer.open(0, folder / "run")
    workspace.comparer.open(1, folder / "run")
    wait(lambda: not workspace.comparer.jobs.busy, "comparing")
    session.handle.neighbours(session.current, 5)
    workspace.images.unload()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    ms.make_phantoms(place / "phantoms", count=6, seed=1)
    viewer = launch._viewer()
    workspace = launch.show_example(viewer)
    tour(place)
    print("imported:", *sorted(FORBIDDEN & set(sys.modules)))
    viewer.close()

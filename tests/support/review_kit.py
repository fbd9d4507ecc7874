"""What the tests of runs and verdicts in the viewer share: a run of the tiny model, and waiting."""

from pathlib import Path

import pandas as pd

from napari_mammosae.core.runs.making.make import write_run
from runs_kit import write_images

COUNT = 12


def make_tiny_run(folder: Path, model: Path, *, maps: bool = True) -> Path:
    """Make a run over pictures beside it, with labels: mass on every third, density, half of them in each split."""
    images = write_images(folder / "images", COUNT)
    labels = pd.DataFrame(
        {
            "image": [f"image-{i:03d}" for i in range(COUNT)],
            "mass": [float(i % 3 == 0) for i in range(COUNT)],
            "density": ["a" if i < 8 else "b" for i in range(COUNT)],
            "patient": [f"p{i // 2}" for i in range(COUNT)],
            "split": ["training" if i % 2 else "test" for i in range(COUNT)],
        }
    )
    labels.to_csv(folder / "labels.csv", index=False)
    return write_run(images, model, folder / "run", labels=folder / "labels.csv", maps=maps, workers=0).path


def idle(qtbot, workspace, timeout: int = 60_000) -> None:
    """Wait until nothing is worked on."""
    qtbot.waitUntil(lambda: not workspace.jobs.busy and not workspace.opener.jobs.busy, timeout=timeout)


def open_run_in(qtbot, workspace, path: Path):
    """Open a run as the dock does, and wait for its first image."""
    workspace.opener.open(path)
    idle(qtbot, workspace)
    return workspace.session.run

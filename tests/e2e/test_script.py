"""The viewer opened from a plain script: without a `__main__` guard, and left open at its end."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.opengl, pytest.mark.slow]

SCRIPT = """
from pathlib import Path

from qtpy.QtTest import QTest

with Path("times.txt").open("a") as file:
    file.write("once\\n")

import napari_mammosae as ms
from napari_mammosae.process.tasks import RunJob
from napari_mammosae.viewer.docks import ImagesDock
from napari_mammosae.viewer.workspace import workspace_of

ms.make_phantoms("phantoms", count=3, seed=1)
viewer = ms.view(model="demo", show=False)
viewer.window.add_dock_widget(ImagesDock(viewer))
opener = workspace_of(viewer).opener
opener.make(RunJob("phantoms", Path("run"), workers=2))
while opener.jobs.busy:
    QTest.qWait(50)
print(len(workspace_of(viewer).session.run))
"""


def test_a_run_from_a_script_without_a_main_guard_runs_the_script_once(tmp_path, qapp):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3"
    assert (tmp_path / "times.txt").read_text() == "once\n"

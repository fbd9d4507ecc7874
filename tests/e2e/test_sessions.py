"""A session saved, its process killed, and restored in another one: the same picture."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "support" / "session_steps.py"
pytestmark = [pytest.mark.opengl, pytest.mark.processes]


def run_script(mode, folder):
    return subprocess.run([sys.executable, str(SCRIPT), mode, str(folder)], capture_output=True, text=True, timeout=240)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal that cannot be caught")
def test_a_restored_session_shows_the_same_picture(qapp, run_path, tiny_model, tmp_path):
    before, after = tmp_path / "before", tmp_path / "moved"
    before.mkdir()
    for name in ("run", "images"):
        shutil.copytree(run_path.parent / name, before / name)
    shutil.copytree(tiny_model.parent, before / "model")
    (before / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-006,mass,20,30,90,120\n")
    killed = run_script("save", before)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before.rename(after)  # names of files are relative
    opened = run_script("open", after)
    assert opened.returncode == 0, opened.stderr
    assert "('Session restored.', False)" in opened.stdout
    saved, restored = (np.load(after / f"{mode}.npy") for mode in ("save", "open"))
    assert saved.shape == restored.shape
    assert np.ptp(saved[..., :3]) == 255
    assert np.any(saved != restored, axis=-1).mean() <= 0.001

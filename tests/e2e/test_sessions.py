"""Sessions saved, their process killed, and restored in another one, the second over the first: the same pictures."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import text_kit
from layer_models import write_inner_model

SCRIPT = Path(__file__).parent.parent / "support" / "session_steps.py"
CASES = "image", "exam"
pytestmark = [pytest.mark.opengl, pytest.mark.processes]


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signal that cannot be caught")
def test_a_restored_session_shows_the_same_picture(qapp, run_path, tiny_model, tmp_path):
    """An image with an edit, boxes found and drawn, a window, a prompt, a hidden head, another layer; and an exam."""
    before, after = tmp_path / "before", tmp_path / "moved"
    before.mkdir()
    for name in ("run", "images"):
        shutil.copytree(run_path.parent / name, before / name)
    text_kit.write_model(before / "model")
    write_inner_model(tiny_model, before / "inner", "blocks.7")
    (before / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-006,mass,20,30,90,120\n")
    killed = run_script("save", before)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before.rename(after)  # names of files are relative
    pictures = [np.load(after / f"{case}.npy") for case in CASES]
    assert pictures[0].shape == pictures[1].shape
    assert np.any(pictures[0] != pictures[1], axis=-1).mean() > 0.1
    opened = run_script("open", after, *CASES)
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout.count("('Session restored.', False)") == len(CASES), opened.stdout
    for case, saved in zip(CASES, pictures, strict=True):
        restored = np.load(after / f"{case}-again.npy")
        assert saved.shape == restored.shape
        assert np.ptp(saved[..., :3]) == 255
        assert np.any(saved != restored, axis=-1).mean() <= 0.001, case

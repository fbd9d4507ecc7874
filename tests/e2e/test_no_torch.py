"""The viewer's process stays without torch and all that it brings, whatever is computed for it."""

import os
import subprocess
import sys

import pytest

import whole_tour

pytestmark = [pytest.mark.opengl, pytest.mark.slow, pytest.mark.processes]


def test_computing_brings_no_torch_into_the_viewers_process(tmp_path, qapp):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, whole_tour.__file__, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-500:]
    assert done.stdout.splitlines()[-1].strip() == "imported:"
    assert done.stderr == ""

"""What is opened is closed: objects, threads, processes and memory stay what they were, round after round."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import growth

pytestmark = [pytest.mark.opengl, pytest.mark.slow, pytest.mark.processes]

SLOPE = 0.3
"""MiB a viewer that are allowed; napari without this plugin takes 0.1."""


def grown(folder, kind, rounds, *how, timeout):
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, growth.__file__, str(folder), kind, str(rounds), *how], env=environment, capture_output=True,
        text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""  # nothing is said at the end either
    return json.loads(done.stdout.splitlines()[-1])


def assert_flat(found, *, skip):
    first, last = found[skip], found[-1]
    more = {name: (first["objects"].get(name, 0), n) for name, n in last["objects"].items()}
    assert {name: pair for name, pair in more.items() if pair[1] > pair[0]} == {}
    assert last["threads"] <= first["threads"]
    assert last["processes"] <= first["processes"]


def slope(found):
    """MiB a round, by least squares over the second half."""
    memory = [one["memory"] for one in found[len(found) // 2 :]]
    return np.polyfit(np.arange(len(memory)), memory, 1)[0]


@pytest.mark.soak
def test_a_few_viewers(tmp_path, qapp):
    assert_flat(grown(tmp_path, "viewers", 6, "here", timeout=280), skip=2)


@pytest.mark.soak
def test_the_model_process_ends_with_the_window(tmp_path, qapp):
    assert [one["processes"] for one in grown(tmp_path, "viewers", 2, timeout=280)] == [0, 0]


@pytest.mark.soak
def test_a_hundred_viewers(tmp_path, qapp):
    found = grown(tmp_path, "viewers", 100, timeout=3500)
    assert_flat(found, skip=5)
    assert found[-1]["processes"] == 0
    print(f"memory grows by {slope(found):.2f} MiB a viewer over the last 50")
    assert slope(found) < SLOPE


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "rounds"), [("steps", 50), ("images", 30)])
def test_steps_and_images(tmp_path, qapp, kind, rounds):
    found = grown(tmp_path, kind, rounds, timeout=3500)
    assert_flat(found, skip=5)
    print(f"memory grows by {slope(found):.2f} MiB a round of {kind}")
    assert slope(found) < SLOPE

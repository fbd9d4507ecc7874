"""The process of a model is killed at random moments; the viewer says so and carries on."""

import os
import random
import signal

import numpy as np
import psutil
import pytest
from napari.components import ViewerModel

import tiny
from napari_mammosae.process.tasks import RunJob
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.workspace import workspace_of

pytestmark = [pytest.mark.processes, pytest.mark.slow]

KILLED = "The model process ended unexpectedly (signal 9"


def model_processes():
    return [
        process
        for process in psutil.Process().children(recursive=False)
        if process.status() != psutil.STATUS_ZOMBIE and "napari_mammosae.process" in process.cmdline()
    ]


class Victim:
    """A viewer with a small model, whose processes are killed."""

    def __init__(self, qtbot, folder, model, chance):
        self.qtbot, self.folder, self.chance = qtbot, folder, chance
        self.viewer = ViewerModel()  # held on to: the workspace only follows it
        self.workspace = workspace_of(self.viewer)
        self.workspace.images.choice = ModelChoice(str(model), device="cpu")
        np.save(folder / "image.npy", tiny.picture(0))
        for seed in range(6):
            (folder / "images").mkdir(exist_ok=True)
            np.save(folder / "images" / f"{seed}.npy", tiny.picture(seed))
        self.workspace.images.open_image(folder / "image.npy", compute=True)
        self.idle()
        assert self.workspace.session.maps is not None, self.workspace.status.last_told

    def idle(self):
        work = self.workspace
        self.qtbot.waitUntil(lambda: not work.jobs.busy and not work.opener.jobs.busy, timeout=90_000)
        self.qtbot.wait(50)  # for what a thread has to say

    def kill(self, spared, within):
        """Kill a process that is not among the spared ones, at some moment soon."""
        self.qtbot.wait(round(1000 * self.chance.uniform(0, within)))
        for process in model_processes():
            if process.pid not in spared:
                os.kill(process.pid, signal.SIGKILL)
        self.idle()

    def load(self):
        self.workspace.images.unload()
        self.workspace.images.compute()
        self.kill((), 5)
        self.check()

    def compute(self):
        self.workspace.images.compute()
        self.kill((), 0.3)
        self.check()

    def run(self):
        job = RunJob(str(self.folder / "images"), self.folder / f"run-{self.chance.random()}", workers=0)
        spared = {process.pid for process in model_processes()}
        self.workspace.opener.close_run()
        self.workspace.opener.make(job)
        self.kill(spared, 6)
        if self.workspace.session.run is None:
            text, is_error = self.workspace.opener.line.last_told
            assert is_error
            assert text.startswith(KILLED)
            self.workspace.opener.make(job)
            self.idle()
        assert len(self.workspace.session.run) == 6

    def check(self):
        """It is said that the process ended, whether something was under way or not; the next request works."""
        self.qtbot.waitUntil(lambda: self.workspace.status.last_told[1], timeout=10_000)
        assert self.workspace.status.last_told[0].startswith(KILLED)
        self.workspace.images.compute()
        self.idle()
        assert self.workspace.session.maps is not None, self.workspace.status.last_told
        assert not self.workspace.status.last_told[1]

    def close(self):
        self.workspace.close()
        self.qtbot.waitUntil(lambda: not model_processes(), timeout=5000)


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_killed_at_random_moments(qtbot, tmp_path, tiny_model, kills):
    chance = random.Random(kills)
    victim = Victim(qtbot, tmp_path, tiny_model, chance)
    moments = [victim.load, victim.compute, victim.run]
    for number in range(kills):
        moments[number % 3]()
    victim.close()

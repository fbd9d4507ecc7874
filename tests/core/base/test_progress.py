"""Reports of long work, and the rate and time left that follow from them."""

import re

import pytest

from napari_mammosae.core.base import progress
from napari_mammosae.core.base.progress import Meter, Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test moves itself."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_rate_and_time_left_of_even_work(clock):
    meter = Meter()
    first = meter("Computing", 10, 50)  # ten were there from an earlier start
    assert (first.rate, first.seconds_left, first.begins) == (0.0, None, True)
    for done in range(11, 21):
        clock.now += 0.5
        state = meter("Computing", done, 50)
    assert state.rate == pytest.approx(2.0)
    assert state.seconds_left == pytest.approx(30 / 2.0)
    assert not state.begins


def test_the_rate_forgets_a_slow_start(clock):
    meter = Meter()
    meter("Computing", 0, 1000)
    clock.now += 600
    for done in range(1, 201):
        clock.now += 0.25
        state = meter("Computing", done, 1000)
    assert state.rate == pytest.approx(4.0)


def test_another_total_or_fewer_steps_begin_a_stage_and_a_new_text_does_not(clock):
    meter = Meter()
    meter("Features", 0, 8)
    clock.now += 1
    assert not meter("Features, 1 failed", 8, 8).begins
    clock.now += 9
    training = meter("Training", 0, 200)
    assert (training.begins, training.rate) == (True, 0.0)
    meter("Training", 200, 200)
    assert meter("Training again", 1, 200).begins


def test_without_a_total_there_is_no_time_left(clock):
    meter = Meter()
    meter("Reading", 0)
    clock.now += 2
    state = meter("Reading", 4)
    assert (state.rate, state.seconds_left) == (2.0, None)
    assert state.describe() == "Reading"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Progress("Opening run"), "Opening run"),
        (Progress("Computing", 0, 200), "Computing: 0 of 200"),
        (Progress("Computing", 1037, 2000, 2.06, 79.4), "Computing: 1,037 of 2,000, 2.1 per second, 1 min 19 s left"),
        (Progress("Computing", 4, 9, 0.2, 3660.0), "Computing: 4 of 9, 5.0 s each, 1 h 1 min left"),
        (Progress("Computing", 9, 9, 3.0, 0.0), "Computing: 9 of 9, 3.0 per second"),
    ],
)
def test_progress_reads_well(state, words):
    assert state.describe() == words


def test_the_same_report_again_changes_no_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("napari_mammosae.core.base.progress.time.monotonic", lambda: now[0])
    meter = Meter()
    for done in (0, 1, 2):
        now[0] = 30.0 * done
        meter("Computing", done, 10)
    for step in range(100):  # as a process at work sends them while an image takes long
        now[0] = 60 + 0.2 * step
        progress = meter("Computing", 2, 10)
    assert progress.rate == pytest.approx(1 / 30)
    assert progress.seconds_left == pytest.approx(240)


@pytest.mark.parametrize("name", ["[red]a[/b].png", "a[bold].png", "[/]"])
def test_brackets_in_names_are_shown(name, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.reporting(True) as report:
        report(f"Reading {name}", 1, 2)
    assert name in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)

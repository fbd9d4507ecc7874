"""The bar that shows how far jobs are."""

import threading

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_mammosae.viewer.app.jobs import Jobs
from napari_mammosae.viewer.widgets.job_bar import JobBar, MovingBar


@pytest.fixture
def jobs(qtbot):
    jobs = Jobs()
    yield jobs
    qtbot.waitUntil(lambda: not jobs.busy)


@pytest.fixture
def window(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    QVBoxLayout(window)
    window.show()
    return window


def shown_in(window, *jobs):
    bar = JobBar(*jobs)
    window.layout().addWidget(bar)
    return bar


def begin(jobs, steps=()):
    """Start a job that takes a step whenever the returned event is set, and wait for its end by another."""
    go = threading.Event()

    def work(report):
        for step in steps:
            report(*step)
        go.wait(10)
        report("The end")

    jobs.start("Counting", work, lambda _: None, lambda _: None)
    return go


def test_it_is_seen_while_a_job_runs(qtbot, window, jobs):
    bar, said, turned = shown_in(window, jobs), [], []
    bar.said.connect(said.append)
    bar.turned.connect(lambda: turned.append(jobs.busy))
    assert not bar.isVisible()
    assert bar.text == ""
    go = begin(jobs, [("Counting sheep", 3, 8)])
    assert bar.isVisible()
    assert bar.bar.maximum() == 0  # busy: nobody knows how many
    assert said == ["Counting …"]
    qtbot.waitUntil(lambda: bar.bar.value() == 3)
    assert bar.bar.maximum() == 8
    assert said[-1] == bar.text == "Counting sheep: 3 of 8 …"
    go.set()
    qtbot.waitUntil(lambda: not jobs.busy)
    assert not bar.isVisible()
    assert turned == [True, False]


def test_opened_late_it_shows_what_runs(qtbot, window, jobs):
    go = begin(jobs, [("Counting sheep", 3, 8)])
    qtbot.waitUntil(lambda: jobs.progress.total == 8)
    bar = shown_in(window, jobs)
    assert (bar.bar.value(), bar.bar.maximum(), bar.text) == (3, 8, "Counting sheep: 3 of 8 …")
    qtbot.waitUntil(bar.isVisible)
    go.set()


def test_it_cancels(qtbot, window, jobs):
    bar, cancelled = shown_in(window, jobs), []
    jobs.cancelled.connect(cancelled.append)
    go = begin(jobs)
    bar.cancel_button.click()
    assert bar.isVisible()  # until the job has stopped
    assert bar.text == "Stopping after this step: Counting …"
    go.set()
    qtbot.waitUntil(lambda: not bar.isVisible())
    assert cancelled == ["Counting"]


def test_of_several_jobs_the_last_to_end_hides_it(qtbot, window, jobs):
    other = Jobs()
    bar = shown_in(window, jobs, other)
    first, second = begin(jobs), begin(other)
    first.set()
    qtbot.waitUntil(lambda: not jobs.busy)
    assert bar.isVisible()
    second.set()
    qtbot.waitUntil(lambda: not other.busy)
    assert not bar.isVisible()


def test_a_job_outlives_the_bar(qtbot, window, jobs):
    shown_in(window, jobs).deleteLater()
    go = begin(jobs, [("Counting sheep", 3, 8)])
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    go.set()
    qtbot.waitUntil(lambda: not jobs.busy)


def test_a_busy_bar_moves_but_not_at_every_call_of_the_style(qtbot, window, monkeypatch):
    bar, drawn = MovingBar(), []
    monkeypatch.setattr(bar, "update", lambda: drawn.append(None))
    window.layout().addWidget(bar)
    bar.setRange(0, 0)
    qtbot.waitUntil(bar.isVisible)
    for number in (1, 2):
        for _ in range(20):
            event = QEvent(QEvent.Type(213))
            event.ignore()
            QApplication.sendEvent(bar, event)
            assert event.isAccepted()  # else the style stops
        assert len(drawn) >= number
        qtbot.wait(250)
    assert len(drawn) < 10
    bar.hide()
    event = QEvent(QEvent.Type(213))
    QApplication.sendEvent(bar, event)
    assert not event.isAccepted()

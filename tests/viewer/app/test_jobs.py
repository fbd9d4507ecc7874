import gc
import threading
import time
import weakref
from functools import partial

import pytest
from napari.qt.threading import create_worker  # noqa: F401  (imported before the first test is timed)
from qtpy.QtCore import QTimer

from napari_mammosae.core.base.errors import ImageError
from napari_mammosae.core.base.progress import Progress
from napari_mammosae.viewer.app.jobs import Jobs


class Outcome:
    """What came of jobs, in the order it came."""

    def __init__(self):
        self.values, self.threads = [], []

    def take(self, value):
        self.values.append(value)
        self.threads.append(threading.current_thread())


@pytest.fixture
def jobs(qapp):
    return Jobs()


@pytest.fixture
def out():
    return Outcome()


def finish(qtbot, jobs):
    qtbot.waitUntil(lambda: not jobs.busy, timeout=5000)


def test_the_result_arrives_in_the_gui_thread_the_work_does_not(qtbot, jobs, out):
    worked_in = []

    def work(report):
        worked_in.append(threading.current_thread())
        return 42

    jobs.start("a", work, out.take, out.take)
    assert jobs.busy
    finish(qtbot, jobs)
    assert out.values == [42]
    assert out.threads == [threading.main_thread()]
    assert worked_in != [threading.main_thread()]


def test_progress_is_reported_in_order(qtbot, jobs, out):
    def work(report):
        for i in range(3):
            report("step", i, 3)

    seen = []
    jobs.progressed.connect(seen.append)
    jobs.start("a", work, out.take, out.take)
    finish(qtbot, jobs)
    assert seen == [Progress("step", i, 3) for i in range(3)]


def test_an_error_goes_to_its_handler_and_the_next_job_works(qtbot, jobs, out):
    def fail(report):
        raise ImageError("not a mammogram")

    jobs.start("a", fail, out.take, lambda error: out.take(str(error)))
    finish(qtbot, jobs)
    jobs.start("b", lambda report: "b", out.take, out.take)
    finish(qtbot, jobs)
    assert out.values == ["not a mammogram", "b"]


def stuck(go):
    def work(report):
        report("waiting")
        go.wait(5)
        report("on")
        return "old"

    return work


def test_cancelled_work_ends_at_its_next_report_and_brings_nothing(qtbot, jobs, out):
    go, titles = threading.Event(), []
    jobs.cancelled.connect(titles.append)
    jobs.start("slow", stuck(go), out.take, out.take)
    jobs.cancel()
    assert jobs.busy
    go.set()
    finish(qtbot, jobs)
    assert out.values == []
    assert titles == ["slow"]


def test_a_new_job_takes_the_place_of_the_running_one(qtbot, jobs, out):
    go = threading.Event()
    jobs.start("slow", stuck(go), out.take, out.take)
    jobs.start("never", lambda report: "never", out.take, out.take)
    jobs.start("new", lambda report: "new", out.take, out.take)
    go.set()
    finish(qtbot, jobs)
    assert out.values == ["new"]


def test_a_result_without_further_reports_is_dropped_all_the_same(qtbot, jobs, out):
    go = threading.Event()
    jobs.start("slow", lambda report: go.wait(5), out.take, out.take)
    jobs.cancel()
    go.set()
    finish(qtbot, jobs)
    assert out.values == []


def test_a_patient_job_waits_for_the_running_one(qtbot, jobs, out):
    go = threading.Event()
    jobs.start("slow", stuck(go), out.take, out.take)
    jobs.start("later", lambda report: "later", out.take, out.take, patient=True)
    go.set()
    finish(qtbot, jobs)
    assert out.values == ["old", "later"]


def test_a_job_may_start_the_next_when_it_is_done(qtbot, jobs, out):
    ended = []
    jobs.ended.connect(lambda: ended.append(list(out.values)))

    def first(value):
        out.take(value)
        jobs.start("second", lambda report: 2, out.take, out.take)

    jobs.start("first", lambda report: 1, first, out.take)
    qtbot.waitUntil(lambda: out.values == [1, 2], timeout=5000)
    finish(qtbot, jobs)
    assert ended == [[1, 2]]


def test_a_finished_job_holds_on_to_nothing(qtbot, jobs, out):
    """napari keeps its workers for as long as it runs."""

    class Large:
        pass

    large = Large()
    alive = weakref.ref(large)
    jobs.start("a", partial(lambda of, report: None, large), out.take, out.take)
    finish(qtbot, jobs)
    del large
    gc.collect()
    assert alive() is None


def test_many_jobs_that_wait_keep_no_other_from_running(qtbot):
    go, done = threading.Event(), []
    waiting = [Jobs() for _ in range(10)]
    for jobs in waiting:
        jobs.start("Waits", lambda report: go.wait(20), lambda _: None, done.append)
    other = Jobs()
    other.start("Works", lambda report: "done", done.append, done.append)
    qtbot.waitUntil(lambda: done == ["done"], timeout=5000)
    go.set()
    qtbot.waitUntil(lambda: not any(jobs.busy for jobs in waiting), timeout=5000)


def test_a_result_shown_in_steps_lets_the_window_answer_in_between(qtbot, jobs):
    seen, ended = [], []
    jobs.ended.connect(lambda: ended.append(len(seen)))

    def show(value):
        for step in range(3):
            QTimer.singleShot(0, partial(seen.append, "answer"))
            seen.append(step * value)
            assert jobs.busy
            yield

    jobs.start("a", lambda report: 2, show, pytest.fail)
    qtbot.waitUntil(lambda: bool(ended), timeout=5000)
    assert seen == [0, "answer", 2, "answer", 4, "answer"]
    assert ended == [6]
    assert not jobs.busy


def test_a_job_begun_while_a_result_is_shown_waits_for_its_last_step(qtbot, jobs, out):
    def show(value):
        out.take("begun")
        jobs.start("b", lambda report: "next", out.take, out.take)
        yield
        out.take("shown")

    jobs.start("a", lambda report: 1, show, out.take)
    finish(qtbot, jobs)
    assert out.values == ["begun", "shown", "next"]


def test_results_that_arrive_together_are_shown_in_turns_between_which_the_window_answers(qtbot):
    seen, both = [], [Jobs(), Jobs()]
    answers = QTimer(interval=0)
    answers.timeout.connect(partial(seen.append, "answer"))
    for name, jobs in zip("ab", both, strict=True):
        jobs.start(name, lambda report: None, lambda _, name=name: (seen.append(name), time.sleep(0.05)), pytest.fail)
    time.sleep(0.5)  # meanwhile the work of both ends
    answers.start()
    qtbot.waitUntil(lambda: not any(jobs.busy for jobs in both), timeout=5000)
    answers.stop()
    first, second = sorted((seen.index("a"), seen.index("b")))  # whose work ends first is not ours to say
    assert "answer" in seen[first:second]


def test_an_error_while_a_result_is_shown_lets_the_next_job_run(qtbot, jobs, out):
    def show(value):
        jobs.start("b", lambda report: "next", out.take, out.take)
        raise ZeroDivisionError

    with qtbot.captureExceptions() as caught:
        jobs.start("a", lambda report: 1, show, out.take)
        qtbot.waitUntil(lambda: bool(out.values), timeout=5000)
    assert [kind for kind, *_ in caught] == [ZeroDivisionError]
    assert out.values == ["next"]

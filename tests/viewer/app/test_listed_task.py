"""What napari is told of a job while it runs, and that nothing of it stays."""

import threading

import pytest

from napari_mammosae.viewer.app.jobs import Jobs


@pytest.mark.opengl
def test_napari_lists_a_job_while_it_runs_and_can_cancel_it(make_napari_viewer, qtbot):
    manager = make_napari_viewer(show=False).window._task_status_manager
    jobs, go, ended = Jobs(), threading.Event(), []

    def work(report):
        go.wait(10)
        report("one more step")
        return "done"

    jobs.start("Long work", work, ended.append, ended.append)
    assert manager.get_status() == ["Mammo-SAE: Long work"]
    go.set()
    qtbot.waitUntil(lambda: not jobs.busy)
    assert ended == ["done"]
    assert manager._tasks == {}

    go.clear()
    jobs.start("Long work", work, ended.append, ended.append)
    manager.cancel_all()
    go.set()
    qtbot.waitUntil(lambda: not jobs.busy)
    assert ended == ["done"]
    assert manager._tasks == {}


def test_jobs_run_without_a_window(qtbot):
    jobs, ended = Jobs(), []
    jobs.start("Work", lambda report: 3, ended.append, ended.append)
    qtbot.waitUntil(lambda: not jobs.busy)
    assert ended == [3]

"""Heavy work off the GUI thread: one job at a time, with progress and cancellation."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import FunctionWorker
from qtpy.QtCore import QObject, Qt, QThreadPool, Signal

from ...core.base.errors import Cancelled
from ...core.base.progress import Meter, Progress, Report
from .listed_task import ListedTask
from .listening import call_while_alive
from .turns import in_its_turn


@dataclass(eq=False, slots=True)
class _Job:
    title: str
    work: Callable[[Report], Any]
    done: Callable[[Any], object]
    failed: Callable[[Exception], None]
    cancelled: bool = False
    result: Any = None
    error: Exception | None = None
    steps: object = None

    def cancel(self) -> None:
        self.cancelled = True


_THREADS = 16
"""Of Qt's pool, which has one a core: most jobs wait for another process, a run for hours, and others must not wait."""


_NO_MORE = object()


def _forgotten(*_: object) -> None:
    """In place of what a finished job held on to."""


class Jobs(QObject):
    """The one heavy job of a viewer.

    A job is a function that takes `report`, runs in a worker thread and returns its result; `done` or `failed` is
    called with what came of it in the GUI thread, and neither after a cancellation. A job started while another runs
    cancels that one and waits for it to stop, or, when it is `patient`, for it to finish.

    Where `done` is a generator it is gone through, all of it, in turns of the event loop, and the job runs until then:
    what shows a result in many places lets the window answer in between.

    Attributes
    ----------
    progress
        What was reported last of the running job, for a dock that is opened meanwhile; None while nothing runs.
    """

    started = Signal(str)
    progressed = Signal(object)
    cancelled = Signal(str)
    ended = Signal()

    _reported = Signal(object, object)
    _worked = Signal(object, object, object)

    def __init__(self) -> None:
        super().__init__()
        pool = QThreadPool.globalInstance()
        pool.setMaxThreadCount(max(pool.maxThreadCount(), _THREADS))
        self.progress: Progress | None = None
        self._job: _Job | None = None
        self._waiting: list[_Job] = []
        self._reported.connect(self._on_report, Qt.ConnectionType.QueuedConnection)
        self._worked.connect(self._on_worked, Qt.ConnectionType.QueuedConnection)

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._job is not None

    def start(
        self,
        title: str,
        work: Callable[[Report], Any],
        done: Callable[[Any], object],
        failed: Callable[[Exception], None],
        *,
        patient: bool = False,
    ) -> None:
        """Run `work` in a worker thread; `title` is what the user reads meanwhile."""
        job = _Job(title, work, done, failed)
        if self._job is None:
            self._run(job)
        elif patient:
            self._waiting.append(job)
        else:
            self._job.cancelled = True
            self._waiting = [job]

    def cancel(self) -> None:
        """Stop the running job at its next report; what it returns nevertheless is dropped."""
        self._waiting.clear()
        if self._job is not None and not self._job.cancelled:
            self._job.cancelled = True
            self._announce(Progress(f"Stopping after this step: {self._job.title}"))

    def _run(self, job: _Job) -> None:
        meter = Meter()

        def report(text: str, done: int = 0, total: int = 0) -> None:
            if job.cancelled:
                raise Cancelled(f"{job.title}: cancelled.")
            self._reported.emit(job, meter(text, done, total))

        def work() -> None:
            result, error = None, None
            try:
                result = job.work(report)
            except Exception as caught:  # every error of a job is shown where it was started
                error = caught
            self._worked.emit(job, result, error)

        self._job, self.progress = job, Progress(job.title)
        self._listed = ListedTask(job.title, job.cancel)
        self.started.emit(job.title)
        FunctionWorker(work).start()

    def _on_report(self, job: _Job, progress: Progress) -> None:
        if job is self._job and not job.cancelled:
            self._announce(progress)

    def _announce(self, progress: Progress) -> None:
        self.progress = progress
        self.progressed.emit(progress)

    def _on_worked(self, job: _Job, result: Any, error: Exception | None) -> None:
        job.result, job.error = result, error
        in_its_turn(call_while_alive(self._take))

    def _take(self) -> None:
        """Show what came of the job whose work is done."""
        job = self._job
        if job is None:
            return
        result, error = job.result, job.error
        self._job = self.progress = job.result = job.error = None
        self._listed.end()
        done, failed = job.done, job.failed
        job.work = job.done = job.failed = _forgotten  # a worker that Qt has not deleted yet keeps no image
        try:
            if error is not None and not job.cancelled:
                failed(error)
            elif not job.cancelled:
                job.steps = done(result)
        finally:
            if isinstance(job.steps, Generator):
                self._job = job
                self._go_on()
            else:
                self._end(job.title if job.cancelled else "")

    def _go_on(self) -> None:
        """Do the next step of showing a result, and the others later."""
        job, more = self._job, False
        if job is None or not isinstance(job.steps, Generator):
            return
        try:
            more = next(job.steps, _NO_MORE) is not _NO_MORE
        finally:
            if more:
                in_its_turn(call_while_alive(self._go_on))
            else:
                self._job = job.steps = None
                self._end()

    def _end(self, cancelled: str = "") -> None:
        """Let the next job run, or say that none does, and which was cancelled."""
        if self._job is None and self._waiting:
            self._run(self._waiting.pop(0))
        elif self._job is None:
            self.ended.emit()
            if cancelled:
                self.cancelled.emit(cancelled)

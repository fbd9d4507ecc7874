"""Work that takes minutes to hours, in a process of lower priority with its own copy of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.base.progress import ignore
from .child import Child

if TYPE_CHECKING:
    from ..core.base.progress import Report


class BatchJob:
    """One task in a process of its own.

    Parameters
    ----------
    task, settings
        A name from `tasks.TASKS` and what it takes, as plain values.

    Examples
    --------
    >>> job = BatchJob("make_run", {"name": "demo"}, RunJob("phantoms", Path("run")))  # doctest: +SKIP
    >>> path, notices = job.start().result()  # doctest: +SKIP
    """

    def __init__(self, task: str, *settings: Any) -> None:
        self._task, self._settings = task, settings
        self._child: Child | None = None

    def start(self) -> BatchJob:
        """Start the process, which begins with importing torch; `result` gives it the work."""
        self._child = Child(in_background=True)
        return self

    def result(self, report: Report = ignore) -> Any:
        """Have the work done, and return what comes of it; the process has ended then.

        Parameters
        ----------
        report
            Called with the progress; what it raises cancels the work.

        Raises
        ------
        ProcessEnded
            If the process ended before the work did.
        MammoSAEError
            As the work does.
        """
        child = self._child or self.start()._child
        assert child is not None
        try:
            return child.call(self._task, *self._settings, report=report)
        finally:
            child.kill()

    def cancel(self) -> None:
        """End the process at once; what it has finished stays."""
        if self._child is not None:
            self._child.kill("The work was cancelled.")

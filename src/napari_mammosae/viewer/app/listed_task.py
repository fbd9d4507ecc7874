"""A job as napari lists it: napari asks before it closes a window that something runs in, and can stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.task_status import Status
from napari.viewer import current_viewer

if TYPE_CHECKING:
    from collections.abc import Callable


class ListedTask:
    """An entry of napari's list for as long as a job runs.

    napari's own workers stay in that list, with all that they hold, until the window is closed; this entry goes.

    Parameters
    ----------
    title
        What the user reads.
    cancel
        Called when the window is closed all the same.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        window = getattr(current_viewer(), "window", None)
        self._manager = getattr(window, "_task_status_manager", None)
        if self._manager is not None:
            self._id = self._manager.register_task_status("Mammo-SAE", Status.BUSY, title, cancel_callback=cancel)

    def end(self) -> None:
        """Take the entry out of the list."""
        if self._manager is not None:
            self._manager._tasks.pop(self._id, None)

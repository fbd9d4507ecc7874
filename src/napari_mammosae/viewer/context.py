"""What every controller and every part of a dock is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .app.jobs import Jobs
from .app.listening import connect_until, debounce_until, new_undo
from .app.session import Session
from .app.status import Status
from .canvas.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One viewer as its controllers see it.

    Attributes
    ----------
    session
        What the viewer looks at.
    scene
        How that looks: the viewer and this plugin's layers in it.
    jobs
        The viewer's one heavy job: reading, loading, computing.
    status
        The line for the user.
    """

    session: Session
    scene: Scene
    jobs: Jobs
    status: Status


class Controller:
    """What acts for one feature and owns its state; docks come and go, it stays until the viewer is gone."""

    def __init__(self, context: Context) -> None:
        self.context, self.session, self.scene, self.status = context, context.session, context.scene, context.status
        self._undo = new_undo()

    def close(self) -> None:
        """Stop what runs and what listens."""
        self._undo.close()

    def listen(self, event: Any, callback: Callable[..., None]) -> None:
        """Connect an event of psygnal, napari or Qt until the controller is closed."""
        connect_until(self._undo, event, callback)

    def debounced(self, function: Callable[..., object], timeout: int) -> Any:
        """Return a function that calls `function` once its own calls pause for `timeout` ms; not after closing."""
        return debounce_until(self._undo, function, timeout)

    def new_jobs(self) -> Jobs:
        """Make jobs that end when the controller is closed."""
        jobs = Jobs()
        self._undo.callback(jobs.cancel)
        return jobs

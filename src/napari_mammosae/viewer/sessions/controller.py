"""The session of one viewer in a file: saved, opened, kept by itself, and listed."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.base.errors import MammoSAEError
from ...core.base.remembered import forget, recall, remember, state_folder
from ..context import Controller
from .record import read, write
from .restoring import Restoring
from .taking import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..workspace import Workspace

logger = logging.getLogger(__name__)

RECENT = 8
_KEPT, _WAIT, _POLL = "sessions", 2_000, 30  # name of the list, milliseconds


class SessionKeeper(Controller):
    """Saves and opens sessions, and keeps the present one in the user's own folder.

    Attributes
    ----------
    turned
        Emits when a session begins or ends to be restored, and when one was saved.
    """

    turned = Signal()

    def __init__(self, work: Workspace) -> None:
        super().__init__(work.context)
        self._workspace = work
        self._restoring: Restoring | None = None
        self._steps: Iterator[Callable[[], bool]] = iter(())
        self._ready: Callable[[], bool] = bool
        self._timer = QTimer()
        self._timer.timeout.connect(self._go_on)
        self._undo.callback(self._timer.stop)
        self._later = self.debounced(self.keep, _WAIT)
        events = self.session.events
        for event in (events.image, events.run, events.maps, events.order, events.current, events.pins, events.blind):
            self.listen(event, self._on_change)
        for drawn in (work.actions.ruler.drawn, work.query.changed):
            self.listen(drawn, self._on_change)

    def close(self) -> None:
        """Keep the session a last time."""
        self.keep()
        super().close()

    @property
    def busy(self) -> bool:
        """Whether a session is being restored."""
        return self._restoring is not None

    def save(self, path: Path) -> None:
        """Write the session into a file, and list it among the recent ones; says what went wrong."""
        with self.status.telling():
            write(path, take(self._workspace, path.parent))
            remember(_KEPT, str(path.absolute()), datetime.now().astimezone().isoformat(timespec="seconds"))
            self.status.tell(f"Session saved in {path.name}.")
        self.turned.emit()

    def open(self, path: Path) -> None:
        """Bring a session back; what of it is missing is said at the end."""
        self._finish()
        with self.status.telling():
            self._restoring = Restoring(self._workspace, read(path), path.parent)
            self._steps, self._ready = self._restoring.steps(), bool
            self.status.tell(f"Restoring {path.name} …")
            if path != kept_session():
                remember(_KEPT, str(path.absolute()), datetime.now().astimezone().isoformat(timespec="seconds"))
            self._ready = _now
            self._timer.start(_POLL)
        self.turned.emit()

    def go_back(self) -> None:
        """Bring back what was kept when this program was last left."""
        self.open(kept_session())

    def keep(self, *_: object) -> None:
        """Write the session into the user's own folder, if there is one to come back to; never in the way."""
        if self.busy or (self.session.image is None and self.session.run is None):
            return
        path = kept_session()
        with suppress(OSError, MammoSAEError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, take(self._workspace, path.parent))

    def _on_change(self, *_: object) -> None:
        self._later()

    def _go_on(self) -> None:
        """Do the next step once the work of the last one is done."""
        if self._restoring is None or not self._ready():
            return
        try:
            self._ready = next(self._steps)
        except StopIteration:
            missing = self._finish()
            said = f"Session restored, but {'; '.join(missing)}." if missing else "Session restored."
            self.status.tell(said, error=bool(missing))
        except MammoSAEError as error:
            self._finish()
            self.status.tell(f"The session cannot be restored: {error}", error=True)
        except (AttributeError, LookupError, TypeError, ValueError):
            logger.exception("A session cannot be restored")
            self._finish()
            self.status.tell(
                "The rest of the session cannot be restored: its file is damaged. Open what is missing and save again.",
                error=True,
            )

    def _finish(self) -> list[str]:
        self._timer.stop()
        restoring, self._restoring = self._restoring, None
        self.turned.emit()
        return list(dict.fromkeys(restoring.missing)) if restoring is not None else []


def kept_session() -> Path:
    """Return the file that the present session is kept in."""
    return state_folder() / "last.session.json"


def recent_sessions() -> list[Path]:
    """Return the files of sessions that are still there, the newest first; others are forgotten."""
    found = []
    for name in reversed(list(recall(_KEPT))):
        if Path(name).is_file():
            found.append(Path(name))
        else:
            forget(_KEPT, name)
    return found[:RECENT]


def keeper_of(work: Workspace) -> SessionKeeper:
    """Return the one that keeps the session of a viewer, made on first call."""
    keeper: Any = work.companions.get("session")
    if keeper is None:
        keeper = work.companions["session"] = work.own(SessionKeeper(work))
    return keeper  # type: ignore[no-any-return]


def _now() -> bool:
    return True

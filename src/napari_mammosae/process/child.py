"""A Python process of this package's own, seen from the process that uses it: start, ask, cancel, end."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from itertools import count
from multiprocessing import Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..core.base import errors
from ..core.base.errors import MammoSAEError, ModelError, ProcessEnded
from ..core.base.progress import ignore
from . import transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.base.progress import Report

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that cancelled work has to stop by itself; then its process is killed."""

_PACKAGES = str(Path(__file__).parents[2])
_LOOK = 0.2  # seconds without a message after which the caller is asked again whether to go on
_WORDS = 200  # characters of a line that are quoted
_BEGIN = (
    "import sys; sys.path[:] = sys.stdin.readline()[:-1].split('\\0'); "
    "from napari_mammosae.process.main import main; main()"
)


class Child:
    """A process with one table of tasks; it ends with this process, however this one ends.

    It runs Python anew and not the user's script. What it prints goes to the log.

    Parameters
    ----------
    in_background
        Whether it gives way to other processes, for work that takes long.
    warm
        Whether it imports torch at once, before it is asked for anything.
    ended
        Called once, from a thread, when the process is gone without having been ended by `kill`.
    """

    def __init__(
        self, *, in_background: bool = False, warm: bool = False, ended: Callable[[str], None] | None = None
    ) -> None:
        self.ended = ended
        self._numbers = count(1)
        self._waiting: dict[int, SimpleQueue[tuple[Any, ...]]] = {}
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._end: ProcessEnded | None = None
        self._killed = self._last = ""
        self._connection, theirs = Pipe()
        with theirs:
            handle = theirs.fileno()
            self._process = _start(handle)
        setup = {"connection": handle, "in_background": in_background, "warm": warm}
        assert self._process.stdin is not None
        with suppress(OSError):  # it is gone already, as the receiving thread will find
            self._process.stdin.write(f"{chr(0).join(_path())}\n{json.dumps(setup)}\n".encode(errors="surrogateescape"))
            self._process.stdin.flush()
        self._printing = threading.Thread(target=self._log, name="mammosae-process_log", daemon=True)
        self._printing.start()
        threading.Thread(target=self._receive, name="mammosae-process_receive", daemon=True).start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can be asked."""
        return self._end is None and not self._killed

    def call(self, task: str, *args: Any, report: Report = ignore, urgent: bool = True) -> Any:
        """Have a task done, and return its result; several threads may call at a time.

        Parameters
        ----------
        task, args
            A name from `tasks.TASKS` and plain values.
        report
            Called in this thread with the progress, and again and again while there is none. What it raises cancels the
            task, and is raised once that has stopped.
        urgent
            Whether the task overtakes those that are not.

        Raises
        ------
        ProcessEnded
            If the process is gone, or goes meanwhile.
        MammoSAEError
            As the task does.
        """
        answers: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        with self._lock:
            if (end := self._end) is None:
                number = next(self._numbers)
                self._waiting[number] = answers
        if end is not None:
            raise end
        try:
            self._send(("call", number, task, urgent), transport.pack(args))
            last: list[Any] = ["Starting PyTorch"]
            while True:
                try:
                    kind, *rest = answers.get(timeout=_LOOK)
                except Empty:
                    kind, rest = "progress", last
                if kind == "progress":
                    last = rest
                    try:
                        report(*last)
                    except BaseException:
                        self._cancel(number, answers)
                        raise
                elif kind == "note":
                    warnings.warn(rest[0], stacklevel=2)
                elif kind == "result":
                    return transport.unpack(rest[0])
                else:
                    raise _error(*rest)
        finally:
            self._waiting.pop(number, None)

    def kill(self, reason: str = "The process was ended.") -> None:
        """End the process at once; what waits for it gets `ProcessEnded` with the reason. Safe to call again."""
        self._killed = self._killed or reason
        with suppress(OSError):
            self._process.kill()

    def _cancel(self, number: int, answers: SimpleQueue[tuple[Any, ...]]) -> None:
        with suppress(ProcessEnded):
            self._send(("cancel", number))
        try:
            while answers.get(timeout=PATIENCE)[0] in ("progress", "note"):
                pass
        except Empty:
            self.kill("The cancelled work did not stop, so its process was ended. The next request starts it again.")

    def _send(self, message: tuple[Any, ...], packed: transport.Packed | None = None) -> None:
        with self._sending:
            try:
                transport.send(self._connection, message, packed)
            except OSError as error:  # gone this moment
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE)
                raise ProcessEnded(self._why()) from error

    # Threads

    def _receive(self) -> None:
        """Hand answers to those who wait for them; when the process has ended, say so to them all."""
        with suppress(OSError, EOFError):
            while True:
                (kind, number, *rest), value = transport.receive(self._connection)
                if kind == "result":
                    rest = [value]  # unpacked by who waits for it, not here
                if (answers := self._waiting.get(number)) is not None:
                    answers.put((kind, *rest))
        self._process.kill()  # it does not listen any more
        self._process.wait()
        with self._lock:
            self._end = ProcessEnded(self._why())
            waiting = list(self._waiting.values())
        for answers in waiting:
            answers.put(("error", self._end))
        with self._sending:
            self._connection.close()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        if not self._killed and self.ended is not None:
            self.ended(str(self._end))

    def _log(self) -> None:
        """Put what the process prints into the log."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._last = line.decode(errors="replace").strip()[:_WORDS] or self._last
                logger.info("process %s: %s", self.pid, self._last)

    def _why(self) -> str:
        if self._killed:
            return self._killed
        self._printing.join(1)  # its last line says why it ended
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        hint = ", often because memory is short" if code == -9 else f": {self._last}" if self._last else ""
        return f"The model process ended unexpectedly ({how}{hint}). The next request starts it again."


def _start(connection: int) -> subprocess.Popen[bytes]:
    """Start Python, out of reach of Ctrl-C in the terminal; `-P` keeps a `torch.py` in the current folder out."""
    how: dict[str, Any] = {"start_new_session": True, "pass_fds": [connection]}
    if sys.platform == "win32":
        os.set_handle_inheritable(connection, True)
        how = {
            "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
            "startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [connection]}),
        }
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "utf8", "-c", _BEGIN, "napari_mammosae.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **how,
    )


def _path() -> list[str]:
    """Where modules are looked for: as here, but in the current folder only where it was named or holds this package.

    A folder of data can hold a `torch.py`, and one called `triton` is enough to break torch.
    """
    here = os.path.realpath(os.curdir)
    named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if here in {os.path.realpath(path) for path in (*named, _PACKAGES)}:
        return sys.path
    return [path for path in sys.path if os.path.realpath(path or os.curdir) != here]


def _error(*what: Any) -> Exception:
    """Return the error that an answer stands for."""
    if isinstance(what[0], Exception):
        return what[0]
    name, text = what
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, MammoSAEError):
        return kind(text)
    return ModelError(f"Unexpected {name} in the model process: {text}")

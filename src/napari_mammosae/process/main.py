"""The main loop of a process of this package's own: takes tasks one after the other, urgent ones first."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
import threading
import traceback
import warnings
from itertools import count
from multiprocessing import connection
from multiprocessing.connection import Connection
from queue import PriorityQueue
from typing import Any, NamedTuple

from ..core.base.errors import Cancelled, MammoSAEError
from ..core.runs.making.process import keep_freed_memory
from . import transport
from .tasks import TASKS, Models

logger = logging.getLogger(__name__)


class Call(NamedTuple):
    """A task that waits; the first two fields say in which order."""

    later: bool
    turn: int
    number: int = 0
    task: str = ""
    args: tuple[Any, ...] = ()


def main() -> None:
    """Serve the process that started this one, until it ends or says so."""
    faulthandler.enable()
    setup = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if setup["in_background"]:
        _give_way()
    keep_freed_memory()
    Server(_connect(setup["connection"])).serve(warm=setup["warm"])


class Server:
    """Does tasks in the main thread and listens in another one.

    Parameters
    ----------
    connection
        To the process that asks.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls: PriorityQueue[Call] = PriorityQueue()
        self._turns = count()
        self._cancelled: set[int] = set()
        self._models = Models()

    def serve(self, *, warm: bool = False) -> None:
        """Do what is asked for, for ever."""
        threading.Thread(target=self._listen, daemon=True).start()
        if warm:
            self._models.warm()
        while True:
            self._do(self._calls.get())

    def _listen(self) -> None:
        try:
            while True:
                (kind, number, *rest), value = transport.receive(self._connection)
                if kind == "cancel":
                    self._cancelled.add(number)
                else:
                    task, urgent = rest
                    self._calls.put(Call(not urgent, next(self._turns), number, task, transport.unpack(value)))
        except (EOFError, OSError):
            os._exit(0)

    def _do(self, call: Call) -> None:
        answer: tuple[Any, ...]
        packed: transport.Packed | None

        def report(text: str, done: int = 0, total: int = 0) -> None:
            if call.number in self._cancelled:
                raise Cancelled("cancelled")
            transport.send(self._connection, ("progress", call.number, text, done, total))

        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            try:
                report("Starting")
                result = TASKS[call.task](self._models, report, *call.args)
                packed, answer = transport.pack(result), ("result", call.number)
            except Exception as error:
                packed = None
                if not isinstance(error, MammoSAEError):
                    traceback.print_exc()  # into the log of the process that asked
                answer = ("error", call.number, type(error).__name__, str(error))
        for note in noted:
            transport.send(self._connection, ("note", call.number, str(note.message)))
        transport.send(self._connection, answer, packed)
        self._cancelled.discard(call.number)


def _connect(handle: int) -> Connection:
    """Open the end of the pipe that this process was given; those that it starts do not get it."""
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, False)
        return connection.PipeConnection(handle)
    os.set_inheritable(handle, False)
    return Connection(handle)


def _end_with_parent() -> None:
    """End this process when the one that holds its standard input has ended, in whatever way."""
    sys.stdin.read()
    os._exit(1)


def _give_way() -> None:
    import psutil

    psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)

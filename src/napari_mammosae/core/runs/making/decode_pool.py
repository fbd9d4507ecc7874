"""Decoding ahead of the computation, in other processes, with a bounded number of images under way."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from loky import ProcessPoolExecutor

from ...base.errors import RunError
from ..sources import Entry
from .decode import Decoded, Decoder, Failed
from .process import keep_freed_memory

Pending = deque[tuple[Entry, "Future[Decoded | Failed]"]]

_ENVIRONMENT = {
    "LOKY_MAX_MEMORY_LEAK_SIZE": str(1 << 50),  # freed memory is kept on purpose; loky would take it for a leak
    "PYTHONFAULTHANDLER": "",  # a file that crashes its decoder is listed with the failures, without a trace of C calls
}


class DecodePool:
    """Processes that decode images in order; with ``workers=0`` one thread of this process.

    Processes begin to start at once, so that they are ready when the model is loaded. They do not run the user's script
    again, and they end with this process, however it ends.

    Parameters
    ----------
    workers
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pending: Pending = deque()
        # nobody writes into it: that it closes tells the processes that this one has ended
        self._lifeline, self._held = multiprocessing.Pipe(duplex=False)
        self._pool = self._start()
        with _interrupts_held():
            self._ready: Future[None] = self._pool.submit(_nothing)

    @property
    def parallel(self) -> int:
        """Images decoded at the same time."""
        return max(self._workers, 1)

    def decode(self, entries: Iterable[Entry], decoder: Decoder, ahead: int) -> Iterator[Decoded | Failed]:
        """Yield the images in order, up to `ahead` of them decoded before they are asked for.

        A file that brings its worker down (native decoders do crash) is a failure like any other: the worker
        is replaced, and the images it shared the process with are decoded again one by one.

        Raises
        ------
        RunError
            The processes cannot start at all.
        """
        self._check()
        for entry in entries:
            self._pending.append((entry, self._submit(decoder, entry)))
            while len(self._pending) >= max(ahead, 1):
                yield self._take(decoder)
        while self._pending:
            yield self._take(decoder)

    def close(self) -> None:
        """Stop the workers; what they have not begun is dropped."""
        for _, future in self._pending:
            future.cancel()
        self._pool.shutdown(wait=True)
        self._held.close()
        self._lifeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, decoder: Decoder) -> Decoded | Failed:
        try:
            result = self._pending[0][1].result()
        except BrokenProcessPool:
            self._replace(decoder)
            result = self._pending[0][1].result()
        self._pending.popleft()
        return result

    def _replace(self, decoder: Decoder) -> None:
        """Decode again, each alone, what was under way when a worker died."""
        self._restart()
        for index, (entry, future) in enumerate(self._pending):
            if future.done() and future.exception() is None:
                continue
            alone = self._submit(decoder, entry)
            if isinstance(alone.exception(), BrokenProcessPool):
                alone = Future()
                alone.set_result(Failed(entry, f"{entry.path.name}: the decoder crashed on this file"))
                self._restart()
            self._pending[index] = (entry, alone)

    def _restart(self) -> None:
        self._pool.shutdown()
        self._pool = self._start()

    def _submit(self, decoder: Decoder, entry: Entry) -> Future[Decoded | Failed]:
        try:
            with _interrupts_held():
                return self._pool.submit(decoder, entry)
        except BrokenProcessPool as error:  # known to be broken before this image: to be decoded again like the others
            future: Future[Decoded | Failed] = Future()
            future.set_exception(error)
            return future

    def _check(self) -> None:
        try:
            self._ready.result()
        except BrokenProcessPool as error:
            raise RunError(
                "The processes that decode images did not start. Decode in the main process instead: `--workers 0`, "
                "or workers=0 in Python."
            ) from error

    def _start(self) -> Executor:
        if self._workers == 0:
            return ThreadPoolExecutor(1, thread_name_prefix="decode")
        if os.name == "posix":
            resource_tracker.ensure_running()  # it would let interrupts through while it starts
        pool: Executor = ProcessPoolExecutor(
            self._workers, initializer=initialise, initargs=(self._lifeline,), env=_ENVIRONMENT
        )
        return pool


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back in this thread: a process started meanwhile never gets it, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing() -> None:
    return


def initialise(lifeline: Connection) -> None:
    """Leave interrupts to the main process, the other cores to the model, and nothing behind."""
    import cv2

    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    """End this process when the main one has ended: nothing else would tell it."""
    with suppress(OSError):  # as Windows says it
        lifeline.poll(None)
    os._exit(1)

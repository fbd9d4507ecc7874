"""Decoding ahead of the computation, in other processes, with a bounded number of images under way."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

from ...base.errors import RunError
from ..sources import Entry
from .decode import Decoded, Decoder, Failed
from .process import keep_freed_memory


class DecodePool:
    """Processes (started by spawn) that decode images in order; with ``workers=0`` one thread of this process.

    Processes begin to start at once, so that they are ready when the model is loaded.

    Parameters
    ----------
    workers
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
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
        pending: deque[tuple[Entry, Future[Decoded | Failed]]] = deque()
        for entry in entries:
            pending.append((entry, self._submit(decoder, entry)))
            while len(pending) >= max(ahead, 1):
                yield self._take(pending, decoder)
        while pending:
            yield self._take(pending, decoder)

    def close(self) -> None:
        """Stop the workers; what they have not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, pending: deque[tuple[Entry, Future[Decoded | Failed]]], decoder: Decoder) -> Decoded | Failed:
        try:
            result = pending[0][1].result()
        except BrokenProcessPool:
            self._replace(pending, decoder)
            result = pending[0][1].result()
        pending.popleft()
        return result

    def _replace(self, pending: deque[tuple[Entry, Future[Decoded | Failed]]], decoder: Decoder) -> None:
        """Decode again, each alone, what was under way when a worker died."""
        self._restart()
        for index, (entry, future) in enumerate(pending):
            if future.done() and future.exception() is None:
                continue
            alone = self._submit(decoder, entry)
            if isinstance(alone.exception(), BrokenProcessPool):
                alone = Future()
                alone.set_result(Failed(entry, f"{entry.path.name}: the decoder crashed on this file"))
                self._restart()
            pending[index] = (entry, alone)

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
                "The processes that decode images did not start. In a script, call this under "
                '`if __name__ == "__main__":`, or decode in the same process with workers=0.'
            ) from error

    def _start(self) -> Executor:
        if self._workers == 0:
            return ThreadPoolExecutor(1, thread_name_prefix="decode")
        context = multiprocessing.get_context("spawn")
        if os.name == "posix":
            resource_tracker.ensure_running()  # it would let interrupts through while it starts
        return ProcessPoolExecutor(self._workers, context, initializer=initialise)


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


def initialise() -> None:
    """Leave interrupts to the main process, the other cores to the model, and nothing behind."""
    import cv2

    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the main one was killed: nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

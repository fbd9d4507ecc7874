"""The processes that make a run: those that serve the main one, and what each sets for itself."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import TypeVar

Result = TypeVar("Result")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h
_LARGEST = 1 << 30
_LARGEST_OF_OLD = 32 << 20  # what glibc before 2.26 takes at most

_ENVIRONMENT = {
    "LOKY_MAX_MEMORY_LEAK_SIZE": str(1 << 50),  # freed memory is kept on purpose; loky would take it for a leak
    "PYTHONFAULTHANDLER": "",  # a file that crashes its decoder is listed with the failures, without a trace of C calls
}


class Processes:
    """Processes that work for this one; with a `count` of 0 one thread of this one.

    They do not run the user's script again, and they end with this process, however it ends.

    Parameters
    ----------
    count
        Number of processes.
    name
        Of the thread.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        # nobody writes into it: that it closes tells the processes that this one has ended
        self._lifeline, self._held = multiprocessing.Pipe(duplex=False)
        self._pool = self._start()

    def submit(self, work: Callable[..., Result], *args: object) -> "Future[Result]":
        """Have something done; BrokenProcessPool, here or from the future, where a process has died."""
        with _interrupts_held():
            return self._pool.submit(work, *args)

    def restart(self) -> None:
        """Replace the processes, after one has died."""
        self._pool.shutdown()
        self._pool = self._start()

    def close(self) -> None:
        """Stop when all is done that was submitted."""
        self._pool.shutdown(wait=True)
        self._held.close()
        self._lifeline.close()

    def _start(self) -> Executor:
        if self._count == 0:
            return ThreadPoolExecutor(1, thread_name_prefix=self._name)
        from loky import ProcessPoolExecutor

        if os.name == "posix":
            resource_tracker.ensure_running()  # it would let interrupts through while it starts
        pool: Executor = ProcessPoolExecutor(
            self._count, initializer=initialise, initargs=(self._lifeline,), env=_ENVIRONMENT
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


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, and not hand large arrays back and ask for them again, image by image.

    The system has to empty every page that it hands out: up to a third of the time of a full-size network. The peak of
    memory stays what it was, but between peaks less of it returns to others, so this is for the command line and for
    worker processes, not for a process that other people's code shares. Only glibc knows of it; elsewhere nothing
    happens. It works for the main thread; in others for what is below 32 MB.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, -1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_OF_OLD)

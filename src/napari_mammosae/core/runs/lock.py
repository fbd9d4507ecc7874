"""One writer a run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.errors import RunError


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends.

    Raises
    ------
    RunError
        Another process computes this run.
    """
    handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        if not _locked(handle):
            raise RunError(f"Another process is computing {root.name}; wait for it, or give another folder.")
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a drive without locks: parts are written whole, so two writers cost time, not data
        return True
    return True

"""What a process that makes a run sets for itself: how freed memory is kept."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h
_LARGEST = 1 << 30
_LARGEST_OF_OLD = 32 << 20  # what glibc before 2.26 takes at most


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

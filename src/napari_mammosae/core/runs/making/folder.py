"""How much room kept maps take."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...base.errors import RunError
from ...base.text import size_text
from ...models.latents import LatentMaps

BYTES_A_CELL = 3.5
"""Bytes on the disk for one non-zero cell of `maps/`, measured: 2.4 to 3.3 where many cells fire."""


def maps_bytes(samples: Sequence[LatentMaps], images: int) -> int:
    """Estimate the bytes that the maps of `images` images take, from a few of them."""
    cells = sum(int(maps.active_cells.sum()) for maps in samples) / max(len(samples), 1)
    return int(cells * images * BYTES_A_CELL)


def check_space(folder: Path, needed: int) -> str:
    """Return a sentence about the space needed and free.

    Raises
    ------
    RunError
        There is less room than needed.
    """
    free = shutil.disk_usage(folder).free
    text = f"the maps take about {size_text(needed)}, {size_text(free)} are free"
    if needed > free:
        raise RunError(f"Not started: {text}. Make room, give another folder, or leave the maps out.")
    return f"{text[0].upper()}{text[1:]}."


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

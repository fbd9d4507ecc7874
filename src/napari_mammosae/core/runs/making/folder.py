"""What is asked of a run's folder before anything is written: room for the maps, and no other writer."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ...base.errors import RunError
from ...base.text import sentence, size_text
from ..files.layout import KINDS, Layout, writing

logger = logging.getLogger(__name__)

LOCK = ".lock"
BYTES_A_CELL = 3.5
"""Bytes on the disk for one non-zero cell of `maps/`, measured: 2.4 to 3.3 where many cells fire."""


def maps_bytes(cells: Sequence[float], images: int) -> int:
    """Estimate the bytes that the maps of `images` images take, from the non-zero cells of a few of them."""
    return int(sum(cells) / max(len(cells), 1) * images * BYTES_A_CELL)


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
        raise RunError(f"Not started: {text}. Free some space, choose another folder, or leave the maps out.")
    return sentence(text)


@contextmanager
def begin_run(layout: Layout, *, new: bool) -> Iterator[None]:
    """Hold a run's folder alone, made where it is not there; a new run that ends before its first part leaves nothing.

    Raises
    ------
    RunError
        The folder cannot be made, or another process computes this run.
    """
    made = [folder for folder in (layout.root, *layout.root.parents) if not folder.exists()]
    with writing(layout.info):
        layout.root.mkdir(parents=True, exist_ok=True)
    unused = False
    try:
        with hold_alone(layout.root):
            try:
                yield
            except BaseException:
                unused = new and not any(map(layout.parts, KINDS))
                if unused:
                    layout.remove()
                raise
    finally:
        if unused:
            with suppress(OSError):  # on a drive without locks there is none
                (layout.root / LOCK).unlink(missing_ok=True)
                for folder in made:
                    folder.rmdir()


@contextmanager
def hold_alone(root: Path) -> Iterator[None]:
    """Hold a lock on a run's folder that ends with this process, however it ends.

    On a drive without locks there is none: parts are written whole, so two writers cost time, not data.

    Raises
    ------
    RunError
        Another process computes this run.
    """
    lock = FileLock(root / LOCK, blocking=False, fallback_to_soft=False)  # a soft lock would outlive a killed run
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"Another process is computing {root.name}; wait for it, or choose another folder.") from None
    except (OSError, NotImplementedError) as error:
        logger.debug("no lock on %s: %s", root.name, error)
    try:
        yield
    finally:
        lock.release()

"""How much room kept maps take."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ...base.errors import RunError
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


def size_text(size: float) -> str:
    """Bytes in the unit a person would choose.

    >>> size_text(1234567)
    '1.2 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"

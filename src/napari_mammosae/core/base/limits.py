"""What a file may cost at most, so that a small one cannot ask for all memory or all time.

The limits are far above real data. `NAPARI_MAMMOSAE_MAX_` and its name in capitals is the
environment variable that changes one:
``NAPARI_MAMMOSAE_MAX_PIXELS=4000000000``. Processes that decode and compute inherit it.
"""

import csv
import os
from typing import Literal

from .errors import MammoSAEError, SettingsError
from .text import size_text

Limit = Literal[
    "pixels", "decoded_bytes", "expansion", "rows", "columns", "cell", "depth", "keys", "text_bytes", "pickle_steps"
]
LIMITS: dict[Limit, int] = {
    "pixels": 2_000_000_000,
    "decoded_bytes": 4 << 30,
    "expansion": 20,
    "rows": 100_000_000,
    "columns": 100_000,
    "cell": 1_000_000,
    "depth": 64,
    "keys": 20_000_000,
    "text_bytes": 8 << 30,
    "pickle_steps": 2_000_000,
}
"""Pixels of an image and bytes they take decoded; how many times its own size a compressed file may grow beyond 64 MB;
rows, columns and characters of a cell of a table; depth, and values, of JSON, TOML and pickles; bytes of a text file;
instructions of a pickle."""

FREE_BYTES = 64_000_000
"""What a compressed file may grow to whatever its own size."""


def limit(name: Limit) -> int:
    """Return a limit as it is set.

    Raises
    ------
    SettingsError
        The environment variable is not a positive whole number.
    """
    text = os.environ.get(variable(name), "")
    if not text:
        return LIMITS[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
        raise SettingsError(f"{variable(name)} is {text[:40]!r}; expected a positive whole number.")
    return int(text)


def limit_cells() -> None:
    """Let Python's CSV reader, which has one limit for the whole program, take cells up to the limit set."""
    csv.field_size_limit(limit("cell"))


def variable(name: Limit) -> str:
    """Return the environment variable that sets a limit."""
    return f"NAPARI_MAMMOSAE_MAX_{name.upper()}"


def check_limit(name: Limit, found: int, what: str, error: type[MammoSAEError]) -> None:
    """Raise `error` where `found` is above a limit; `what` begins the message: the file, and what was counted."""
    most = limit(name)
    if found > most:
        shown = size_text(most) if name.endswith("bytes") else f"{most:,}"
        raise error(f"{what}, above the limit of {shown}. If the file is right, set {variable(name)} higher.")


def check_grown(size: int, found: int, name: str, error: type[MammoSAEError]) -> None:
    """Raise `error` where a compressed file of `size` bytes says that it holds `found`, many times as much."""
    if found > max(FREE_BYTES, size * limit("expansion")):
        raise error(
            f"{name}: {size_text(size)} that unpack to {size_text(found)}, above {limit('expansion')} times as much. "
            f"If the file is right, set {variable('expansion')} higher."
        )

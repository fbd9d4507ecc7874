"""How long work says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Report: TypeAlias = Callable[..., None]
"""Called by a job as ``report(text, done, total)`` at every step; raises `Cancelled` when the job should stop."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: what it is doing, and `done` of `total` (0: unknown)."""

    text: str
    done: int = 0
    total: int = 0

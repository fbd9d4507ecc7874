"""What every benchmark script shares: medians of repeated timings, and a table of what was asked and what was found.

A benchmark is a script `benchmarks/NAME.py`. It prints Markdown on standard output (a heading, then tables) and exits
with status 1 when a bound was missed; anything else it has to say goes to standard error.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def seconds(call: Callable[[], Any], repeats: int = 5, warmups: int = 1) -> list[float]:
    """Wall-clock seconds of each of `repeats` calls, after `warmups` calls that are not counted."""
    for _ in range(warmups):
        call()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def median_seconds(call: Callable[[], Any], repeats: int = 5, warmups: int = 1) -> float:
    """Median of `seconds`."""
    return statistics.median(seconds(call, repeats, warmups))


class Report:
    """A table of measurements, some of them with a bound that must hold."""

    def __init__(self, title: str, *notes: str) -> None:
        self._title = title
        self._notes = notes
        self._rows: list[tuple[str, str, str, str]] = []
        self._missed = False

    def add(
        self, what: str, measured: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Add a number; with a bound, say whether it holds."""
        bounds = []
        holds = True
        for words, bound, kept in (
            ("at most", at_most, at_most is None or measured <= at_most),
            ("at least", at_least, at_least is None or measured >= at_least),
        ):
            if bound is not None:
                bounds.append(f"{words} {bound:g} {unit}".rstrip())
                holds &= kept
        self._missed |= not holds
        verdict = "" if not bounds else ("yes" if holds else "**no**")
        self._rows.append((what, f"{measured:.4g} {unit}".rstrip(), ", ".join(bounds), verdict))

    def note(self, what: str, text: str) -> None:
        """Add a row without a number."""
        self._rows.append((what, text, "", ""))

    def finish(self) -> None:
        """Print the table and end the process: status 1 when a bound was missed."""
        lines = [f"## {self._title}", "", *(line for note in self._notes for line in (note, ""))]
        lines += ["| what | measured | bound | holds |", "| --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in self._rows]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.exit(1 if self._missed else 0)

"""How far long work is: what it calls at every step, what follows from the calls, and bars that show it."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from .text import duration

_REMEMBERED = 64


class Report(Protocol):
    """What every long function calls at every step, in the thread that works.

    It is given what is being done, in words for a person, and how many steps of how many are finished (0: unknown).
    It may raise `Cancelled`, or anything else, to stop the work.

    >>> def show(text, done=0, total=0):
    ...     print(f"{text}: {done} of {total}")
    >>> report: Report = show
    >>> report("Computing latents", 3, 24)
    Computing latents: 3 of 24
    """

    def __call__(self, text: str, done: int = 0, total: int = 0, /) -> None:
        """Take note of a step."""
        ...


def ignore(text: str, done: int = 0, total: int = 0, /) -> None:
    """Take reports that nobody reads."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far work is, as a `Meter` derives it from a report.

    Attributes
    ----------
    text, done, total
        As reported.
    rate
        Steps a second lately; 0 before the first.
    seconds_left
        At this rate; None before the first step and where the total is unknown.
    begins
        Whether this is the first report of a stage.
    """

    text: str
    done: int = 0
    total: int = 0
    rate: float = field(default=0.0, compare=False)
    seconds_left: float | None = field(default=None, compare=False)
    begins: bool = field(default=True, compare=False)

    @property
    def pace(self) -> str:
        """``2.1 per second, 1 min 18 s left``; empty before the first step."""
        if not self.rate:
            return ""
        words = f"{self.rate:.1f} per second" if self.rate >= 1 else f"{1 / self.rate:.1f} s each"
        return f"{words}, {duration(self.seconds_left)} left" if self.seconds_left else words

    def describe(self) -> str:
        """``Computing latents: 37 of 200, 2.1 per second, 1 min 18 s left``."""
        if not self.total:
            return self.text
        return ", ".join(filter(None, (f"{self.text}: {self.done:,} of {self.total:,}", self.pace)))


class Meter:
    """Follows the reports of one piece of work; its rate is that of the last few dozen.

    So neither start-up nor a pause stays in the rate for long. A stage begins where another total is reported, or fewer
    steps than before; a new text alone (images that failed are counted in it) begins none.
    """

    def __init__(self) -> None:
        self._total = 0
        self._seen: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)

    def __call__(self, text: str, done: int = 0, total: int = 0, /) -> Progress:
        """Take a report, and say what follows."""
        begins = not self._seen or total != self._total or done < self._seen[-1][1]
        if begins:
            self._total = total
            self._seen.clear()
        if begins or done != self._seen[-1][1]:  # the same again says that the work goes on, not how fast
            self._seen.append((time.monotonic(), done))
        (start, low), (end, high) = self._seen[0], self._seen[-1]
        rate = (high - low) / (end - start) if end > start else 0.0
        left = (total - done) / rate if rate > 0 and total else None
        return Progress(text, done, total, rate, left, begins)


@contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """Yield what long work reports to, for an argument `progress`.

    Parameters
    ----------
    progress
        True draws a bar a stage on standard error, with its rate and the time left; False draws nothing; a function
        is used as it is.
    """
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        meter = Meter()
        bar = None

        def report(text: str, done: int = 0, total: int = 0, /) -> None:
            nonlocal bar
            state = meter(text, done, total)
            if bar is None or state.begins:
                bar = bars.add_task(text, pace="")
            bars.update(bar, description=text, completed=done, total=total or None, pace=state.pace)

        yield report

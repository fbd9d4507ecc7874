"""Progress bars in a terminal or notebook: what the command line draws, and the API on request."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .progress import Meter, ignore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .progress import Report


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

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
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

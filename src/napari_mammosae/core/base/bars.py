"""Progress bars on request, for scripts and notebooks; the command line and the docks show their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(title: str, *, shown: bool) -> Iterator[Callable[..., None] | None]:
    """Yield a function that draws a bar on standard error; None where not `shown`.

    It is called with (done, total), or with what is being done before them.
    """
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None)
        yield lambda *step: bars.update(task, completed=step[-2], total=step[-1])

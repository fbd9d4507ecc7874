"""`run`: a model over a data set, kept as a folder of tables."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import say, stoppable

if TYPE_CHECKING:
    from ..core.runs.progress import RunProgress


def run(
    images: options.Images,
    model: options.Model,
    out: Annotated[
        Path, typer.Option("--out", metavar="RUN", file_okay=False, help="Folder of the run; one begun is finished.")
    ],
    labels: options.Labels = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep every cell that fires: needed to localise, for galleries and suspects.")
    ] = False,
    workers: options.Workers = 1,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do the computing."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when images could not be used.")] = False,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    batch: options.AutoBatch = None,
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Compute the latents of all images into a folder of Parquet files.

    The same command again goes on where the last one stopped. Images that cannot be read are listed in
    RUN/failures.csv, with the reason.
    """
    from ..core.runs.making.make import make_run
    from ..core.runs.making.process import keep_freed_memory

    keep_freed_memory()
    spec = {"name": model, "device": device, "precision": precision}
    with stoppable(quiet=quiet) as stop, _bar(quiet=quiet) as report:
        summary = make_run(
            images,
            spec,
            out,
            labels=labels or (),
            maps=maps,
            workers=workers,
            batch=batch,
            crop=not no_crop,
            strict=strict,
            scheduler=scheduler,
            progress=report,
            notice=lambda text: None if quiet else typer.echo(f"Note: {text}", err=True),
            cancel=stop,
        )
    done = summary.images - summary.failed
    say(f"{out.name}: {done} images done, {summary.computed} of them looked at this time", quiet=quiet)
    if summary.failed:
        say(f"{summary.failed} could not be used; failures.csv says why", quiet=quiet)


@contextmanager
def _bar(*, quiet: bool) -> Iterator["Callable[[RunProgress], None] | None"]:
    """Yield a function that draws how far the run is, at what rate, and how long it will take."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("Computing latents"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda state: bars.update(bar, completed=state.done, total=state.total, description=pace(state))


def pace(state: "RunProgress") -> str:
    """Rate, time left and failures of a run in a few words."""
    words = []
    if state.seconds_left is not None:
        rate = f"{state.rate:.1f} a second" if state.rate >= 1 else f"{1 / state.rate:.1f} s an image"
        words = [rate, f"{timedelta(seconds=round(state.seconds_left))} left"]
    return ", ".join([*words, f"{state.failed} failed"] if state.failed else words)

"""What a command says while it works: on standard error and only to a person; results go to standard output."""

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..core.base.progress import Report


LONGEST_WORD, LONGEST_LINE = 120, 600
"""Characters of a word, and of a line, that are shown of what a user or a file says."""


def one_line(text: str) -> str:
    """Return a message as one line, with the middle of very long names left out."""
    line = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda found: f"{found[0][:60]}…{found[0][-40:]}", " ".join(text.split()))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 100]}…{line[-99:]}"


def say(text: str, *, quiet: bool) -> None:
    """Print one line of what came out."""
    if not quiet:
        typer.echo(text)


def caution(notes: Iterable[str], *, quiet: bool) -> None:
    """Print what a person should know about a result, on standard error."""
    for note in () if quiet else notes:
        typer.echo(f"Note: {one_line(note)}", err=True)


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Make a setting without meaning wrong usage of `option`: exit status 2, with a hint how the command is used."""
    from ..core.base.errors import SettingsError

    try:
        yield
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from None


def check_results(*paths: Path | None) -> None:
    """Refuse, before the work begins, to replace files that are not results of this program."""
    from ..core.base.provenance import beside, check_replaceable

    for path in paths:
        if path is not None:
            check_replaceable(beside(path, ".json"), path)


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[None]:
    """Show `what` while a step of unknown length runs."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(what)):  # brackets in a name are not for rich
        yield


def progress(*, quiet: bool) -> AbstractContextManager["Report"]:
    """Return what long work reports to: a bar a stage, with its rate and the time left, for a person at a terminal."""
    from ..core.base.progress import reporting

    return reporting(not quiet and sys.stderr.isatty())


@contextmanager
def stoppable(*, quiet: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether the user asked to stop."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        if not quiet:
            sys.stderr.write("Stopping after what is under way; press Ctrl-C again to stop at once.\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)

"""`verdicts`: what people decided about latents, as files that travel."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.base.text import counted
from . import options
from .console import check_results, say

if TYPE_CHECKING:
    from ..core.verdicts.exchange import Merged
    from ..core.verdicts.store import VerdictStore

verdicts = typer.Typer(
    name="verdicts",
    help="Export, import, merge and compare verdicts on latents.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Where = Annotated[
    Path | None,
    typer.Option("--verdicts", metavar="DB", help="A verdict file, or a run. Default: the file in your data folder."),
]
Sources = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Verdicts: CSV, JSON or SQLite files.")]


@verdicts.command("export")
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", dir_okay=False, help="A .csv or .json file.")],
    where: Where = None,
    annotator: Annotated[str | None, typer.Option(metavar="NAME", help="Only the verdicts of this annotator.")] = None,
    current: Annotated[bool, typer.Option("--current", help="Only the current verdicts, not their history.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write verdicts as CSV or JSON, without screenshots."""
    from ..core.base.provenance import check_replaceable
    from ..core.verdicts.exchange import export_verdicts, note_of

    check_replaceable(note_of(out), out)
    with _open(where) as store:
        export_verdicts(store, out, annotator=annotator, current=current)
    say(f"wrote {out}", quiet=quiet)


@verdicts.command("import")
def import_(files: Sources, where: Where = None, quiet: options.Quiet = False) -> None:
    """Add the verdicts of files to yours.

    Adding a file twice changes nothing. A file that cannot be used is named and left out. A verdict file that is not
    there yet is made.
    """
    from ..core.base.files import write_atomic
    from ..core.verdicts.exchange import merge_verdicts
    from ..core.verdicts.store import VerdictStore

    path = _path(where)
    with ExitStack() as stack:  # a new file is there once something is in it
        there = path if path.exists() else stack.enter_context(write_atomic(path))
        store = stack.enter_context(VerdictStore(there))
        _note(store)
        report = merge_verdicts(store, files)
    for merged in _usable(report):
        say(
            f"{merged.source}: {counted(merged.added, 'entry', 'entries')} added, {merged.known} already there",
            quiet=quiet,
        )


@verdicts.command()
def merge(
    files: Sources,
    out: Annotated[Path, typer.Option(metavar="DB", dir_okay=False, help="New verdict file, .sqlite.")],
    quiet: options.Quiet = False,
) -> None:
    """Put the verdicts of several people into one new file."""
    from ..core.base.errors import VerdictError
    from ..core.base.files import write_atomic
    from ..core.verdicts.exchange import merge_verdicts
    from ..core.verdicts.store import VerdictStore

    if out.exists():
        raise VerdictError(f"{out.name} exists; choose another name, or add to it with `verdicts import`.")
    # closed, so the file is all there is of it
    with write_atomic(out) as new, VerdictStore(new) as store:
        report = merge_verdicts(store, files)
    for merged in _usable(report):
        say(
            f"{merged.source}: {counted(merged.added, 'entry', 'entries')}, {merged.known} already in the other files",
            quiet=quiet,
        )
    say(f"wrote {out}", quiet=quiet)


@verdicts.command()
def agreement(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="One annotator.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The other.")],
    where: Where = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", dir_okay=False, help="CSV table. OUT.json is written next to it.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Measure how well two people agree (Cohen's kappa) on the latents that both reviewed."""
    import pandas as pd

    from ..core.base.provenance import provenance, write_table
    from ..core.verdicts.agreement import cohen_kappa
    from ..core.verdicts.store import VERDICTS

    check_results(csv)
    with _open(where) as store:
        found = cohen_kappa(store, first, second)
        name = store.path.name
    counts = pd.DataFrame(found.counts, pd.Index(VERDICTS, name=first), VERDICTS)
    if csv is not None:
        record = provenance("verdicts agreement", {"verdicts": name, "first": first, "second": second})
        figures = ("n", "kappa", "observed", "expected", "only_first", "only_second")
        write_table(csv, counts, record | {figure: getattr(found, figure) for figure in figures}, index=True)
    alone = f"{found.only_first} only by {first}, {found.only_second} only by {second}"
    say(f"{counted(found.n, 'latent')} reviewed by both, {alone}", quiet=quiet)
    if found.n:
        say(f"Cohen's kappa {found.kappa:.3f} (agreement {found.observed:.3f}, by chance {found.expected:.3f})",
            quiet=quiet)  # fmt: skip
        say(f"rows: {first}, columns: {second}\n{counts.rename_axis(None).to_string()}", quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)


def _usable(report: "list[Merged]") -> "list[Merged]":
    """Name the files that were left out, and return the others."""
    refused = [merged for merged in report if merged.refused]
    if refused:
        files = "1 file was" if len(refused) == 1 else f"{len(refused)} files were"
        typer.echo(f"Note: {files} left out: {refused[0].refused}", err=True)
    return [merged for merged in report if not merged.refused]


def _path(where: Path | None) -> Path:
    from ..core.verdicts.store import default_path

    return default_path(where) if where is None or where.is_dir() else where


def _open(where: Path | None) -> "VerdictStore":
    from ..core.verdicts.store import VerdictStore

    store = VerdictStore(_path(where), create=False)
    _note(store)
    return store


def _note(store: "VerdictStore") -> None:
    if store.notice:
        typer.echo(f"Note: {store.notice}", err=True)

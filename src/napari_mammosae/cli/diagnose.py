"""`--diagnose`: the report to send along when something went wrong."""

from typing import Annotated

import typer


def _show_report(asked: bool) -> None:
    if asked:
        from ..core.base.diagnosis import diagnostic_report

        typer.echo(diagnostic_report(), nl=False)
        raise typer.Exit


Diagnose = Annotated[
    bool,
    typer.Option(
        "--diagnose",
        callback=_show_report,
        is_eager=True,
        help="Print versions, device, memory and last errors, without names of people, files or folders, and exit.",
    ),
]

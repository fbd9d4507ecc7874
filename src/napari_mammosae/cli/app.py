"""All commands, in the order in which `--help` shows them."""

from typing import Annotated

import typer

from .. import __version__
from .caches import caches
from .compare import compare
from .compare_sae import compare_sae
from .diagnose import Diagnose
from .evaluate import evaluate
from .figure import figure
from .inspect import inspect
from .intervene import intervene
from .localize import localize
from .models import models
from .name import name
from .pages import pages
from .phantoms import phantoms
from .rank import rank
from .reproduce import reproduce
from .run import run
from .train_head import train_head
from .train_sae import train_sae
from .verdicts import verdicts
from .view import demo, view

app = typer.Typer(
    name="napari-mammosae",
    help="Look inside a mammography model image by image. Research use only, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"napari-mammosae {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    diagnose: Diagnose = False,
) -> None:
    pass


app.command()(demo)
app.command()(view)
app.command()(inspect)
app.command()(figure)
app.command()(run)
app.command()(phantoms)
app.command()(rank)
app.command()(localize)
app.command()(intervene)
app.command()(compare)
app.command()(evaluate)
app.command()(pages)
app.command()(name)
app.command()(reproduce)
app.command("train-sae")(train_sae)
app.command("train-head")(train_head)
app.command("compare-sae")(compare_sae)
app.add_typer(verdicts)
app.add_typer(models)
app.add_typer(caches)

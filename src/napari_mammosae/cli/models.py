"""`models`: which models there are, where their files come from, and what they hold."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options
from .console import caution, progress, say, working

models = typer.Typer(
    name="models",
    help="List, download, add and check models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Member = Annotated[
    str, typer.Option("--member", metavar="PART", help="Part of the path of the file to take, where several fit.")
]


_LISTED = "mammo-clip, layer head, closed form"
"""Adapter, layer and tail of every model with a name."""


@models.command("list")
def list_models() -> None:
    """List the names that --model takes: adapter, layer and tail of each, and the table cell of the paper it gives."""
    from ..core.models.files.model_files import embedded_models
    from ..core.models.published.catalogue import published_models
    from ..core.models.published.places import state_of

    for name, file in embedded_models().items():
        typer.echo(f"{name}\tembedded{'' if file.is_file() else ' (missing)'}\t{_LISTED}\tsynthetic phantoms")
    for name, model in published_models().items():
        typer.echo("\t".join(filter(None, (name, state_of(model), _LISTED, model.about, model.cell))))


@models.command()
def download(
    names: Annotated[list[str], typer.Argument(metavar="M", help="Published models, or model.toml files.")],
    member: _Member = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept size and licence without being asked.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Download published models: say size and licence, ask, fetch what is missing, verify it.

    An interrupted download is resumed by the same command.
    """
    from ..core.models.files.model_files import embedded_models
    from ..core.models.published.download import download_model, plan_download

    for name in names:
        if name in embedded_models():
            say(f"{name} comes with the package; nothing to download", quiet=quiet)
            continue
        with progress(quiet=quiet) as report:
            planned = plan_download(name, report, member)
        for file in planned:
            say(file.describe(), quiet=quiet and yes)
        if planned and not yes:
            _ask(name)
        with progress(quiet=quiet) as report:
            lines = download_model(name, report, member)
        for line in lines:
            say(line, quiet=quiet)
        say(f"{name} is ready", quiet=quiet)


def _ask(name: str) -> None:
    """Have a person accept what was said of size and licence."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"give it to accept size and licence; {name} was not downloaded.", param_hint="'--yes'"
        )
    typer.confirm("Download, and accept the licence?", abort=True)


@models.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A folder, the downloaded archive, or a single file.")],
    name: Annotated[str, typer.Option("--as", metavar="M", help="The published model that the file is.")] = "",
    member: _Member = "",
    quiet: options.Quiet = False,
) -> None:
    """Use published files that are on a disk: the archive, its unpacked folder, or single files.

    Files stay where they are; members of an archive are unpacked. Each model is known by its name then.
    """
    from ..core.models.published.disk import add_from_disk

    with progress(quiet=quiet) as report:
        added = add_from_disk(path, report, name, member)
    for one in added.names:
        say(f"added {one}", quiet=quiet)
    caution(added.notes, quiet=quiet)


@models.command()
def verify(
    model: Annotated[str, typer.Argument(metavar="M", help="A name from `models list`, or a model.toml.")],
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    quiet: options.Quiet = False,
) -> None:
    """Load a model once and print its adapter, layer, tail and sizes, and the hashes of its files.

    The tail is what follows the SAE: where it has no closed form, the rest of the network is re-run for each edit.
    """
    recipe = options.sae_recipe(sae, sae_option, layer)
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.adapters.kinds import TAIL_WORDS
        from ..core.models.loading import load_model

        network = load_model(model, device="cpu", **recipe)
    rows, columns = network.grid
    backbone = network.backbone
    say(f"{network.name}: {backbone.name}, adapter {backbone.adapter}, layer {network.layer}", quiet=quiet)
    inner = network.block is not None
    say(f"tail: {'re-run (the layers after it)' if inner else TAIL_WORDS[backbone.tail]}", quiet=quiet)
    say(f"features {network.width} x {rows} x {columns}, latents {network.n_latents}", quiet=quiet)
    if network.sae is not None:
        say(f"sae {network.sae.source}: {network.sae.words}", quiet=quiet)
    for head in network.heads:
        say(f"head {head.name}, {head.task}: {', '.join(head.classes)}", quiet=quiet)
    if not network.heads:
        say("no classifier", quiet=quiet)
    say(f"domain {network.domain.modality}, {network.domain.body_part}", quiet=quiet)
    say(f"model sha256 {network.model_sha256}", quiet=quiet)
    say(f"sae sha256 {network.sae_sha256 or '(no SAE)'}", quiet=quiet)


@models.command("layers")
def list_layers(
    model: Annotated[str, typer.Argument(metavar="M", help="A name from `models list`, or a model.toml.")],
    quiet: options.Quiet = False,
) -> None:
    """List the layers that an SAE can read: channels, grid, stride, and the share of the operations that follow.

    An edit at a layer costs that share of a whole pass; at `head` it is exact in closed form and costs nothing.
    """
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.layers import layers_of
        from ..core.models.loading import load_model

        network = load_model(model, sae="none", layer="head", device="cpu", engine="torch")
        places = layers_of(network.backbone, network.preprocessing.size)
    typer.echo(f"{'layer':<10} {'channels':>8} {'grid':>11} {'stride':>9} {'operations after':>16}")
    for one in places:
        grid, stride = (" x ".join(map(str, pair)) for pair in (one.grid, one.stride))
        typer.echo(f"{one.name:<10} {one.channels:>8,} {grid:>11} {stride:>9} {one.share_after:>16.1%}")


@models.command("export-sae")
def export(
    model: Annotated[str, typer.Argument(metavar="M", help="A name from `models list`, or a model.toml.")],
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Folder for the files.")],
    format: Annotated[Literal["saelens", "dictionary_learning"], typer.Option(help="Tool that shall read them.")] = (
        "saelens"
    ),
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a model's SAE as another tool's folder: weights, and settings beside them."""
    recipe = options.sae_recipe(sae, sae_option)
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.loading import load_model
        from ..core.models.sae.export import export_sae

        network = load_model(model, device="cpu", **recipe)
    with working("Writing", quiet=quiet):
        written = export_sae(network, out, format)
    for path in written:
        say(f"wrote {path}", quiet=quiet)


@models.command()
def check(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, made with a released checkpoint.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The run's model, where it is not in `models list`.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Compare a run with the test predictions that its checkpoint stores, row by row."""
    from ..core.comparison.stored_predictions import check_predictions
    from ..core.runs.opening import open_run

    with working("Reading the stored predictions", quiet=quiet):
        found = check_predictions(open_run(run), model)
    say(found.describe(), quiet=quiet)
    if found.far:
        caution(
            ["the images, their preparation or the order of the rows are not those of the checkpoint."], quiet=quiet
        )

"""`models`: which models there are, and what their files hold."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options
from .console import say, working

models = typer.Typer(name="models", help="List and check models.", no_args_is_help=True, rich_markup_mode=None)


@models.command("list")
def list_models() -> None:
    """List the names that --model takes."""
    from ..core.models.model_files import embedded_models

    for name, file in embedded_models().items():
        typer.echo(f"{name}\tembedded{'' if file.is_file() else ' (missing)'}")


@models.command()
def download(
    model: Annotated[str, typer.Argument(metavar="M", help="Name of a published model.")],
    quiet: options.Quiet = False,
) -> None:
    """Say where the files of a model come from; this version fetches none."""
    from ..core.base.errors import DownloadError
    from ..core.models.model_files import embedded_models

    if model not in embedded_models():
        raise DownloadError(
            f"{model}: this version downloads no weights; expected a model that comes with the package "
            f"({', '.join(embedded_models())}). Fetch the files from their authors (the page on weights in the "
            "documentation says where) and name them in a model.toml"
        )
    say(f"{model} comes with the package; nothing to download", quiet=quiet)


@models.command()
def verify(
    model: Annotated[str, typer.Argument(metavar="M", help="A name from `models list`, or a model.toml.")],
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    quiet: options.Quiet = False,
) -> None:
    """Load a model once and print its sizes and the hashes of its files."""
    recipe = options.sae_recipe(sae, sae_option)
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.loading import load_model

        network = load_model(model, device="cpu", **recipe)
    rows, columns = network.grid
    say(f"{network.name}: {network.backbone.architecture.name}, layer {network.layer}", quiet=quiet)
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

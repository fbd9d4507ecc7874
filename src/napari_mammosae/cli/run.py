"""`run`: a model over a data set, kept as a folder of tables."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.base.text import counted
from . import options
from .console import progress, say, stoppable


def run(
    images: options.Images,
    model: options.Model,
    out: Annotated[
        Path,
        typer.Option(metavar="RUN", file_okay=False, help="Folder of the run. An unfinished run in it is resumed."),
    ],
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    labels: options.Labels = None,
    positive: options.Positive = None,
    uncertain: options.Uncertain = "unknown",
    split: Annotated[
        str | None, typer.Option(metavar="S", help="Only images of this split of the label tables.")
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep the latent maps. Needed for localisation, galleries and suspects.")
    ] = False,
    workers: options.AutoWorkers = "auto",  # type: ignore[assignment]
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of a Dask scheduler whose workers compute the run.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if any image could not be used.")
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    engine: options.Engine = None,
    batch: options.AutoBatch = "auto",  # type: ignore[assignment]
    compile: options.Compile = "auto",
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Compute the latents of all images into a folder of Parquet files.

    The same command again resumes a run that was stopped. Images that cannot be read are listed in RUN/failures.csv,
    with the reason.
    """
    from ..core.runs.making.make import write_run
    from ..core.runs.making.process import keep_freed_memory

    keep_freed_memory()
    value = options.positive_of_label(positive, "")
    if compile == "on":
        if engine not in (None, "compiled"):
            raise typer.BadParameter(
                f"The engine {engine} is not compiled; leave one of the two out.", param_hint="--compile"
            )
        engine = "compiled"
    spec = {"name": model, "device": device, "precision": precision, "engine": engine} | options.sae_recipe(
        sae, sae_option, layer
    )
    with stoppable(quiet=quiet) as stop, progress(quiet=quiet) as report:
        summary = write_run(
            images,
            spec,
            out,
            labels=labels or (),
            positive=value,
            uncertain=uncertain,
            split=split,
            maps=maps,
            workers=workers,
            batch=batch,
            compile_long=compile == "auto",
            crop=not no_crop,
            strict=strict,
            scheduler=scheduler,
            progress=report,
            notice=lambda text: None if quiet else typer.echo(f"Note: {text}", err=True),
            cancel=stop,
        )
    done = summary.images - summary.failed
    say(f"{out.name}: {counted(done, 'image')} done, {summary.computed} computed this time", quiet=quiet)
    if summary.failed:
        say(f"{summary.failed} could not be used; see failures.csv for the reasons", quiet=quiet)

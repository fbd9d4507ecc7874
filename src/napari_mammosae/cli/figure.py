"""`figure`: an image beside the heatmaps of some latents, as in the paper's Figure 3."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import caution, check_results, say, usage, working


def figure(
    source: Annotated[Path, typer.Argument(metavar="RUN|IMAGE", help="A run made with --maps, or a mammogram.")],
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="Figure to write: png, pdf or svg.")],
    image: Annotated[str | None, typer.Option(metavar="NAME", help="Which image of the run.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, exists=True, help="Where the run's images are, if not beside it."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="M", help="For a mammogram: a name from `models list`, or a model.toml that names files."),
    ] = None,
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    latents: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Latents to show, in this order, instead of --top.")
    ] = None,
    top: options.Top = 10,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="O",
            help="mean (on this image), a score of `rank`, or published:DIR. Default: mean, with a label diff.",
        ),
    ] = None,
    label: Annotated[str, typer.Option(metavar="L", help="Label of the run that the score ranks for.")] = "",
    category: Annotated[
        str | None, typer.Option("--class", metavar="C", help="Class of the label, by number. Default: 1 (present).")
    ] = None,
    split: options.RankSplit = None,
    boxes: options.Boxes = None,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw one image beside the heatmaps of some latents, with its annotated boxes.

    Each heatmap has its own contrast. FILE.json, written next to the figure, says what it shows.
    """
    asked = None if latents is None else numbers_in(latents)
    is_run = source.is_dir()
    if is_run and image is None:
        raise typer.BadParameter("Name one of the run's images.", param_hint="--image")
    if not is_run and model is None:
        raise typer.BadParameter("Name the model that looks at the image.", param_hint="--model")
    check_results(out)
    recipe = options.sae_recipe(sae, sae_option, layer)
    with working(f"Reading {source.name}", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.base.provenance import beside, provenance, write_results
        from ..core.datasets.find import read_boxes
        from ..core.images.mammogram import read_mammogram
        from ..core.models.compute import compute_latents
        from ..core.models.loading import load_model
        from ..core.naming.suggested import names_of
        from ..core.reports.latents_figure import FORMATS, figure_source, latents_figure, save_figure
        from ..core.reports.run_picture import OWN, order_for_picture, picture_of_run
        from ..core.runs.opening import open_run

        with usage("--out"):
            if out.suffix.lower().removeprefix(".") not in FORMATS:
                raise SettingsError(f"{out.name} ends with none of {', '.join(FORMATS)}.")
        run = open_run(source) if is_run else None
        if run is not None and image is not None:
            mammogram, maps = picture_of_run(run, image, images)
            made, identity, line = run.made_with, None, f"run {run.path.name} · model {run.info['model']}"
        else:
            mammogram = read_mammogram(source, crop=not no_crop)
            network = load_model(str(model), device=device, precision=precision, **recipe)
            caution(network.notes, quiet=quiet)
            maps, made, identity = compute_latents(network, mammogram), None, network
            line = figure_source(network)
            caution((maps.scale_alarm,) if maps.scale_alarm else (), quiet=quiet)
        annotated = None
        if boxes:
            findings = read_boxes(boxes)
            annotated = findings.boxes(mammogram.full_name, shape=mammogram.shape)
            caution(findings.notes_on({mammogram.full_name: mammogram.shape}), quiet=quiet)
            if annotated.empty:
                caution((f"{boxes.name} has no box on {mammogram.image_id}",), quiet=quiet)
        if asked is None:
            wanted = order or ("diff" if label else OWN)
            found, name = order_for_picture(maps, run, order=wanted, label=label, category=category, split=split)
            shown = [one for one in found if maps.row(one) is not None] if top == options.EVERY else list(found[:top])
        else:
            shown, name = asked, "chosen"
        if unknown := [latent for latent in shown if latent >= maps.shape[0]]:
            raise SettingsError(f"latent {unknown[0]} does not exist; the SAE has {maps.shape[0]}, from 0 on.")
    with working(f"Drawing {out.name}", quiet=quiet):
        drawing = latents_figure(
            mammogram, maps, boxes=annotated, latents=shown, top=len(shown), source=line,
            subtitle=f"{len(shown)} latents, {name}", called=None if run is None else names_of(run).called,
        )  # fmt: skip
        settings = {
            "image": mammogram.image_id, "order": name, "latents": shown, "split": split, "boxes": boxes, **recipe
        }  # fmt: skip
        record = provenance("figure", settings, identity) | ({} if made is None else {"made_with": made})
        with write_results(beside(out, ".json"), record, out) as (picture,):
            save_figure(drawing, picture)
    silent = [latent for latent in shown if maps.row(latent) is None]
    if silent:
        caution((f"silent on this image: {len(silent)} of {len(shown)} latents (first: {silent[0]})",), quiet=quiet)
    say(f"wrote {out}", quiet=quiet)


def numbers_in(text: str) -> list[int]:
    """Return the numbers in a list such as `3,17`, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 3,17.", param_hint="--latents")
    return list(dict.fromkeys(map(int, parts)))

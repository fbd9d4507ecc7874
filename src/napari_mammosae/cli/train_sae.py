"""`train-sae`: a sparse autoencoder of one's own, on a model's features of one's own images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from ..core.base.text import counted
from ..core.training.settings import WEIGHTED, TrainKind, TrainPrecision
from . import options
from .console import check_results, progress, say, stoppable, usage, working

if TYPE_CHECKING:
    from ..core.training.results import FittedSAE

Number = TypeVar("Number", int, float)


def train_sae(
    images: options.Images,
    model: Annotated[str, typer.Option(metavar="M", help="A name or a model.toml; its SAE, if any, is not used.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="SAE",
            dir_okay=False,
            help="The .safetensors file to write. SAE.json is written next to it.",
        ),
    ],
    layer: options.Layer = None,
    kind: Annotated[TrainKind, typer.Option(help="What is trained.")] = "relu",
    labels: options.Labels = None,
    share: Annotated[float, typer.Option(metavar="P", help="Share of each image's cells to train on.")] = 1.0,
    skip_background: Annotated[
        bool, typer.Option("--skip-background", help="Do not train on cells that lie wholly in the background.")
    ] = False,
    hold_out: Annotated[float, typer.Option(metavar="P", help="Share of the patients held out to measure on.")] = 0.1,
    expansion: Annotated[int, typer.Option(metavar="N", min=1, help="Latents per feature of the layer.")] = 8,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Number of passes over the cells.")] = 200,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="R", help="Of Adam. Default: 3e-4, or 2e-4 / sqrt(latents / 16384).")
    ] = None,
    l1: Annotated[
        str | None,
        typer.Option(
            metavar="W,...",
            help="relu, gated: weight of the sparsity term; several make a file each. Default: 3e-5 or 1e-3.",
        ),
    ] = None,
    k: Annotated[
        str | None,
        typer.Option(
            "--k",
            "--l0",
            metavar="N,...",
            help="The other kinds: latents that fire at a cell; several make a file each. Default: 32.",
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="matryoshka: sizes of the groups, the most general first.")
    ] = None,
    scale_inputs: Annotated[
        bool | None,
        typer.Option(
            "--scale-inputs/--no-scale-inputs", help="Scale features for the training. Default: all kinds but relu."
        ),
    ] = None,
    cells: Annotated[int, typer.Option(metavar="N", min=1, help="Cells per training step.")] = 4096,
    resample_every: Annotated[
        int, typer.Option(metavar="N", min=0, help="Epochs after which dead latents are reset; 0 never resets.")
    ] = 10,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Random seed.")] = 0,
    workers: options.Workers = 1,
    device: options.Device = "auto",
    precision: Annotated[
        TrainPrecision, typer.Option(help="Of the training's products; weights and features are float32.")
    ] = "float32",
    engine: options.Engine = None,
    batch: options.Batch = 1,
    no_crop: options.NoCrop = False,
    figure: Annotated[Literal["png", "pdf", "svg"], typer.Option(help="Format of the figure of several.")] = "png",
    quiet: options.Quiet = False,
) -> None:
    """Train a sparse autoencoder on a model's features.

    relu is as published: L1, unit decoder columns, dead latents resampled. Features in half precision and checkpoints
    are kept in SAE.training until the weights are written; the same command resumes a training that was stopped.
    Reports explained variance, L0 and dead latents of held-out images and, with labels of the model's classes, AUROC
    without and with the SAE. Several settings with `--l1 1e-5,3e-5` or `--k 16,32` train in one pass; their files are
    NAME-l1-1e-05.safetensors, NAME-k-16.safetensors and so on, with a table and a figure of all, NAME-settings.
    """
    from ..core.base.errors import SettingsError

    with usage("--out"):
        if out.suffix != ".safetensors":
            raise SettingsError(f"{out.name} ends in {out.suffix!r}; an SAE is written as .safetensors.")
    with usage("--l1"):
        weights = None if l1 is None else _numbers(l1, float, "1e-5,3e-5")
    with usage("--k"):
        counts = None if k is None else _numbers(k, int, "16,32")
    with usage("--groups"):
        sizes = None if groups is None else tuple(_numbers(groups, int, "128,896", once=False))
    field, word = ("l1", "l1") if kind in WEIGHTED else ("k", "l0" if kind == "jumprelu" else "k")
    values = (weights if kind in WEIGHTED else counts) or [None]
    several = len(values) > 1
    outs = {end: out.with_stem(f"{out.stem}{end}") for end in _ends(word, values)}
    check_results(*outs.values())
    overview = [out.with_name(f"{out.stem}-settings.{end}") for end in ("json", "csv", figure)]
    if several:
        from ..core.base.provenance import check_replaceable

        check_replaceable(*overview)
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.loading import load_model
        from ..core.reports.training_figure import write_overview
        from ..core.training.fit import fit_saes
        from ..core.training.folder import TrainingFolder
        from ..core.training.results import finish_training
        from ..core.training.settings import SAETrainingSettings

        where: dict[str, Any] = {"layer": layer, "sae": "none"} if layer else {}
        network = load_model(model, device=device, engine=engine, **where)
    first = SAETrainingSettings(
        expansion, epochs, learning_rate, weights[0] if weights else None, cells, resample_every, seed, kind,
        counts[0] if counts else None, sizes, scale_inputs, precision,
    )  # fmt: skip
    changes: list[dict[str, Any]] = [{field: value} for value in values]
    settings = {end: replace(first, **change) for end, change in zip(outs, changes, strict=True)}
    folder = TrainingFolder.of(out)
    with stoppable(quiet=quiet) as stop, progress(quiet=quiet) as report:
        fitted = fit_saes(
            images, network, folder, settings, labels=labels or (), share=share, skip_background=skip_background,
            hold_out=hold_out, workers=workers, batch=batch, crop=not no_crop, progress=report, cancelled=stop,
        )  # fmt: skip
    chosen = {
        "images": images, "labels": labels, "share": share, "skip_background": skip_background, "hold_out": hold_out,
        "crop": not no_crop,
    }  # fmt: skip
    finish_training(folder, {outs[end]: one for end, one in fitted.items()}, network, chosen)
    for end, one in fitted.items():
        say(_summary(one), quiet=quiet)
        say(f"wrote {outs[end]}", quiet=quiet)
    if several:
        write_overview({outs[end].name: one for end, one in fitted.items()}, word, overview, chosen, network)
        for path in overview[1:]:
            say(f"wrote {path}", quiet=quiet)


def _ends(word: str, values: Sequence[float | None]) -> list[str]:
    """Return what tells the files of several settings apart."""
    return [f"-{word}-{value}" for value in values] if len(values) > 1 else [""]


def _numbers(text: str, kind: type[Number], example: str, *, once: bool = True) -> list[Number]:
    """Return the numbers in a list with commas, each once unless asked otherwise."""
    from ..core.base.errors import SettingsError

    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"{text!r} is not a number or several with commas, such as {example}.") from None
    return list(dict.fromkeys(found)) if once else found


def _summary(fitted: "FittedSAE") -> str:
    where = f"{fitted.held_out} held-out images" if fitted.held_out else "the cells it was trained on"
    lines = [f"{fitted.sae.n_latents} latents trained on {fitted.cells} cells of {counted(fitted.trained, 'image')}"]
    for what, stats in ((where, fitted.stats), (f"{where}, background left out", fitted.stats_inside)):
        lines.append(
            f"on {what}: explained variance {stats.explained_variance:.4f}, L0 {stats.l0:.1f} latents per cell, "
            f"{stats.dead_share:.1%} dead"
        )
    for name, one in fitted.fidelity.items():
        inside = fitted.fidelity_inside[name].auroc_sae
        lines.append(
            f"{name}: AUROC {one.auroc:.4f} without and {one.auroc_sae:.4f} with the SAE, {inside:.4f} with the "
            "background left as it is"
        )
    return "\n".join(lines + ([f"{counted(fitted.failed, 'image')} could not be used"] if fitted.failed else []))

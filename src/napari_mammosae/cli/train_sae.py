"""`train-sae`: a sparse autoencoder of one's own, on a model's features of one's own images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import check_results, progress, say, stoppable, usage, working

if TYPE_CHECKING:
    from ..core.training.results import FittedSAE


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
    labels: options.Labels = None,
    share: Annotated[float, typer.Option(metavar="P", help="Share of each image's cells to train on.")] = 1.0,
    hold_out: Annotated[float, typer.Option(metavar="P", help="Share of the patients held out to measure on.")] = 0.1,
    expansion: Annotated[int, typer.Option(metavar="N", min=1, help="Latents per feature of the layer.")] = 8,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Number of passes over the cells.")] = 200,
    learning_rate: Annotated[float, typer.Option(metavar="R", help="Of Adam.")] = 3e-4,
    l1: Annotated[
        str, typer.Option(metavar="W,...", help="Weight of the sparsity term; several make a file each.")
    ] = "3e-5",
    cells: Annotated[int, typer.Option(metavar="N", min=1, help="Cells per training step.")] = 4096,
    resample_every: Annotated[
        int, typer.Option(metavar="N", min=0, help="Epochs after which dead latents are reset; 0 never resets.")
    ] = 10,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Random seed.")] = 0,
    workers: options.Workers = 1,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    engine: options.Engine = None,
    batch: options.Batch = 1,
    no_crop: options.NoCrop = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a sparse autoencoder as published: ReLU, L1, unit decoder columns, dead latents resampled.

    Features in half precision and checkpoints are kept in SAE.training until the weights are written; the same command
    resumes a training that was stopped. Reports explained variance, L0 and dead latents
    of held-out images and, with labels of the model's classes, AUROC without and with the SAE. Several weights with
    `--l1 1e-5,3e-5` share the features; their files are NAME-l1-1e-05.safetensors and so on.
    """
    from ..core.base.errors import SettingsError

    with usage("--out"):
        if out.suffix != ".safetensors":
            raise SettingsError(f"{out.name} ends in {out.suffix!r}; an SAE is written as .safetensors.")
    with usage("--l1"):
        weights = _weights(l1)
    outs = [out] if len(weights) == 1 else [out.with_stem(f"{out.stem}-l1-{weight}") for weight in weights]
    check_results(*outs)
    with working(f"Loading {model}", quiet=quiet):
        from ..core.models.loading import load_model
        from ..core.training.fit import fit_saes
        from ..core.training.folder import TrainingFolder
        from ..core.training.results import finish_training
        from ..core.training.sae_training import SAETrainingSettings

        where: dict[str, Any] = {"layer": layer, "sae": "none"} if layer else {}
        network = load_model(model, device=device, precision=precision, engine=engine, **where)
    settings = {
        "" if len(weights) == 1 else f"-l1-{weight}": SAETrainingSettings(
            expansion, epochs, learning_rate, weight, cells, resample_every, seed
        )
        for weight in weights
    }
    folder = TrainingFolder.of(out)
    with stoppable(quiet=quiet) as stop, progress(quiet=quiet) as report:
        fitted = fit_saes(
            images, network, folder, settings, labels=labels or (), share=share, hold_out=hold_out,
            workers=workers, batch=batch, crop=not no_crop, progress=report, cancelled=stop,
        )  # fmt: skip
    chosen = {"images": images, "labels": labels, "share": share, "hold_out": hold_out, "crop": not no_crop}
    trained = zip(fitted.values(), settings.values(), strict=True)
    finish_training(folder, dict(zip(outs, trained, strict=True)), network, chosen)
    for path, one in zip(outs, fitted.values(), strict=True):
        say(_summary(one), quiet=quiet)
        say(f"wrote {path}", quiet=quiet)


def _weights(text: str) -> list[float]:
    """Return the weights in a list with commas, each once."""
    from ..core.base.errors import SettingsError

    try:
        return list(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise SettingsError(f"{text!r} is not a number or several with commas, such as 1e-5,3e-5.") from None


def _summary(fitted: "FittedSAE") -> str:
    stats = fitted.stats
    where = f"{fitted.held_out} held-out images" if fitted.held_out else "the cells it was trained on"
    lines = [
        f"{fitted.sae.n_latents} latents trained on {fitted.cells} cells of {fitted.trained} images",
        f"on {where}: explained variance {stats.explained_variance:.4f}, L0 {stats.l0:.1f} latents per cell, "
        f"{stats.dead_share:.1%} dead",
    ]
    lines += [
        f"{name}: AUROC {one.auroc:.4f} without and {one.auroc_sae:.4f} with the SAE"
        for name, one in fitted.fidelity.items()
    ]
    return "\n".join(lines + ([f"{fitted.failed} images could not be used"] if fitted.failed else []))

"""Options that several commands share, spelled once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.base.errors import ModelError
from ..core.base.names import slug
from ..core.models import choices
from ..core.runs.protocol import ProtocolName
from ..core.runs.sample import Unit as UnitName

if TYPE_CHECKING:
    from ..core.annotations.positives import Positive as PositiveValue


def _known_device(device: str | None) -> str | None:
    try:
        return None if device is None else choices.check_device(device)
    except ModelError as error:
        raise typer.BadParameter(f"{error}.") from None


def positive_of_label(given: list[str] | None, label: str) -> "PositiveValue | None":
    """Return what `--positive` says, a bare value being that of the label the command is about."""
    from ..core.annotations.positives import parse_positive
    from .console import usage

    with usage("--positive"):
        return parse_positive(given, slug(label))


def sae_recipe(sae: Path | None, given: list[str] | None, layer: str | None = None) -> dict[str, Any]:
    """Return the arguments of `load_model` that `--sae`, `--sae-option` and `--layer` stand for; only those given."""
    from ..core.models.sae.options import parse_options, settle_options

    try:
        options = settle_options(parse_options(given or ())).given()
    except ModelError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--sae-option") from None
    found = {"sae": sae, "sae_options": options, "layer": layer}
    return {name: value for name, value in found.items() if value}


def recipe_of_run(layer: str, given: dict[str, Any], device: str) -> dict[str, Any]:
    """Return what a run's model is loaded with besides its name: another SAE reads the layer that the run's does."""
    return ({"layer": layer} if "sae" in given else {}) | given | {"device": device}


EVERY = sys.maxsize
"""The number of latents that `--top all` stands for: more than any SAE has."""


def _top(given: str | int) -> int:
    if given == "all":
        return EVERY
    try:
        number = int(given)
    except ValueError:
        number = 0
    if number < 1:
        raise typer.BadParameter(f"{given!r} is not a whole number above zero, or 'all'.")
    return number


def _auto_number(given: str | int, *, least: int) -> int | None:
    if given == "auto":
        return None
    try:
        number = int(given)
    except ValueError:
        number = least - 1
    if number < least:
        raise typer.BadParameter(f"{given!r} is not auto or a whole number of {least} or more.")
    return number


def _auto_batch(given: str | int) -> int | None:
    return _auto_number(given, least=1)


def _auto_workers(given: str | int) -> int | None:
    return _auto_number(given, least=0)


def top_text(top: int) -> int | str:
    """Return what a record says of `--top`."""
    return "all" if top == EVERY else top


def parse_ks(given: str) -> list[int] | None:
    """Return the values of k that `--k` lists; None for all of them. SettingsError where they are no numbers."""
    from ..core.base.errors import SettingsError

    if given == "all":
        return None
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise SettingsError(
            f"--k takes whole numbers separated by commas, or 'all'; found {given!r} was given."
        ) from None


Top = Annotated[int, typer.Option("--top", metavar="N", parser=_top, help="Number of latents shown, or 'all'.")]
Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="A mammogram: DICOM, PNG, TIFF, JPEG or NPY.")]
Images = Annotated[
    str,
    typer.Argument(metavar="IMAGES", help="A folder, a data set's root, a glob in quotes, or a CSV with 'path'."),
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="M", help="A name from `models list`, or a model.toml that names files."),
]
Sae = Annotated[
    Path | None,
    typer.Option(
        "--sae",
        metavar="PATH",
        help="In place of the model's SAE: a file or folder of any known tool, or untrained, random or channels.",
    ),
]
SaeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sae-option", metavar="NAME=VALUE", help="What the SAE's file does not say, such as k=32. Repeat for more."
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        "--layer", metavar="LAYER", help="Layer that the SAE reads: head or blocks.N, as `models layers` lists them."
    ),
]
Contribution = Annotated[
    Literal["gradient", "integrated"] | None,
    typer.Option("--contribution", help="What latents add by gradient x activation, or by integrated gradients."),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", min=0, help="Number of images passed through the network; 0 for all. Default: 50."
    ),
]
RunImages = Annotated[
    Path | None,
    typer.Option(
        "--images", metavar="DIR", file_okay=False, exists=True, help="Where the run's images are, if not beside it."
    ),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for the results.")]
Boxes = Annotated[
    Path | None,
    typer.Option(
        "--boxes",
        metavar="CSV",
        help="Annotated boxes: image,finding,xmin,ymin,xmax,ymax, or a data set's CSV or root.",
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="D", callback=_known_device, help=f"{choices.DEVICE_WORDS}.")]
Precision = Annotated[
    choices.Precision, typer.Option("--precision", help="float32 is exact; on a GPU float16 is faster, to 0.3 %.")
]
Engine = Annotated[
    choices.AnyEngine | None,
    typer.Option("--engine", help="What computes features. Default: that of the model.toml, else auto."),
]
PreferredDevice = Annotated[
    str | None,
    typer.Option("--device", metavar="D", callback=_known_device, help=f"{choices.DEVICE_WORDS}. Default: preference."),
]
PreferredPrecision = Annotated[
    choices.Precision | None,
    typer.Option("--precision", help="float32 is exact; on a GPU float16 is faster, to 0.3 %. Default: preference."),
]
Batch = Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Number of images computed at once.")]
AutoBatch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        parser=_auto_batch,
        help="Number of images computed at once. auto: 1 on the CPU, up to 16 on a GPU.",
    ),
]
Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=0, help="Decoding processes; 0 decodes in the main process."),
]
AutoWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        parser=_auto_workers,
        help="Decoding processes; 0 decodes in the main process. auto: as many as the device needs.",
    ),
]
Compile = Annotated[
    Literal["auto", "on", "off"],
    typer.Option("--compile", help="Compile the network, a minute's work. auto: on a GPU, from 50,000 images on."),
]
Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        metavar="CSV",
        help="A VinDr CSV, or image plus one column a label. Repeat for more tables; earlier ones win.",
    ),
]
Positive = Annotated[
    list[str] | None,
    typer.Option(
        "--positive", metavar="VALUE", help="Value of the label that counts as positive. For several: LABEL=VALUE."
    ),
]
Uncertain = Annotated[
    Literal["unknown", "positive", "negative"],
    typer.Option("--uncertain", help="What uncertain labels count as: -1 among 0 and 1, or texts such as uncertain."),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="S", help="Rank and measure on the images of this split only.")
]
RankSplit = Annotated[
    str | None, typer.Option("--rank-split", metavar="S", help="Rank on the images of this split only.")
]
EvalSplit = Annotated[
    str | None, typer.Option("--eval-split", metavar="S", help="Measure on the images of this split only.")
]
Unit = Annotated[
    UnitName | None,
    typer.Option(
        "--unit",
        help="row: an image counts once for each finding row, as in the published protocol. Default: image.",
    ),
]
Protocol = Annotated[
    ProtocolName | None,
    typer.Option(
        "--protocol", help="paper: rank on training rows, measure on test rows, with the paper's order and k."
    ),
]
NoCrop = Annotated[
    bool, typer.Option("--no-crop", help="Use images as they are: already cropped and resized to the model's input.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")]

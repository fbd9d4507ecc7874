"""Options that several commands share, spelled once."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer


def _known_device(device: str | None) -> str | None:
    if device is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise typer.BadParameter(f"{device!r} is none of auto, cpu, cuda, cuda:N and mps.")
    return device


Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="A mammogram: DICOM, PNG, TIFF, JPEG or NPY.")]
Images = Annotated[
    str,
    typer.Argument(metavar="IMAGES", help="A folder, a glob in quotes, or a CSV with a column 'path'."),
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="M", help="A name from `models list`, or a model.toml that names files."),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for the results.")]
Boxes = Annotated[
    Path | None,
    typer.Option("--boxes", metavar="CSV", help="Annotated boxes: a VinDr CSV, or image,finding,xmin,ymin,xmax,ymax."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="D", callback=_known_device, help="auto, cpu, cuda, cuda:N or mps.")
]
Precision = Annotated[
    Literal["float32", "bfloat16"], typer.Option("--precision", help="float32 is exact, bfloat16 faster.")
]
PreferredDevice = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="D", callback=_known_device, help="auto, cpu, cuda, cuda:N or mps. Default: as preferred."
    ),
]
PreferredPrecision = Annotated[
    Literal["float32", "bfloat16"] | None,
    typer.Option("--precision", help="float32 is exact, bfloat16 faster. Default: as preferred."),
]
Batch = Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Images computed at a time.")]
AutoBatch = Annotated[
    int | None,
    typer.Option("--batch", metavar="N", min=1, help="Images computed at a time. Default: 1 on the CPU, 8 on a GPU."),
]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=0, help="Processes that decode images; 0: in this one.")
]
Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        metavar="CSV",
        help="A VinDr CSV, or image plus one column a label; may be given again, earlier tables win.",
    ),
]
NoCrop = Annotated[
    bool, typer.Option("--no-crop", help="Take images as already cropped and resized to the model's input.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")]

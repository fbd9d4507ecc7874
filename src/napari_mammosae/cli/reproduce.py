"""`reproduce`: the tables and figures of the Mammo-SAE paper, each number beside the published one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options
from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    from collections.abc import Sequence


def reproduce(
    vindr: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of VinDr-Mammo: its images and finding_annotations.csv.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder of the results. Unfinished work is resumed.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Published weights, as in `models add`. Default: those in `models list`."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="PART,...", help="Parts, such as table1,figure2. Default: all.")
    ] = None,
    rankings: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Published rankings. Then only test images are computed for most parts."),
    ] = None,
    pictures: Annotated[
        str | None, typer.Option("--images", metavar="ID,...", help="Test images for the heatmaps.")
    ] = None,
    top: options.Top = 10,
    k: Annotated[
        str | None,
        typer.Option(
            metavar="K,K,...",
            help="Numbers of best latents kept and zeroed, or 'all' (without intervals). Default: the paper's.",
        ),
    ] = None,
    workers: options.Workers = 1,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    engine: options.Engine = None,
    batch: options.AutoBatch = None,
    quiet: options.Quiet = False,
) -> None:
    """Make the paper's tables and figures from VinDr-Mammo and the published weights.

    The same command again resumes. results.md shows each number beside the paper's; reproduce.log keeps the progress.
    """
    with usage("--only"):
        from ..core.reports.reproduction.parts import parts_named

        parts = parts_named(only)
    with usage("--k"):
        ks: Sequence[int] | Literal["all"] = () if k is None else options.parse_ks(k) or "all"
    with working("Looking at the files", quiet=quiet):
        from ..core.reports.reproduction.make import Material, Reproduction
        from ..core.reports.reproduction.vindr import find_vindr

        images, labels, boxes = find_vindr(vindr)
    if weights is not None:
        from ..core.models.published.disk import add_from_disk

        with progress(quiet=quiet) as report:
            added = add_from_disk(weights, report)
        caution(added.notes, quiet=quiet)
    with progress(quiet=quiet) as report:
        page = Reproduction(
            Material(images, labels, boxes, rankings),
            parts,
            out,
            pictures=pictures.split(",") if pictures else (),
            how={"device": device, "precision": precision, "engine": engine},
            workers=workers,
            batch=batch,
            top=None if top == options.EVERY else top,
            ks=ks,
            say=lambda text: say(text, quiet=quiet),
            progress=report,
        ).make()
    say(f"open {page}", quiet=quiet)

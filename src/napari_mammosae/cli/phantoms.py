"""`phantoms`: synthetic mammograms with known truth, for trying things out."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import progress, say


def phantoms(
    folder: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder to write into.")],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many images.")],
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Number of the first image; the others follow it.")] = 0,
    marker_bias: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="P(view marker | mass) = 1 - P(marker | no mass).")
    ] = 0.5,
    hidden_nipples: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Share of the images whose nipple is out of profile.")
    ] = 0.0,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="N pairs for each of several things, with and without exactly that thing.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Synthetic phantoms: images, findings.csv, structures.csv, labels.csv and true masks in truth/.

    With --pairs: pairs.csv in place of the other tables.
    """
    from ..core.base.errors import SettingsError

    if pairs:
        from ..core.phantoms.pairs import write_pairs

        with progress(quiet=quiet) as report:
            drawn = write_pairs(folder, count, seed, progress=report)
        say(f"wrote {len(drawn.rows)} pairs of synthetic phantoms into {folder}", quiet=quiet)
        return

    numbered = {f"phantom-{seed + i:06d}" for i in range(count)}
    if others := sorted({path.stem for path in folder.glob("phantom-*.png")} - numbered):
        raise SettingsError(
            f"{folder.name} holds other synthetic phantoms ({len(others)}, first {others[0]}), which the new tables "
            "would not name; choose an empty folder"
        )
    with progress(quiet=quiet) as report:
        from ..core.phantoms.dataset import write_phantoms

        write_phantoms(
            folder, count, seed=seed, marker_bias=marker_bias, hidden_nipples=hidden_nipples, progress=report
        )
    say(f"wrote {count} synthetic phantoms into {folder}", quiet=quiet)

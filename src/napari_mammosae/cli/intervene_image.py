"""`intervene IMAGE`: the logits of one image as more and more of its latents are kept or removed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    import pandas as pd


def intervene_image(
    image: Path,
    model: str | None,
    recipe: dict[str, Any],
    *,
    called: str | None,
    contribution: Any,
    mode: Any,
    form: Any,
    ks: list[int] | None,
    crop: bool,
    csv: Path | None,
    quiet: bool,
) -> None:
    """Compute the curve, write the table, and say what came of it; see `intervene`."""
    if model is None:
        raise typer.BadParameter("name the model that looks at the image.", param_hint="'--model'")
    with working(f"Reading {image.name}", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.images.mammogram import read_mammogram
        from ..core.intervention.one_image import sweep_image
        from ..core.models.loading import load_model

        mammogram = read_mammogram(image, crop=crop)
    with working(f"Loading {model}", quiet=quiet):
        network = load_model(model, **recipe)
    with usage("--contribution"):
        if contribution is not None and network.linear:
            raise SettingsError(f"what latents of {network.name} add is exact; leave it out.")
    caution(network.notes, quiet=quiet)
    with progress(quiet=quiet) as report:
        curve = sweep_image(
            network, mammogram, called, contribution or "integrated",
            modes=("keep", "zero") if mode is None else (mode,), form=form, ks=ks, progress=report,
        )  # fmt: skip
    table = curve.table()
    if csv is not None:
        from ..core.base.provenance import write_table

        write_table(csv, table, curve.provenance)
    say("\n".join([*_lines(table, curve.logit), *curve.notes]), quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)


def _lines(table: "pd.DataFrame", name: str) -> list[str]:
    return [
        f"{row['mode']:>4}  k {row['k']:>6,}  logit {row[f'logit.{name}']:+.4f}"
        + ("" if row[f"probability.{name}"] != row[f"probability.{name}"] else f"  {row[f'probability.{name}']:.4f}")
        for _, row in table.iterrows()
    ]

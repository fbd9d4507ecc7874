"""Tables and figure of how stable the latents of several SAEs are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..base.figures import plain
from ..base.provenance import write_results
from ..base.tables.cells import write_csv
from ..comparison.saes import SAEComparison, names_of
from ..models.files.found_again import ENDING
from .intervention_figures import checked, save


def plot_stability(comparison: SAEComparison, path: Path | str) -> None:
    """Draw how similar matched latents are, a line a pair of SAEs, and in how many others latents are found again.

    Raises
    ------
    SettingsError
        If the suffix is none of PNG, PDF and SVG.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for pair in comparison.pairs.to_dict("records"):
        values = np.sort(comparison.tables[pair["first"]][f"similarity_{pair['second']}"])[::-1]
        shares = np.arange(1, len(values) + 1) / len(values)
        left.plot(shares, values, linewidth=1.2, label=plain(f"{pair['first']} / {pair['second']}"))
    settings = comparison.provenance["settings"]
    left.axhline(settings["least"], color="0.6", linewidth=0.8)
    left.set(xlabel="share of the latents", ylabel=f"similarity by {settings['by']}", ylim=(0, 1.02), xlim=(0, 1))
    others = len(comparison.tables) - 1
    width = 0.8 / len(comparison.tables)
    for number, (name, table) in enumerate(comparison.tables.items()):
        shares = np.bincount(table["found_again"], minlength=others + 1) / len(table)
        right.bar(np.arange(others + 1) + (number + 0.5) * width - 0.4, shares, width, label=plain(name))
    right.set(xlabel=f"found again in so many of {others} others", ylabel="share of the latents", ylim=(0, 1))
    right.set_xticks(range(others + 1))
    for axis in (left, right):
        if len(axis.get_legend_handles_labels()[0]) <= 10:
            axis.legend(fontsize="x-small")
    save(figure, path, f"{len(comparison.tables)} SAEs")


def stability_files(saes: Sequence[Path], folder: Path, figure: str = "png") -> list[Path]:
    """Return the record, the table of pairs, the figure, and a table for each SAE: all that is written."""
    tables = [folder / f"{name}{ENDING}" for name in names_of(saes)]
    return [folder / "stability.json", folder / "pairs.csv", folder / f"stability.{figure}", *tables]


def write_stability(comparison: SAEComparison, files: Sequence[Path]) -> None:
    """Write the files that `stability_files` names: all or none.

    Raises
    ------
    WriteError
        If they cannot be written.
    """
    note, *results = files
    with write_results(note, comparison.provenance, *results) as (pairs, picture, *tables):
        write_csv(pairs, comparison.pairs)
        plot_stability(comparison, picture)
        for path, table in zip(tables, comparison.tables.values(), strict=True):
            write_csv(path, table)

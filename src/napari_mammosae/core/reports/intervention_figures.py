"""The figure of an intervention: a measure over k, kept on the left and zeroed on the right (Mammo-SAE Figure 2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import SettingsError
from ..base.figures import PRINT, measure_title, plain
from ..base.files import write_atomic
from ..base.provenance import NOTICE
from ..intervention.plots import draw_curve, draw_effects, draw_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


TITLES = {"keep": "Top-k kept", "zero": "Top-k zeroed", "scale": "Top-k scaled"}
SUFFIXES = (".png", ".pdf", ".svg")


def plot_curves(
    tables: dict[str, pd.DataFrame],
    path: Path | str,
    *,
    measure: str = "auroc",
    provenance: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Draw one curve a name and mode, with its interval as a band, and write PNG, PDF or SVG by the path's suffix.

    Parameters
    ----------
    tables
        By what the legend should say: tables with the columns `mode`, `k`, the measure, and its `_lo` and `_hi` where
        there are intervals, as `curve_table` gives them.
    path
        File to write.
    measure
        Column to draw.
    provenance
        One line under the figure: model, SAE, run, order, form.
    notes
        What a person should know about the curves, written above them.

    Raises
    ------
    SettingsError
        If the suffix is none of the three, or the measure is in no table.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    modes = list(dict.fromkeys(mode for table in tables.values() for mode in table["mode"]))
    if not modes or any(measure not in table for table in tables.values()):
        raise SettingsError(f"there is no measure {measure!r} to draw.")
    figure = Figure(figsize=(4.6 * len(modes), 3.8), layout="constrained")
    axes = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        for name, table in tables.items():
            draw_curve(axis, table[table["mode"] == mode], measure, name)
        axis.set_title(TITLES.get(mode, mode))
    axes[0].set_ylabel(measure_title(measure))
    axes[-1].legend(fontsize="small")
    draw_notes(axes[0], notes)
    save(figure, path, provenance)


def checked(path: Path | str) -> Path:
    """Return the path of a figure; SettingsError unless it ends in .png, .pdf or .svg."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path.name}: figures are written as {', '.join(SUFFIXES)}.")
    return path


def save(figure: Any, path: Path, provenance: str = "") -> None:
    """Write a figure whole or not at all, with a line of provenance below."""
    from matplotlib import rc_context

    figure.supxlabel(plain(" | ".join(filter(None, (provenance, NOTICE)))), fontsize=6, color="0.4", x=0.01, ha="left")
    # no date in the file: the same numbers give the same bytes
    dated = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with write_atomic(path) as temporary, rc_context({**PRINT, "svg.hashsalt": path.name}):
        figure.savefig(temporary, metadata=dated[path.suffix.lower()])


def plot_effects(
    effects: dict[str, pd.DataFrame], path: Path | str, *, measure: str = "auroc", provenance: str = ""
) -> None:
    """Draw a measure before and after an edit, one pair of points a set of images, and write PNG, PDF or SVG.

    Parameters
    ----------
    effects
        By what to call the images: tables as `effect` gives them.
    path, measure, provenance
        File to write, row to draw, and a line below it.

    Raises
    ------
    SettingsError
        If the suffix is none of the three.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    figure = Figure(figsize=(1.6 + 2.2 * len(effects), 3.8), layout="constrained")
    axis = figure.subplots()
    draw_effects(axis, effects, measure)
    save(figure, path, provenance)

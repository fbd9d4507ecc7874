"""The figure of one edit over images: measures before and after, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .reports.intervention_figures import checked, save

if TYPE_CHECKING:
    import pandas as pd


def plot_effects(
    effects: "dict[str, pd.DataFrame]", path: Path | str, *, measure: str = "auroc", provenance: str = ""
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
    for shift, side in ((-0.12, "before"), (0.12, "after")):
        rows = [table[table["measure"] == measure].iloc[0] for table in effects.values()]
        values = np.array([row[side] for row in rows], dtype=np.float64)
        ends = np.array([[row[f"{side}_{end}"] for row in rows] for end in ("lo", "hi")], dtype=np.float64)
        reach = np.nan_to_num(np.maximum(np.abs(ends - values), 0.0))
        axis.errorbar(np.arange(values.size) + shift, values, yerr=reach, fmt="o", capsize=4, label=side)
    axis.set_xticks(range(len(effects)), list(effects))
    axis.set_xlim(-0.5, len(effects) - 0.5)
    axis.set_ylabel(measure.upper() if measure in ("auroc", "auprc") else measure.replace("_", " "))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize="small")
    save(figure, path, provenance)

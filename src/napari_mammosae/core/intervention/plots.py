"""Interventions drawn on axes: a measure over k, and a measure before and after an edit."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..base.figures import in_legend, measure_title, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw_curve(axis: "Axes", table: "pd.DataFrame", measure: str, name: str) -> None:
    """Draw a measure over k, with its interval as a band where the table has one; k on a logarithmic axis."""
    rows = table.sort_values("k")
    (line,) = axis.plot(rows["k"], rows[measure], marker=".", label=in_legend(name))
    if f"{measure}_lo" in rows:
        ends = rows[f"{measure}_lo"].to_numpy(), rows[f"{measure}_hi"].to_numpy()
        if np.isfinite(ends[0]).any():
            axis.fill_between(rows["k"], *ends, alpha=0.2, color=line.get_color(), linewidth=0)
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=0)
    axis.set_xlabel("k, latents per class")
    axis.grid(alpha=0.3)


def draw_notes(axis: "Axes", notes: Sequence[str]) -> None:
    """Write what a person should know about the curves above them."""
    if notes:
        text = textwrap.fill(plain("Note: " + "; ".join(notes)), 60)
        axis.text(0.0, 1.12, text, transform=axis.transAxes, fontsize=7, color="firebrick", va="bottom")


def draw_effects(axis: "Axes", effects: Mapping[str, "pd.DataFrame"], measure: str) -> None:
    """Draw a measure before and after an edit with its intervals, one pair of points a set of images."""
    for shift, side in ((-0.12, "before"), (0.12, "after")):
        rows = [table[table["measure"] == measure].iloc[0] for table in effects.values()]
        values = np.array([row[side] for row in rows], dtype=np.float64)
        ends = np.array([[row[f"{side}_{end}"] for row in rows] for end in ("lo", "hi")], dtype=np.float64)
        reach = np.nan_to_num(np.maximum(np.abs(ends - values), 0.0))
        axis.errorbar(np.arange(values.size) + shift, values, yerr=reach, fmt="o", capsize=4, label=side)
    axis.set_xticks(range(len(effects)), [plain(name) for name in effects])
    axis.set_xlim(-0.5, len(effects) - 0.5)
    axis.set_ylabel(measure_title(measure))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize="small")

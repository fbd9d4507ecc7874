"""Axes to draw on, for the methods and functions that return them and write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PRINT: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "figure.dpi": 150.0,
    "savefig.dpi": 300.0,
    "pdf.fonttype": 42,  # letters stay letters, also for those who set the page
    "svg.fonttype": "none",
}
"""matplotlib's settings for a figure that is printed as large as it is made: letters of 7 points, 300 dots an inch."""


def axes_or_new(ax: Axes | None = None, size: tuple[float, float] = (5.0, 3.8)) -> Axes:
    """Return the axes given, else those of a new figure of `size` inches, as notebooks show it."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def plain(text: str) -> str:
    """Return a text from a file so that matplotlib draws it as it is: a pair of dollars would enclose a formula."""
    return text.replace("$", r"\$")


def in_legend(text: str) -> str:
    """Return a text from a file for a legend, which would leave out names that begin with an underscore."""
    return f"\u200b{plain(text)}" if text.startswith("_") else plain(text)


def measure_title(name: str) -> str:
    """Return what an axis says of a measure: ``auroc`` becomes ``AUROC``, ``mean_iou`` becomes ``mean iou``."""
    return name.upper() if name in ("auroc", "auprc") else name.replace("_", " ")

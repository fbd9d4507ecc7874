"""Axes to draw on, for the methods and functions that return them and write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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

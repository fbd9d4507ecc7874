"""Figures of two models under one SAE: mean latent vectors by class (Mammo-SAE Figures 4 and 5), and predictions."""

from pathlib import Path

import numpy as np

from ..base.figures import plain
from ..base.provenance import write_results
from ..base.tables.cells import write_csv
from ..comparison.models import ModelComparison
from ..runs.run import Run
from .intervention_figures import checked, save

NAMED = 3  # latents whose number is written beside their mean


def plot_class_means(comparison: ModelComparison, path: Path | str, *, provenance: str = "") -> None:
    """Draw the mean activation of every latent, one panel a model and a colour a class, and write PNG, PDF or SVG.

    The latents that differ most between the class and the rest are named.

    Raises
    ------
    SettingsError
        If the suffix is none of the three.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, side in zip(axes, (comparison.a, comparison.b), strict=True):
        rest, own = side.statistics.rest(comparison.label).means
        latents = np.arange(own.size)
        for means, name, colour in ((rest, "rest", "tab:blue"), (own, f"class {comparison.label}", "tab:red")):
            axis.vlines(latents, 0, means, color=colour, linewidth=0.8, alpha=0.6, label=name)
        for latent in np.argsort(-np.abs(own - rest), kind="stable")[:NAMED]:
            top = max(own[latent], rest[latent])
            axis.annotate(str(latent), (latent, top), ha="center", va="bottom", fontsize=7)
        axis.set(title=plain(side.name), xlabel="latent", xlim=(0, own.size))
        axis.margins(y=0.1)
    axes[0].set_ylabel("mean activation")
    axes[-1].legend(fontsize="small")
    save(figure, path, provenance)


def plot_performance(comparison: ModelComparison, path: Path | str, *, provenance: str = "") -> None:
    """Draw each model's AUROC (accuracy for several classes) without and with the SAE, with intervals.

    Raises
    ------
    SettingsError
        If the suffix is none of PNG, PDF and SVG.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    table = comparison.performance
    measure = "auroc" if "auroc" in table else "accuracy"
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    axis = figure.subplots()
    models = list(dict.fromkeys(table["model"])) if len(table) else []
    for shift, (kind, rows) in enumerate(table.groupby("prediction", sort=False) if len(table) else ()):
        places = np.array([models.index(name) for name in rows["model"]]) + 0.1 * (2 * shift - 1)
        values = rows[measure].to_numpy()
        reach = np.nan_to_num([values - rows[f"{measure}_lo"], rows[f"{measure}_hi"] - values])
        axis.errorbar(places, values, yerr=np.maximum(reach, 0), fmt="o", capsize=3, label=str(kind))
    axis.set_xticks(range(len(models)), [plain(str(name)) for name in models])
    axis.set(ylabel=measure.upper() if measure == "auroc" else measure, xlim=(-0.5, max(len(models), 1) - 0.5))
    if models:
        axis.legend(fontsize="small")
    save(figure, path, provenance)


def write_comparison(
    comparison: ModelComparison, folder: Path, runs: tuple[Run, Run], label: str, *, figure: str = "png"
) -> list[Path]:
    """Write `latents.csv`, `separation.csv`, `performance.csv`, the two figures and `comparison.json`: all or none."""
    tables, plots = ("latents", "separation", "performance"), (plot_class_means, plot_performance)
    sae = runs[0].info["sae_sha256"]
    line = f"{label}, class {comparison.label} | SAE {sae[:8]}"
    record = dict(comparison.provenance) | {"notes": list(comparison.notes)}
    record["runs"] = [
        {"images": side.pool.mean.shape[0]} | run
        for side, run in zip((comparison.a, comparison.b), record["runs"], strict=True)
    ]
    *results, note = comparison_files(folder, figure)
    with write_results(note, record, *results) as files:
        for name, path in zip(tables, files, strict=False):
            write_csv(path, getattr(comparison, name))
        for plot, path in zip(plots, files[len(tables) :], strict=True):
            plot(comparison, path, provenance=line)
    return [*results, note]


def comparison_files(folder: Path, figure: str = "png") -> list[Path]:
    """Return the files that `write_comparison` writes, their record last."""
    figures = (f"class_means.{figure}", f"performance.{figure}")
    return [folder / name for name in ("latents.csv", "separation.csv", "performance.csv", *figures, "comparison.json")]

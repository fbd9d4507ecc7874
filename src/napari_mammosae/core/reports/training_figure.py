"""Several settings of one training side by side: sparsity against what is kept of the features and the prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.figures import plain
from ..base.provenance import provenance, write_results
from ..base.tables.cells import write_csv
from ..training.results import FittedSAE
from .intervention_figures import checked, save

if TYPE_CHECKING:
    import pandas as pd

    from ..models.model import MammoSAE


def overview(trained: Mapping[str, FittedSAE], setting: str) -> "pd.DataFrame":
    """Return a table, a row an SAE: its setting, sparsity, and what it keeps, with and without background cells.

    Parameters
    ----------
    trained
        By file name.
    setting
        In what they differ: "l1", "k" or "l0".
    """
    import pandas as pd

    rows = []
    for name, one in trained.items():
        row: dict[str, Any] = {"sae": name, setting: one.settings.l1 if setting == "l1" else one.settings.k}
        for end, stats, prediction in (
            ("", one.stats, one.fidelity),
            ("_without_background", one.stats_inside, one.fidelity_inside),
        ):
            row |= {f"l0_measured{end}": stats.l0, f"explained_variance{end}": stats.explained_variance}
            row |= {f"dead_share{end}": stats.dead_share}
            for label, kept in prediction.items():
                row |= {f"auroc_{label}": kept.auroc, f"auroc_sae_{label}{end}": kept.auroc_sae}
        rows.append(row)
    return pd.DataFrame(rows)


def plot_overview(table: "pd.DataFrame", setting: str, path: Path | str, *, provenance: str = "") -> None:
    """Draw L0 against explained variance and against AUROC kept, a point an SAE, and write PNG, PDF or SVG.

    AUROC kept is that with the SAE divided by that without.

    Raises
    ------
    SettingsError
        If the suffix is none of the three.
    """
    from matplotlib.figure import Figure

    path = checked(path)
    names = [str(name).removeprefix("auroc_") for name in table]
    labels = [name for name in names if f"auroc_sae_{name}" in table]
    figure = Figure(figsize=(8.4 if labels else 4.4, 3.6), layout="constrained")
    axes = figure.subplots(1, 2 if labels else 1, squeeze=False)[0]
    table = table.sort_values("l0_measured")
    for end, name, style in (("", "all cells", "o-"), ("_without_background", "background left out", "s--")):
        axes[0].plot(table[f"l0_measured{end}"], table[f"explained_variance{end}"], style, label=name)
    for x, y, value in zip(table["l0_measured"], table["explained_variance"], table[setting], strict=True):
        axes[0].annotate(f"{value:g}", (x, y), xytext=(0, 6), ha="center", textcoords="offset points", fontsize=7)
    axes[0].set(xlabel="L0: latents per cell", ylabel="explained variance", title=f"{setting} written at each point")
    axes[0].margins(0.12)
    for label in labels:
        kept = table[f"auroc_sae_{label}"] / table[f"auroc_{label}"]
        axes[1].plot(table["l0_measured"], kept, "o-", label=plain(label))
    if labels:
        axes[1].axhline(1, color="0.6", linewidth=0.8)
        axes[1].set(xlabel="L0: latents per cell", ylabel="AUROC kept", title="with the SAE / without")
    for axis in axes:
        axis.legend(fontsize="small")
    save(figure, path, provenance)


def write_overview(
    trained: Mapping[str, FittedSAE], setting: str, files: Sequence[Path], chosen: Mapping[str, Any], model: "MammoSAE"
) -> None:
    """Write the table and the figure of several settings, with their record: all or none.

    Parameters
    ----------
    trained, setting
        As for `overview`.
    files
        Of the record (JSON), the table (CSV) and the figure.
    chosen, model
        What the training was asked for, and the model whose features it used.

    Raises
    ------
    WriteError
        If the files cannot be written.
    """
    note, csv, picture = files
    table = overview(trained, setting)
    record = provenance("train-sae", {**chosen, setting: list(table[setting])}, model)
    record["model"].pop("sae_sha256")
    with write_results(note, record, csv, picture) as (csv_part, picture_part):
        write_csv(csv_part, table)
        plot_overview(table, setting, picture_part, provenance=f"{model.name}, layer {model.layer}")

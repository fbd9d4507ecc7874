"""`compare`: two models under one SAE, latent by latent and prediction by prediction."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.base.text import counted
from . import options
from .console import caution, say, usage, working


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Run of the first model, such as the pretrained one.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Run of the second model, made with the same SAE.")],
    label: Annotated[str, typer.Option(metavar="L", help="Label that both runs share.")],
    out: options.OutFolder,
    category: Annotated[
        str | None,
        typer.Option("--class", metavar="C", help="Class set against the rest, number or name. Default: 1, present."),
    ] = None,
    positive: options.Positive = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="O",
            help="Order of latents.csv: a score of `rank` in the second model, or published:DIR. "
            "Default: those that change most first.",
        ),
    ] = None,
    split: options.Split = None,
    rank_split: options.RankSplit = None,
    eval_split: options.EvalSplit = None,
    unit: options.Unit = None,
    protocol: options.Protocol = None,
    figure: Annotated[Literal["png", "pdf", "svg"], typer.Option(help="Format of the figures.")] = "png",
    quiet: options.Quiet = False,
) -> None:
    """Compare two models that read images through one SAE.

    Writes latents.csv (mean activation by class, AUROC, gained and lost latents), separation.csv, performance.csv
    (measures without and with the SAE, with intervals), class_means.png, performance.png and comparison.json.
    """
    with working("Opening the runs", quiet=quiet):
        from ..core.base.provenance import check_replaceable
        from ..core.comparison import runs as compared
        from ..core.ranking.files import check_order
        from ..core.reports.comparison_figures import comparison_files, write_comparison
        from ..core.runs.opening import open_run
        from ..core.runs.protocol import choose

        with usage("--order"):
            if order is not None:
                check_order(order)
        over = choose(protocol, split=split, rank_split=rank_split, eval_split=eval_split, unit=unit, order=order)
        *results, note = comparison_files(out, figure)
        check_replaceable(note, *results)
        value = options.positive_of_label(positive, label)
        runs = open_run(first, positive=value), open_run(second, positive=value)
    with working("Comparing", quiet=quiet):
        comparison = compared.compare(
            *runs, label, category, rank_split=over.rank_split, eval_split=over.eval_split, unit=over.unit,
            order=over.order,
        )  # fmt: skip
        comparison.provenance["settings"]["protocol"] = protocol
    caution(comparison.notes, quiet=quiet)
    with working("Writing", quiet=quiet):
        written = write_comparison(comparison, out, runs, label, figure=figure)
    for apart in comparison.separation.to_dict("records"):
        say(f"{apart['model']}: {apart['live']} live latents, relative distance {apart['relative']:.3f}", quiet=quiet)
    measure = "auroc" if "auroc" in comparison.performance else "accuracy"
    for row in comparison.performance.to_dict("records"):
        ends = f" [{row[f'{measure}_lo']:.4f}, {row[f'{measure}_hi']:.4f}]" if not row["note"] else f" ({row['note']})"
        name = measure.upper() if measure == "auroc" else measure
        say(f"{row['model']}, {row['prediction']}: {name} {row[measure]:.4f}{ends}", quiet=quiet)
    counts = comparison.latents["state"].value_counts()
    say(f"{counted(counts.get('gained', 0), 'latent')} gained, {counts.get('lost', 0)} lost", quiet=quiet)
    for path in written:
        say(f"wrote {path}", quiet=quiet)

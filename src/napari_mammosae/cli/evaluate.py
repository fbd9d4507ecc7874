"""`evaluate`: what the latents of a run stand for, against chance and what is there without an SAE."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options
from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    from ..core.naming.result import ConceptEvaluation


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    labels: options.Labels = None,
    pool: Annotated[
        str, typer.Option(metavar="P", help="How a map becomes one number an image: mean, max, or both.")
    ] = "mean,max",
    permutations: Annotated[
        int, typer.Option(metavar="N", min=20, help="Number of permutations that chance is drawn from.")
    ] = 200,
    permute_by: Annotated[
        Literal["patient", "image"],
        typer.Option(help="What a permutation moves; image is wrong where patients have several images."),
    ] = "patient",
    split: Annotated[str | None, typer.Option("--split", metavar="S", help="Only images of this split.")] = None,
    confounder: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Label that says nothing of the breast. Repeat for more."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The run's model, for the report of shortcuts.")
    ] = None,
    untrained: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run over the same images with an untrained SAE.")
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run of another model; says which images look alike.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pairs made by `phantoms --pairs`: which latents react to one thing alone."),
    ] = None,
    intervals: Annotated[bool, typer.Option(help="95 % intervals of AUROCs by patient.")] = True,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Random seed of the permutations.")] = 0,
    top: options.Top = 10,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for the report. Default: RUN/concepts."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Measure which labels each latent goes with, beside raw channels, an untrained SAE and PCA.

    Writes concepts.html, which needs no other file, the tables as CSV, and evaluation.json.
    """
    from ..core.reports.concepts import check_report, report_folder, write_report

    folder = report_folder(run) if out is None else out
    check_report(folder)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.naming.of_run import evaluate as evaluate_run
        from ..core.naming.units import POOLS
        from ..core.runs.opening import open_run

        with usage("--pool"):
            pools = [name for name in POOLS if name in {word.strip() for word in pool.split(",")}]
            if not pools or {word.strip() for word in pool.split(",")} - set(POOLS):
                raise SettingsError(f"{pool!r} is not a pooling; choose mean, max or mean,max.")
        opened = open_run(run)
        others = [None if path is None else open_run(path) for path in (untrained, embeddings)]
    with progress(quiet=quiet) as report:
        found = evaluate_run(
            opened, labels, pools=pools, permutations=permutations, permute_by=permute_by, split=split,
            confounders=confounder or (), model=model, untrained=others[0], embeddings=others[1], intervals=intervals,
            seed=seed, pairs=pairs, pair_runs=folder, progress=report,
        )  # fmt: skip
    page = write_report(folder, found)
    caution(found.notes, quiet=quiet)
    say(_summary(found, top), quiet=quiet)
    say(f"wrote {page} and its tables", quiet=quiet)


def _summary(found: "ConceptEvaluation", top: int) -> str:
    of = found.latents
    lines = [
        f"{int(of.accepted.sum())} of {len(of.firing)} live latents accepted: |r| beyond {of.threshold:.3f}",
        f"{'latent':>7} {'r':>7} {'auroc':>7}  concept",
    ]
    for row in found.table().query("accepted").head(top).to_dict("records"):
        badge = " (confounder)" if row["confounder"] else ""
        lines.append(f"{row['latent']:>7} {row['r']:>7.3f} {row['auroc']:>7.4f}  {row['concept']}{badge}")
    if found.pairs is not None:
        answering = found.pairs.groupby("units", sort=False)["answering"].sum()
        lines += [
            f"pairs: {count} latents of the {name} answer to one thing alone" for name, count in answering.items()
        ]
    if found.shortcuts is not None:
        count = found.shortcuts["latent"].dropna().nunique()
        lines.append(f"shortcuts: {count} latents go with a confounder and push a prediction")
    left = ", ".join(f"{what} ({why})" for what, why in of.concepts.left_out.items())
    return "\n".join([*lines, *([f"labels left out: {left}"] if left else []), found.basis])

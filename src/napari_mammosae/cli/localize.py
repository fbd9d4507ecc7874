"""`localize`: how well every latent of a run localises the annotated findings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options
from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..core.localization.over_run import RunBoxes
    from ..core.reports.paper_table import PaperRow
    from ..core.runs.run import Run


def localize(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run made with --maps.")],
    boxes: Annotated[
        Path, typer.Option(metavar="CSV", help="Annotated boxes: a VinDr CSV, a plain CSV, or COCO JSON.")
    ],
    threshold: Annotated[
        str, typer.Option(metavar="T", help="quantile:Q, relative:F of the maximum, or absolute:V.")
    ] = "quantile:0.95",
    iou: Annotated[float, typer.Option(metavar="X", help="Smallest IoU of a true positive.")] = 0.25,
    confidence: Annotated[
        Literal["maximum", "mean", "energy"],
        typer.Option(help="Value inside a found box's region that ranks the boxes."),
    ] = "maximum",
    min_area: Annotated[
        float, typer.Option(metavar="A", min=0, help="Smallest height x width of a found box, in input pixels.")
    ] = 10.0,
    images: Annotated[
        Literal["finding", "all"],
        typer.Option(help="Images with the finding, as in the published table, or all annotated images."),
    ] = "finding",
    finding: Annotated[
        list[str] | None,
        typer.Option(metavar="F", help="Only this finding. Can be repeated. Default: all findings with boxes."),
    ] = None,
    order: Annotated[
        Literal["diff", "ap"],
        typer.Option(
            help="Latents in the short table: the first in the ranking by class, or those with the highest AP."
        ),
    ] = "diff",
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Number of latents in the short table.")] = 10,
    resamples: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Number of bootstrap resamples by patient; 0 leaves the intervals out."),
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Random seed of the bootstrap.")] = 0,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", dir_okay=False, help="Table of every latent. OUT.json and OUT.md are written next to it."
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Average precision, pointing game, energy, lift ... of every latent, for every finding.

    Prints the average precision of the first latents as a Markdown table laid out like Table 2 of the Mammo-SAE paper.
    """
    if csv is not None:
        from ..core.base.provenance import check_replaceable

        path, note, short = _written(csv)
        check_replaceable(note, path, short)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.datasets.find import read_boxes
        from ..core.localization import over_run
        from ..core.localization.evaluation import LocalizationSettings
        from ..core.localization.thresholds import Threshold
        from ..core.reports.paper_table import paper_table
        from ..core.runs.run import open_run

        with usage("--threshold"):
            cut = Threshold.parse(threshold)
        with usage("--iou"):
            LocalizationSettings(cut, iou)
        opened = open_run(run)
        annotated = over_run.boxes_of_run(opened, read_boxes(boxes))
    caution(annotated.notes, quiet=quiet)
    with progress(quiet=quiet) as report:
        table = over_run.localize(
            opened, annotated, threshold=cut, iou=iou, confidence=confidence, min_area=min_area, images=images,
            finding=finding, resamples=resamples, seed=seed, progress=report,
        )  # fmt: skip
    lines, caption = _short_table(opened, annotated, table, order, top)
    text = f"{paper_table(lines)}\n{caption} at IoU {iou:g}, threshold {cut}, {_basis(images)}.\n"
    if csv is not None:
        record = table.attrs["provenance"]
        record["settings"] |= {"order": order, "top": top}
        _write(csv, table, text, record)
    say(text.rstrip(), quiet=quiet)
    for path in _written(csv) if csv is not None else ():
        say(f"wrote {path}", quiet=quiet)


def _short_table(
    run: "Run", boxes: "RunBoxes", table: "pd.DataFrame", order: str, top: int
) -> tuple[list["PaperRow"], str]:
    """Lines of the Markdown table, and what they show."""
    from ..core.base.errors import SettingsError
    from ..core.ranking.orders import Ranking
    from ..core.ranking.scores import LabelledPool, score_latents
    from ..core.reports.paper_table import paper_row

    lines, unranked = [], []
    for name in table["finding"].unique():
        ranking = None
        if order == "diff":
            try:
                pool = LabelledPool(run.pooled("mean"), _labels(run, boxes, name))
                ranking = Ranking.of(score_latents(pool, "diff")).order
            except SettingsError:  # every image has the finding, or none
                unranked.append(name)
        lines.append(paper_row(table, name, str(run.info["model"]), ranking, top=top))
    ranked = "latents by their mean activation with the finding minus that without,"
    caption = f"Average precision, {ranked}" if order == "diff" else "Average precision, the highest first,"
    if unranked:
        caption += f" (the highest first for {', '.join(unranked)}: images with and without it are needed to rank)"
    return lines, caption


def _labels(run: "Run", boxes: "RunBoxes", finding: str) -> "NDArray[np.float64]":
    """Which images have a finding, NaN where unknown: the run's own label, else whether it is boxed."""
    import numpy as np

    if finding in run.labels:
        return run.label(finding)
    drawn = boxes.table.loc[boxes.table["finding"] == finding, "image"]
    return np.where(boxes.named, np.isin(run.numbers, drawn).astype(np.float64), np.nan)


def _basis(images: str) -> str:
    return "images with the finding" if images == "finding" else "all annotated images"


def _write(csv: Path, table: "pd.DataFrame", text: str, record: dict[str, object]) -> None:
    from ..core.base.cells import write_csv
    from ..core.base.provenance import write_results

    path, note, short_path = _written(csv)
    with write_results(note, record, path, short_path) as (rows, short):
        write_csv(rows, table)
        short.write_text(text + "\nResearch use only, not for diagnosis.\n", encoding="utf-8")


def _written(csv: Path) -> tuple[Path, Path, Path]:
    from ..core.base.provenance import beside

    return csv, beside(csv, ".json"), beside(csv, ".md")

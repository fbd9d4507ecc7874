"""`localize`: how well every latent of a run localises the annotated findings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core.runs.protocol import Protocol, choose
from ..core.runs.sample import Unit
from . import options, prompting
from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    import pandas as pd

    from ..core.annotations.positives import Positive
    from ..core.localization.run_boxes import RunBoxes
    from ..core.ranking.orders import Ranking
    from ..core.reports.paper_table import PaperRow
    from ..core.runs.run import Run
    from ..core.runs.sample import Used


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
    category: Annotated[
        Literal["0", "1"], typer.Option("--class", help="Rank the latents for the finding (1) or its absence (0).")
    ] = "1",
    positive: options.Positive = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="O",
            help="Order of the short table: a score of `rank`, published:DIR, or ap, the highest first. Default: diff.",
        ),
    ] = None,
    prompt: prompting.Prompt = None,
    logit: Annotated[
        str | None, typer.Option(metavar="C", help="Order by what latents add to the logit of this class of the model.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="M", help="With --prompt or --logit: the model of the run, if its name is not listed."),
    ] = None,
    tower: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    approximate: prompting.Approximate = False,
    split: options.Split = None,
    rank_split: options.RankSplit = None,
    eval_split: options.EvalSplit = None,
    unit: Annotated[
        Unit | None,
        typer.Option(help="row: to rank, an image counts once for each finding row. Default: image."),
    ] = None,
    protocol: options.Protocol = None,
    top: options.Top = 10,
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
    With --prompt or --logit, those that add most to the logit of a text or class, on average over the images, come
    first. What pushes the logit of a prompt up in each cell is measured as one more map: OUT.prompt.csv.
    """
    if csv is not None:
        from ..core.base.provenance import check_replaceable

        note, *results = _written(csv, prompt)
        check_replaceable(note, *results)
    if len([one for one in (order, prompt, logit) if one is not None]) > 1:
        hint = "'--prompt'" if prompt is not None else "'--logit'"
        raise typer.BadParameter("of --order, --prompt and --logit give one.", param_hint=hint)
    over = choose(protocol, split=split, rank_split=rank_split, eval_split=eval_split, unit=unit, order=order)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.datasets.find import read_boxes
        from ..core.localization import over_run
        from ..core.localization.evaluation import LocalizationSettings
        from ..core.localization.run_boxes import boxes_of_run
        from ..core.localization.thresholds import Threshold
        from ..core.ranking.files import check_order
        from ..core.ranking.of_run import rank
        from ..core.ranking.orders import Ranking
        from ..core.reports.paper_table import paper_table
        from ..core.runs.making.model_spec import model_of_run
        from ..core.runs.opening import open_run

        with usage("--threshold"):
            cut = Threshold.parse(threshold)
        with usage("--iou"):
            LocalizationSettings(cut, iou)
        with usage("--order"):
            check_order(over.order or "diff", "ap")
        opened = open_run(run, positive=_positive(positive, finding))
        annotated = boxes_of_run(opened, read_boxes(boxes))
        order = over.order or "diff"
        given = prompting.text_recipe(prompt, tower, vocab)
        if prompt is None and logit is None:
            rankings = _rankings(opened, annotated, finding, over, int(category))
        else:
            order = f"of the logit {logit}" if prompt is None else f"of the prompt {' '.join(prompt.split('/'))}"
            loaded = model_of_run(opened, model, **given)
            head = prompting.add_prompt(loaded, prompt, approximate=approximate, quiet=quiet)
            called = logit if head is None else head.classes[0]
            ranked = rank(opened, model=loaded, logit=called, score="attribution", split=over.rank_split)
            rankings = dict.fromkeys(annotated.findings, (Ranking.of_table(ranked), None))
            if head is not None:
                weights = loaded.linear_tail()[0][loaded.classes.index(head.classes[0])]
    with progress(quiet=quiet) as report:
        table = over_run.localize(
            opened, annotated, threshold=cut, iou=iou, confidence=confidence, min_area=min_area, images=images,
            split=over.eval_split, finding=finding, resamples=resamples, seed=seed, progress=report,
        )  # fmt: skip
        own = None
        if prompt is not None:
            chosen = LocalizationSettings(cut, iou, confidence, min_area, images, resamples, seed, over.eval_split)
            own = over_run.localize_latents(
                opened, annotated, chosen, findings=finding, weights=weights, progress=report
            )
    record = table.attrs["provenance"]
    caution(record["notes"], quiet=quiet)
    lines, caption = _short_table(table, str(opened.info["model"]), rankings, order, top)
    ranked_on = {name: used for name, (_, used) in rankings.items() if used is not None}
    text = f"{paper_table(lines)}\n{caption} at IoU {iou:g}, threshold {cut}, {_basis(images)}.\n\n"
    if own is not None:
        text += _prompt_map(own, str(prompt)) + "\n"
    text += "".join(f"{name}: {used['text']}.\n" for name, used in record["used"].items())
    text += "".join(f"{name}, ranked: {used}.\n" for name, used in ranked_on.items())
    if csv is not None:
        record["settings"] |= {
            "order": order, "class": int(category), "rank_split": over.rank_split, "unit": over.unit,
            "protocol": protocol, "top": options.top_text(top),
            **({} if prompt is None else {"prompt": prompt}), **({} if logit is None else {"logit": logit}),
        }  # fmt: skip
        record["ranked_on"] = {name: used.describe() for name, used in ranked_on.items()}
        _write(csv, table, own, text, record)
    say(text.rstrip(), quiet=quiet)
    for path in sorted(_written(csv, prompt)) if csv is not None else ():
        say(f"wrote {path}", quiet=quiet)


def _positive(given: list[str] | None, finding: list[str] | None) -> "Positive | None":
    """What `--positive` says; a bare value is that of the finding, where there is one."""
    return options.positive_of_label(given, finding[0] if finding is not None and len(finding) == 1 else "")


def _rankings(
    run: "Run", boxes: "RunBoxes", names: list[str] | None, over: Protocol, category: int
) -> dict[str, tuple["Ranking | None", "Used | None"]]:
    """The latents in order for each finding, and the images that they are ranked on; nothing where AP is the order."""
    from ..core.base.names import slug
    from ..core.localization.finding_order import rank_for_finding

    order = over.order or "diff"
    wanted = boxes.findings if names is None else [slug(name) for name in names]
    return {
        name: rank_for_finding(run, boxes, name, order, split=over.rank_split, unit=over.unit, category=category)
        for name in (wanted if order != "ap" else ())
        if name in boxes.findings
    }


def _short_table(
    table: "pd.DataFrame", model: str, rankings: dict[str, tuple["Ranking | None", "Used | None"]], order: str, top: int
) -> tuple[list["PaperRow"], str]:
    """Lines of the Markdown table, and what they show."""
    from ..core.reports.paper_table import paper_row

    lines, unranked = [], []
    for name in table["finding"].unique():
        ranking = rankings[name][0] if name in rankings else None
        if name in rankings and ranking is None:
            unranked.append(name)
        lines.append(paper_row(table, name, model, None if ranking is None else ranking.order, top=top))
    caption = f"Average precision, {_ORDERS.get(order, f'latents in the order {Path(order).name},')}"
    if unranked:
        caption += f" (the highest first for {', '.join(unranked)}: images with and without it are needed to rank)"
    return lines, caption


_ORDERS = {
    "ap": "the highest first,",
    "diff": "latents by their mean activation with the finding minus that without,",
}


def _basis(images: str) -> str:
    return "images with the finding" if images == "finding" else "all annotated images"


def _prompt_map(table: "pd.DataFrame", prompt: str) -> str:
    """What the map of a prompt's logit is worth, a line a finding."""
    lines = [f"Logit map of the prompt {prompt!r}, what pushes it up:"]
    for row in table.to_dict("records"):
        interval = f" ({row['ap_lo']:.3f} to {row['ap_hi']:.3f})" if row["ap_lo"] == row["ap_lo"] else ""
        lines.append(
            f"{row['finding']}: AP {row['ap']:.3f}{interval}, pointing {row['pointing']:.3f} "
            f"(chance {row['chance']:.3f}), energy {row['energy']:.3f}, lift {row['lift']:.2f}"
        )
    return "\n".join(lines) + "\n"


def _write(csv: Path, table: "pd.DataFrame", own: "pd.DataFrame | None", text: str, record: dict[str, object]) -> None:
    from ..core.base.provenance import write_results
    from ..core.base.tables.cells import write_csv

    note, *places = _written(csv, "" if own is not None else None)
    with write_results(note, record, *places) as (rows, short, *prompted):
        write_csv(rows, table)
        short.write_text(text + "\nResearch use only, not for diagnosis.\n", encoding="utf-8")
        if own is not None:
            write_csv(prompted[0], own)


def _written(csv: Path, prompt: str | None) -> list[Path]:
    """Files of the result, the one that says how it was made first."""
    from ..core.base.provenance import beside

    files = [beside(csv, ".json"), csv, beside(csv, ".md")]
    return files if prompt is None else [*files, csv.with_suffix(".prompt.csv")]

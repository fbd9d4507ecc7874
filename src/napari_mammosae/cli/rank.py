"""`rank`: which latents of a run go with a label, and how two rankings differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options, prompting
from .console import caution, check_results, progress, say, usage, working

if TYPE_CHECKING:
    import pandas as pd

    from ..core.models.heads import Head
    from ..core.ranking.compare import RankingComparison
    from ..core.runs.run import Run


def rank(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run with labels.")],
    label: Annotated[
        str,
        typer.Option(
            metavar="L", help="Label of the run. With --prompt or --logit it may be left out: all images count."
        ),
    ] = "",
    prompt: prompting.Prompt = None,
    logit: Annotated[
        str | None,
        typer.Option(metavar="C", help="Class of the model whose logit is meant, if it is not called as the label."),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--class", metavar="C", help="Class of the label, by number or name. Default: 1 (present)."),
    ] = None,
    positive: options.Positive = None,
    score: Annotated[
        str | None, typer.Option("--score", "--order", metavar="S", help="Score that ranks the latents. Default: diff.")
    ] = None,
    top: options.Top = 10,
    contrast: Annotated[
        Literal["class", "rest", "all"] | None,
        typer.Option(help="For scores such as mean and std: over the class, the class minus the rest, or all images."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", "--rank-split", metavar="S", help="Only images of this split.")
    ] = None,
    unit: options.Unit = None,
    protocol: options.Protocol = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN|CSV|JSON", help="Compare with another run, table or published list.")
    ] = None,
    intervals: Annotated[
        int, typer.Option(metavar="N", min=0, help="Number of top latents that get 95 % intervals.")
    ] = 100,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The run's model: adds the attribution to the class's logit.")
    ] = None,
    contribution: options.Contribution = None,
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    sample: options.Sample = None,
    images: options.RunImages = None,
    device: options.Device = "cpu",
    text: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    approximate: prompting.Approximate = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", dir_okay=False, help="CSV table with one row per latent. OUT.json is written next to it."
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Rank all latents for a label, a class of the model or a prompt, with every score beside the one ranked by.

    With --prompt or --logit: by what they add to that logit, over all images or over the class of the label.
    With --against: rank correlation, overlap of the best k, and the latents that moved most. With --contribution, for
    an SAE on an inner layer: by what they add to the class's logit on --sample images, which takes a while.
    """
    from ..core.base.errors import SettingsError
    from ..core.ranking.scores import SCORES
    from ..core.runs.protocol import choose

    over, score_given = choose(protocol, split=split, unit=unit, order=score), score is not None
    score = over.order or ("diff" if prompt is None and logit is None else "attribution")
    if not label and prompt is None and logit is None:
        raise typer.BadParameter("name a label of the run, a --logit, or write a --prompt.", param_hint="'--label'")
    if logit is not None and prompt is not None:
        raise typer.BadParameter("it takes the place of --logit; leave one out.", param_hint="'--prompt'")
    given = options.sae_recipe(sae, sae_option, layer)
    if contribution is not None and (score_given or contrast or against or prompt or logit):
        raise typer.BadParameter("it is a score of its own; leave the other out.", param_hint="'--contribution'")
    with usage("--score"):
        if score not in SCORES:
            raise SettingsError(f"the score {score!r} is unknown; choose one of {', '.join(SCORES)}.")
    check_results(csv)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.ranking.compare import compare_with
        from ..core.ranking.of_run import rank as rank_run
        from ..core.runs.making.model_spec import model_of_run
        from ..core.runs.opening import open_run

        value = options.positive_of_label(positive, label)
        opened = open_run(run, positive=value)
        needed = (model, prompt, logit, contribution) != (None, None, None, None)
        given = options.recipe_of_run(opened.info["layer"], given, device)
        texts = prompting.text_recipe(prompt, text, vocab)
        loaded = model_of_run(opened, model, **given, **texts) if needed else None
        head = None if loaded is None else prompting.add_prompt(loaded, prompt, approximate=approximate, quiet=quiet)
    if loaded is not None and not loaded.linear and contribution is None:
        with usage("--model"):
            raise SettingsError(f"{loaded.facts.obstacle}. Rank by --contribution gradient or integrated.")
    if contribution is not None and loaded is not None:
        from ..core.ranking.by_contribution import rank_by_contribution
        from ..core.runs.passes import DRAWN

        with progress(quiet=quiet) as report:
            table = rank_by_contribution(
                opened, loaded, label, contribution, category=category, split=over.rank_split, unit=over.unit,
                intervals=intervals, count=DRAWN if sample is None else sample, root=images, progress=report,
                notice=lambda text: caution([text], quiet=quiet),
            )  # fmt: skip
        record = table.attrs["provenance"]
        record |= {"settings": record["settings"] | {"protocol": protocol}}
        _finish(opened, table, record, label, head, logit, top, csv, quiet)
        settings = record["settings"]
        say(f"{settings['contribution']}: completeness error {record['completeness']:.1%}, median", quiet=quiet)
        return
    with working("Ranking", quiet=quiet):
        how: dict[str, Any] = {
            "score": score, "contrast": contrast, "split": over.rank_split, "unit": over.unit
        } | ({} if (called := head.classes[0] if head else logit) is None else {"logit": called})  # fmt: skip
        table = rank_run(opened, label, category=category, model=loaded, intervals=intervals, **how)
        record = table.attrs["provenance"]
        record["settings"]["protocol"] = protocol
        comparison = None
        if against is not None:
            other = open_run(against, positive=value) if against.is_dir() else against
            comparison = compare_with(table, opened, other, label, category=category, model=loaded, **how)
            table = comparison.with_moves(table)
            record["settings"]["against"] = against.name
            record["comparison"] = comparison.describe()
    _finish(opened, table, record, label, head, logit, top, csv, quiet)
    if comparison is not None and against is not None:
        say(_comparison_text(comparison, against.name, top), quiet=quiet)


def _finish(
    run: "Run", table: "pd.DataFrame", record: dict[str, Any], label: str, head: "Head | None", logit: str | None,
    top: int, csv: Path | None, quiet: bool,
) -> None:  # fmt: skip
    """Write the table, and say what is best."""
    if csv is not None:
        from ..core.base.provenance import write_table
        from ..core.naming.suggested import names_of

        write_table(csv, names_of(run).beside(table), record)
    say(_summary(table, label, record["settings"]["class"], head, logit, top), quiet=quiet)
    say(record["used"]["text"], quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)


def _summary(table: "pd.DataFrame", label: str, number: int, head: "Head | None", logit: str | None, top: int) -> str:
    best = table.head(top)
    what = [f"{label}, class {number}"] if label else []
    what += [head.prompt.title] if head is not None and head.prompt is not None else []
    what += [f"logit of {logit}"] if logit else []
    lines = [
        f"{'; '.join(what)}: {int(table['live'].sum())} of {len(table)} latents fire",
        f"{'rank':>5} {'latent':>7} {'score':>11} {'auroc':>7}",
    ]
    lines += [
        f"{row['rank']:>5} {row['latent']:>7} {row['score']:>11.5g} {row['auroc']:>7.4f}" for _, row in best.iterrows()
    ]
    return "\n".join(lines)


def _comparison_text(comparison: "RankingComparison", name: str, top: int) -> str:
    lines = [
        f"against {name}, {comparison.latents} latents that fire in either and have a score in both: "
        f"Spearman {comparison.spearman:.3f}, Kendall {comparison.kendall:.3f}",
        f"tied with another: {comparison.ties[0]} there, {comparison.ties[1]} here; "
        f"left out: {comparison.undefined} without a score in one",
    ]
    lines += [
        f"best {row['k']:>5.0f}: {row['shared']:.0f} shared ({row['by_chance'] * row['k']:.1f} by chance)"
        for _, row in comparison.overlap.iterrows()
    ]
    lines += [
        f"latent {row['latent']:.0f}: place {row['rank_a']:.0f} there, {row['rank_b']:.0f} here ({row['change']:+.0f})"
        for _, row in comparison.movers.head(top).iterrows()
    ]
    return "\n".join(lines)

"""`intervene`: keep or remove latents over a run or of an image, and what becomes of the predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.runs.making.model_spec import model_of_run
from . import intervene_image, options, prompting
from .console import caution, check_results, progress, say, usage, working

if TYPE_CHECKING:
    import pandas as pd

    from ..core.runs.run import Run


def intervene(
    run: Annotated[Path, typer.Argument(metavar="RUN|IMAGE", help="Folder of a run with labels, or a mammogram.")],
    label: Annotated[str, typer.Option(metavar="L", help="Label of the run that scores predictions.")] = "",
    called: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="C", help="Class of the model that predicts the label, if it is called otherwise."
        ),
    ] = None,
    prompt: prompting.Prompt = None,
    positive: options.Positive = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="O",
            help="Score that ranks the latents of each class, as in `rank`, or published:DIR. Default: diff.",
        ),
    ] = None,
    split: options.Split = None,
    rank_split: options.RankSplit = None,
    eval_split: options.EvalSplit = None,
    unit: options.Unit = None,
    protocol: options.Protocol = None,
    mode: Annotated[
        Literal["keep", "zero"] | None,
        typer.Option(help="Keep only the set, or set it to zero. Default: both curves; zero with --verdict."),
    ] = None,
    form: Annotated[
        Literal["replace", "delta"],
        typer.Option(help="replace: the reconstruction, as published. delta: the SAE's error is kept."),
    ] = "replace",
    k: Annotated[
        str | None,
        typer.Option(
            metavar="K,K,...",
            help="Numbers of best latents per class, separated by commas, or 'all' (without intervals).",
        ),
    ] = None,
    compat: Annotated[
        bool, typer.Option("--compat", help="Rank float32 sigmoids as the published curves do, and count false ties.")
    ] = False,
    verdict: Annotated[
        str | None, typer.Option(metavar="V", help="Edit the latents with this verdict, for example spurious.")
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(metavar="DB", help="Verdict file. Default: RUN/verdicts.sqlite; for the demo run, your own file."),
    ] = None,
    null: Annotated[
        int, typer.Option(metavar="N", min=0, help="With --verdict: compare with N random sets of latents.")
    ] = 0,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The model of the run, if its name is not in `models list`.")
    ] = None,
    sae: options.Sae = None,
    sae_option: options.SaeOption = None,
    layer: options.Layer = None,
    contribution: options.Contribution = None,
    sample: options.Sample = None,
    images: options.RunImages = None,
    device: options.Device = "cpu",
    no_crop: options.NoCrop = False,
    text: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    approximate: prompting.Approximate = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", dir_okay=False, help="CSV table. OUT.json is written next to it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="OUT", dir_okay=False, help="Figure: PNG, PDF or SVG.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Keep or zero the best k latents of every class, for many k, and measure the predictions.

    One row per mode and k, with 95 % intervals by patient. With --verdict: the latents people gave that verdict, with
    every measure before and after. With --prompt: the logit of a text instead of a class's. Exact: no image is computed
    again. With an SAE on an inner layer --sample images are passed through the network, which takes a while. For an
    IMAGE: its logits, the best k taken by what they add to the logit of --class.
    """
    check_results(csv, plot)
    given = options.sae_recipe(sae, sae_option, layer)
    if run.is_file():
        misplaced = {
            "--label": label, "--order": order, "--compat": compat, "--verdict": verdict, "--plot": plot,
            "--prompt": prompt, "--sample": sample, "--protocol": protocol, "--null": null,
        }  # fmt: skip
        if wrong := next((name for name, value in misplaced.items() if value), None):
            raise typer.BadParameter("it is for runs; leave it out for an image.", param_hint=f"'{wrong}'")
        intervene_image.intervene_image(
            run, model, given | {"device": device}, called=called, contribution=contribution, mode=mode, form=form,
            ks=None if k == "all" else _check_usage("diff", k, None, None), crop=not no_crop, csv=csv, quiet=quiet,
        )  # fmt: skip
        return
    if not label:
        raise typer.BadParameter("name a label of the run.", param_hint="'--label'")
    if contribution is not None:
        raise typer.BadParameter("it is for images; `rank` has it for runs.", param_hint="'--contribution'")
    if called is not None and prompt is not None:
        raise typer.BadParameter("it takes the place of --class; leave one out.", param_hint="'--prompt'")
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.intervention import of_run
        from ..core.intervention.passed_run import intervene_by_passes, sweep_by_passes
        from ..core.runs.classes import UNNAMED
        from ..core.runs.opening import open_run
        from ..core.runs.passes import DRAWN
        from ..core.runs.protocol import choose

        over = choose(protocol, split=split, rank_split=rank_split, eval_split=eval_split, unit=unit, order=order)
        order = over.order or "diff"
        ks = _check_usage(order, k, verdict, plot)
        value = options.positive_of_label(positive, label)
        opened = open_run(run, positive=value)
        given = options.recipe_of_run(opened.info["layer"], given, device)
    with working("Loading the model", quiet=quiet):
        loaded = model_of_run(opened, model, **given, **prompting.text_recipe(prompt, text, vocab))
        head = prompting.add_prompt(loaded, prompt, approximate=approximate, quiet=quiet)
        called = called if head is None else head.classes[0]
    if not loaded.linear and (compat or null):
        with usage("--compat" if compat else "--null"):
            raise SettingsError(f"{loaded.facts.obstacle}; leave it out.")
    latents = None if verdict is None else _judged(opened, verdict, verdicts)
    how: dict[str, Any] = {"form": form, "unit": over.unit, "logit": called}
    what = "Sweeping over k" if latents is None else "Measuring"
    with working(what, quiet=quiet) if loaded.linear else progress(quiet=quiet) as report:
        if not loaded.linear:
            how |= {
                "count": DRAWN if sample is None else sample, "root": images, "progress": report,
                "notice": lambda text: caution([text], quiet=quiet),
            }  # fmt: skip
        if latents is not None:
            how |= {"null": null} if loaded.linear else {}
            edit = of_run.intervene if loaded.linear else intervene_by_passes
            result: Any = edit(opened, loaded, latents, label, mode=mode or "zero", split=over.eval_split, **how)
        else:
            how |= {"compat": compat} if loaded.linear else {}
            sweep = of_run.sweep if loaded.linear else sweep_by_passes
            result = sweep(
                opened, loaded, label, order, modes=("keep", "zero") if mode is None else (mode,),
                ks=range(opened.n_latents + 1) if k == "all" else ks or over.best(opened.n_latents),
                rank_split=over.rank_split, eval_split=over.eval_split, intervals=k != "all", **how,
            )  # fmt: skip
    table, record = result.table(), result.provenance
    if verdict is not None:
        record["settings"] |= {"verdict": verdict, "verdicts": None if verdicts is None else verdicts.name}
    record["settings"]["protocol"] = protocol
    if csv is not None:
        from ..core.base.provenance import write_table

        write_table(csv, table, record)
    if plot is not None:
        _plot(plot, table, record, opened, verdict)
    if called is None and record["settings"]["logits"] == [UNNAMED] != [label]:
        caution([f"the model does not name its class; its logit is scored against {label!r}"], quiet=quiet)
    say(_summary(table, verdict, record), quiet=quiet)
    for path in (csv, plot):
        if path is not None:
            say(f"wrote {path}", quiet=quiet)


def _check_usage(order: str, k: str | None, verdict: str | None, plot: Path | None) -> list[int] | None:
    """Refuse values that no run could make sense of; return the values of k, None for the default or all of them."""
    from ..core.base.errors import SettingsError
    from ..core.ranking.files import check_order
    from ..core.reports.intervention_figures import checked
    from ..core.verdicts.store import VERDICTS

    with usage("--order"):
        check_order(order)
    with usage("--verdict"):
        if verdict is not None and verdict not in VERDICTS:
            raise SettingsError(f"the verdict {verdict!r} is unknown; choose one of {', '.join(VERDICTS)}.")
    with usage("--plot"):
        if plot is not None:
            checked(plot)
    with usage("--k"):
        return None if k is None else options.parse_ks(k)


def _judged(run: "Run", verdict: str, path: Path | None) -> list[int]:
    """Latents that anyone gave a verdict."""
    from ..core.base.errors import SettingsError
    from ..core.verdicts.of_run import Verdicts

    with Verdicts(run, path, create=False) as verdicts:
        latents = verdicts.latents(verdict)
    if not latents:
        raise SettingsError(f"no latent has the verdict {verdict!r}; mark some first.")
    return latents


def _plot(plot: Path, table: "pd.DataFrame", record: dict[str, Any], run: "Run", verdict: str | None) -> None:
    from ..core.base.provenance import beside, write_results
    from ..core.reports.intervention_figures import plot_curves, plot_effects

    settings, model = record["settings"], record["model"]
    measure = "auroc" if "auroc" in (*table.columns, *table.get("measure", ())) else "accuracy"
    line = (
        f"{run.path.name} | {settings['form']} | model {model['model_sha256'][:8]} SAE {model['sae_sha256'][:8]} | "
        f"{settings['images']:,} {settings['unit']}s"
    )
    with write_results(beside(plot, ".json"), record, plot) as (file,):
        if verdict is not None:
            plot_effects({f"{verdict} latents, {settings['mode']}": table}, file, measure=measure, provenance=line)
        else:
            line += f" | order {settings['order']}"
            plot_curves({settings["label"]: table}, file, measure=measure, provenance=line, notes=record["notes"])


def _summary(table: "pd.DataFrame", verdict: str | None, record: dict[str, Any]) -> str:
    measure = "auroc" if "auroc" in (*table.columns, *table.get("measure", ())) else "accuracy"
    name = measure.upper() if measure == "auroc" else measure
    if verdict is None:
        lines = [f"{row['mode']:>4}  k {row['k']:>6,}  {name} {_interval(row, measure)}" for _, row in table.iterrows()]
        if record["settings"]["ranked_and_scored_on_the_same_images"]:
            lines.append("ranked and scored on the same images")
    else:
        row = table[table["measure"] == measure].iloc[0]
        lines = [
            f"{row['set_size']} {verdict} latents, mode {row['mode']}, form {row['form']}",
            *(f"{name} {side} {_interval(row, side)}" for side in ("before", "after", "change")),
        ]
        lines += [record["remark"]] if record["remark"] else []
        for match in ("count", "activation"):
            if (null := record.get(f"null_{match}")) is not None:
                lines.append(f"{name} after random latents of equal {match}: {_null(null, measure)}")
    lines.append(record["used"]["text"])
    if "ranked_on" in record and record["ranked_on"] != record["used"]:
        lines.append(f"ranked: {record['ranked_on']['text']}")
    notes = {note for note in table.get("note", ()) if note}
    return "\n".join([*lines, *(f"no intervals: {note}" for note in sorted(notes))])


def _null(null: dict[str, Any], measure: str) -> str:
    if "left_out" in null:
        return f"left out; {null['left_out']}"
    reached = {name: f"{value:.4g}" for name, value in null["activation"].items()}
    return (
        f"{null[measure]['mean']:.4f} on average (activation {reached['min']} to {reached['max']}, median "
        f"{reached['median']}; the set has {reached['wanted']})"
    )


def _interval(row: "pd.Series[Any]", name: str) -> str:
    lo, hi = row.get(f"{name}_lo"), row.get(f"{name}_hi")
    return f"{row[name]:.4f}" + (f" [{lo:.4f}, {hi:.4f}]" if lo is not None and lo == lo else "")

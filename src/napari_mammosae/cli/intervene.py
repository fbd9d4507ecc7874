"""`intervene`: keep or remove latents over a run, and what the classifier's predictions are then worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ..core.runs.making.model_spec import model_of_run
from . import options
from .console import say, usage, working

if TYPE_CHECKING:
    import pandas as pd

    from ..core.intervention.cohort import Cohort
    from ..core.intervention.edit import Edit, Form
    from ..core.models.model import MammoSAE
    from ..core.ranking.scores import Score
    from ..core.runs.run import Run
    from ..core.verdicts.events import Verdict

DEFAULT_KS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


def intervene(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run with labels.")],
    label: Annotated[str, typer.Option("--label", metavar="L", help="Label of the run that scores predictions.")],
    order: Annotated[
        str,
        typer.Option(
            "--order", metavar="O", help="Score that ranks the latents of each class, as in `rank`, or published:DIR."
        ),
    ] = "diff",
    rank_split: Annotated[
        str | None, typer.Option("--rank-split", metavar="S", help="Rank on the images of this split only.")
    ] = None,
    eval_split: Annotated[
        str | None, typer.Option("--eval-split", metavar="S", help="Score on the images of this split only.")
    ] = None,
    unit: Annotated[
        Literal["image", "row"],
        typer.Option("--unit", help="row: an image counts once for each finding row, as in the published protocol."),
    ] = "image",
    mode: Annotated[
        Literal["keep", "zero"] | None,
        typer.Option("--mode", help="Keep only the set, or set it to zero. Default: both curves; zero with --verdict."),
    ] = None,
    form: Annotated[
        Literal["replace", "delta"],
        typer.Option("--form", help="replace: the reconstruction, as published. delta: the SAE's error stays in."),
    ] = "replace",
    k: Annotated[
        str | None,
        typer.Option("--k", metavar="K,K,...", help="Best latents of each class, or 'all' (then without intervals)."),
    ] = None,
    compat: Annotated[
        bool, typer.Option("--compat", help="Rank float32 sigmoids as the published curves do, and count false ties.")
    ] = False,
    verdict: Annotated[
        str | None,
        typer.Option("--verdict", metavar="V", help="Take the latents of this verdict, such as spurious, as the set."),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts", metavar="DB", help="Verdict file. Default: RUN/verdicts.sqlite, for the demo run your own."
        ),
    ] = None,
    null: Annotated[
        int, typer.Option("--null", metavar="N", min=0, help="With --verdict: compare with N random sets of latents.")
    ] = 0,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="The model of the run, if its name is not in `models list`."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="OUT", dir_okay=False, help="Table; OUT.json goes beside it.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="OUT", dir_okay=False, help="Figure: PNG, PDF or SVG.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Keep or zero the best k latents of every class, for many k, and measure the predictions.

    One row a mode and k, with 95 % intervals by patient. With --verdict: the latents people gave that verdict, with
    every measure before and after. Exact: no image is computed again.
    """
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.intervention.cohort_of_run import cohort_of_run
        from ..core.runs.run import open_run

        _check_usage(order, k, verdict, plot)
        opened = open_run(run)
    with working("Loading the model", quiet=quiet):
        loaded = model_of_run(opened, model)
        cohort = cohort_of_run(opened, loaded, label, split=eval_split, unit=unit)
    same = (rank_split or eval_split) == eval_split and not order.startswith("published:")
    settings: dict[str, Any] = {
        "run": run, "label": label, "unit": unit, "form": form, "eval_split": eval_split, "images": cohort.n_images,
        "positives" if cohort.constant.size == 1 else "classes": _counts(cohort),
    }  # fmt: skip
    record: dict[str, Any] = {}
    if verdict is not None:
        with working("Measuring", quiet=quiet):
            edit = _verdict_edit(opened, loaded, verdict, verdicts, mode or "zero", form)
            table = _effect(cohort, edit, null, record)
        settings |= {"verdict": verdict, "verdicts": verdicts, "mode": edit.mode, "null": null}
        record |= {"edit": edit.describe(), "remark": edit.remark}
    else:
        modes = ("keep", "zero") if mode is None else (mode,)
        with working("Sweeping over k", quiet=quiet):
            first = _first(opened, loaded, label, order, rank_split or eval_split, unit)
            table = _curve(cohort, first, k, modes, form, compat)
        settings |= {
            "order": order, "rank_split": rank_split or eval_split, "modes": modes, "compat": compat, "k": k,
            "ranked_and_scored_on_the_same_images": same,
        }  # fmt: skip
    if csv is not None:
        _write(csv, table, settings, record, loaded)
    if plot is not None:
        _plot(plot, table, settings, record, loaded, opened, verdict)
    say(_summary(table, verdict, record, same), quiet=quiet)
    for path in (csv, plot):
        if path is not None:
            say(f"wrote {path}", quiet=quiet)


def _check_usage(order: str, k: str | None, verdict: str | None, plot: Path | None) -> None:
    """Refuse values that no run could make sense of."""
    from ..core.base.errors import SettingsError
    from ..core.intervention.cohort_of_run import PUBLISHED
    from ..core.ranking.scores import SCORES
    from ..core.reports.intervention_figures import checked
    from ..core.verdicts.store import VERDICTS

    with usage("--order"):
        if order not in SCORES and not order.startswith(PUBLISHED):
            raise SettingsError(f"the order {order!r} is unknown; there are {', '.join(SCORES)} and published:DIR.")
    with usage("--k"):
        if k not in (None, "all"):
            _numbers(k)
    with usage("--verdict"):
        if verdict is not None and verdict not in VERDICTS:
            raise SettingsError(f"the verdict {verdict!r} is unknown; there are {', '.join(VERDICTS)}.")
    with usage("--plot"):
        if plot is not None:
            checked(plot)


def _numbers(k: str) -> list[int]:
    from ..core.base.errors import SettingsError

    try:
        return [int(part) for part in k.split(",")]
    except ValueError:
        raise SettingsError(f"whole numbers between commas, or 'all', are expected; {k!r} was given.") from None


def _first(run: "Run", model: "MammoSAE", label: str, order: str, split: str | None, unit: Any) -> Any:
    """The k at which each latent enters the union."""
    from ..core.intervention.cohort_of_run import PUBLISHED, published_orders
    from ..core.ranking.of_run import pool_of_run, rankings_of_classes
    from ..core.ranking.orders import first_ranks
    from ..core.runs.classes import logits_of_label

    if order.startswith(PUBLISHED):
        return first_ranks(published_orders(order), run.n_latents)
    score = cast("Score", order)
    pool = pool_of_run(run, label, split=split, unit=unit)
    rankings = rankings_of_classes(pool, score, model.attribution[logits_of_label(run, label)])
    return first_ranks([ranking.order for ranking in rankings.values()], run.n_latents)


def _curve(cohort: "Cohort", first: Any, k: str | None, modes: Any, form: "Form", compat: bool) -> "pd.DataFrame":
    from ..core.intervention.effects import curve_table

    h = cohort.n_latents
    if k is None:
        ks = [*(value for value in DEFAULT_KS if value < h), h]
    elif k == "all":
        ks = list(range(h + 1))
    else:
        ks = _numbers(k)
    return curve_table(cohort, first, ks, modes, form, compat=compat, intervals=k != "all")


def _verdict_edit(run: "Run", model: "MammoSAE", verdict: str, path: Path | None, mode: Any, form: "Form") -> "Edit":
    """Make the edit of the latents that anyone gave a verdict."""
    from ..core.intervention.edit import Edit, verdict_mask
    from ..core.verdicts.store import Subject, VerdictStore, default_path

    with VerdictStore(path or default_path(run.path), create=False) as store:
        latents = store.latents(cast("Verdict", verdict), Subject(model.model_sha256, model.sae_sha256))
    return Edit(verdict_mask(dict.fromkeys(latents, verdict), verdict, run.n_latents), mode, form)


def _effect(cohort: "Cohort", edit: "Edit", draws: int, record: dict[str, Any]) -> "pd.DataFrame":
    """Measure before and after; random sets go into the record."""
    from ..core.intervention.effects import effect
    from ..core.intervention.random_sets import random_null

    table = effect(cohort, edit)
    table.insert(0, "mode", edit.mode)
    table.insert(1, "form", edit.form)
    table.insert(2, "set_size", int(edit.mask.sum()))
    for match in ("count", "activation") if draws else ():
        found = random_null(cohort, edit, match, draws)
        record[f"null_{match}"] = {
            name: {
                "observed": found.observed[name],
                "mean": float(values.mean()),
                "share_of_random_sets_below": found.share_below(name),
            }
            for name, values in found.values.items()
        }
    return table


def _counts(cohort: "Cohort") -> Any:
    import numpy as np

    labels = np.asarray(cohort.labels).astype(int)
    return int(labels.sum()) if cohort.constant.size == 1 else np.bincount(labels).tolist()


def _write(
    csv: Path, table: "pd.DataFrame", settings: dict[str, Any], record: dict[str, Any], model: "MammoSAE"
) -> None:
    from ..core.base.provenance import provenance, write_table

    write_table(csv, table, provenance("intervene", settings, model) | record)


def _plot(
    plot: Path, table: "pd.DataFrame", settings: dict[str, Any], record: dict[str, Any], model: "MammoSAE", run: "Run",
    verdict: str | None,
) -> None:  # fmt: skip
    from ..core.base.provenance import provenance, write_provenance
    from ..core.reports.intervention_figures import plot_curves, plot_effects

    measure = "auroc" if run.info["task"] != "multiclass" else "accuracy"
    line = (
        f"{run.path.name} | {settings['form']} | model {model.model_sha256[:8]} SAE {model.sae_sha256[:8]} | "
        f"{settings['images']:,} {settings['unit']}s"
    )
    if verdict is not None:
        plot_effects({f"{verdict} latents, {settings['mode']}": table}, plot, measure=measure, provenance=line)
    else:
        plot_curves({settings["label"]: table}, plot, measure=measure, provenance=f"{line} | order {settings['order']}")
    write_provenance(plot, provenance("intervene", settings, model) | record)


def _summary(table: "pd.DataFrame", verdict: str | None, record: dict[str, Any], same: bool) -> str:
    measure = "auroc" if "auroc" in (*table.columns, *table.get("measure", ())) else "accuracy"
    name = measure.upper() if measure == "auroc" else measure
    if verdict is None:
        lines = [f"{row['mode']:>4}  k {row['k']:>6,}  {name} {_interval(row, measure)}" for _, row in table.iterrows()]
        lines += ["ranked and scored on the same images"] if same else []
    else:
        row = table[table["measure"] == measure].iloc[0]
        lines = [
            f"{row['set_size']} {verdict} latents, mode {row['mode']}, form {row['form']}",
            *(f"{name} {side} {_interval(row, side)}" for side in ("before", "after", "change")),
        ]
        lines += [record["remark"]] if record["remark"] else []
        for match in ("count", "activation"):
            if f"null_{match}" in record:
                null = record[f"null_{match}"][measure]
                lines.append(f"{name} after random latents of equal {match}: {null['mean']:.4f} on average")
    notes = {note for note in table.get("note", ()) if note}
    return "\n".join([*lines, *(f"no intervals: {note}" for note in sorted(notes))])


def _interval(row: "pd.Series[Any]", name: str) -> str:
    lo, hi = row.get(f"{name}_lo"), row.get(f"{name}_hi")
    return f"{row[name]:.4f}" + (f" [{lo:.4f}, {hi:.4f}]" if lo is not None and lo == lo else "")

"""`rank`: which latents of a run go with a label, and how two rankings differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.runs.making.model_spec import model_of_run
from . import options
from .console import say, usage, working

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..core.models.model import MammoSAE
    from ..core.ranking.compare import RankingComparison
    from ..core.ranking.scores import Contrast, Score
    from ..core.runs.run import Run

SHOWN = 10


def rank(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run with labels.")],
    label: Annotated[str, typer.Option("--label", metavar="L", help="Label of the run.")],
    category: Annotated[
        str | None,
        typer.Option("--class", metavar="C", help="Class that is asked about, by number or name. Default: 1, present."),
    ] = None,
    score: Annotated[str, typer.Option("--score", metavar="S", help="What latents are ranked by.")] = "diff",
    contrast: Annotated[
        Literal["class", "rest", "all"] | None,
        typer.Option("--contrast", help="For mean, std and the like: in the class, class minus rest, or all images."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="S", help="Only images of this split.")] = None,
    unit: Annotated[
        Literal["image", "row"],
        typer.Option("--unit", help="row: an image counts once for each finding row, as in the published protocol."),
    ] = "image",
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="RUN|CSV|JSON", help="Compare with another run, table or published list."),
    ] = None,
    intervals: Annotated[
        int, typer.Option("--intervals", metavar="N", min=0, help="Latents, best first, that get 95 % intervals.")
    ] = 100,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="The run's model: adds the attribution to the class's logit."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="OUT", dir_okay=False, help="All latents, one a row; OUT.json goes beside it."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Rank all latents for a label, with every score beside the one ranked by.

    With --against: rank correlation, overlap of the best k, and the latents that moved most.
    """
    from ..core.base.errors import SettingsError
    from ..core.ranking.scores import SCORES

    with usage("--score"):
        if score not in SCORES:
            raise SettingsError(f"the score {score!r} is unknown; there are {', '.join(SCORES)}.")
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.runs.run import open_run

        opened = open_run(run)
        number = class_number(opened, label, category)
        loaded = model_of_run(opened, model) if model is not None or score == "attribution" else None
        if loaded is not None:
            opened.check_model(loaded)
    with working("Ranking", quiet=quiet):
        how: dict[str, Any] = {"score": score, "contrast": contrast, "split": split, "unit": unit}
        table = _table(opened, label, number, loaded, intervals, **how)
        comparison = None
        if against is not None:
            comparison = _compare(opened, table, against, label, category, model, how)
            table = _with_moves(table, comparison)
    if csv is not None:
        settings = {
            "run": run, "label": label, "class": number, **how, "against": against, "intervals": intervals,
        }  # fmt: skip
        _write(csv, table, settings, opened, comparison)
    say(_summary(table, label, number), quiet=quiet)
    if comparison is not None and against is not None:
        say(_comparison_text(comparison, against.name), quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)


def class_number(run: "Run", label: str, given: str | None) -> int:
    """Number of the class that is asked about.

    Raises
    ------
    SettingsError
        The label has no such class, or several and none was named.
    """
    import numpy as np

    from ..core.base.errors import SettingsError
    from ..core.base.names import slug

    values = run.label(label)
    found = np.unique(values[~np.isnan(values)])
    names = [slug(str(name)) for name in run.info.get("categories", {}).get(label, ())]
    if given is None and not names and set(found) <= {0.0, 1.0}:
        return 1
    if given is not None and slug(given) in names:
        return names.index(slug(given))
    if given is not None and given.strip() in {f"{value:g}" for value in found}:
        return int(given)
    there = ", ".join(
        f"{value:g} ({names[int(value)]})" if value.is_integer() and 0 <= value < len(names) else f"{value:g}"
        for value in found
    )
    raise SettingsError(
        f"{run.path.name} has {there or 'no class'} as classes of {label!r}; name one with --class."
        if given is None
        else f"{run.path.name} has no class {given!r} of {label!r}; it has {there or 'none'}."
    )


def _table(
    run: "Run",
    label: str,
    number: int,
    model: "MammoSAE | None",
    intervals: int,
    *,
    score: "Score",
    contrast: "Contrast | None",
    split: str | None,
    unit: Literal["image", "row"],
) -> "pd.DataFrame":
    from dataclasses import replace

    from ..core.ranking.of_run import pool_of_run
    from ..core.ranking.table import rank_latents

    pool = pool_of_run(run, label, split=split, unit=unit)
    if model is not None:
        pool = replace(pool, attribution=_attribution(run, model, label, number))
    return rank_latents(pool, score, label=number, contrast=contrast, intervals=intervals)


def _attribution(run: "Run", model: "MammoSAE", label: str, number: int) -> "NDArray[np.float64]":
    """What each latent adds to the logit of a class; a single logit speaks for class 1, and against class 0."""
    import numpy as np

    from ..core.base.errors import SettingsError
    from ..core.runs.classes import logits_of_label

    logits = logits_of_label(run, label)
    if len(logits) > 1:
        return np.asarray(model.attribution[logits[number]])
    if number not in (0, 1):
        raise SettingsError(f"the model has one logit for {label!r} and nothing to say about class {number} of it.")
    return np.asarray(model.attribution[logits[0]] * (1 if number else -1))


def _compare(
    run: "Run",
    table: "pd.DataFrame",
    against: Path,
    label: str,
    category: str | None,
    model: str | None,
    how: dict[str, Any],
) -> "RankingComparison":
    """Set the other ranking first, so that a change counts the places gained in this run."""
    from ..core.base.errors import RunError
    from ..core.ranking.compare import compare_rankings
    from ..core.ranking.files import read_ranking
    from ..core.runs.run import open_run

    if not against.is_dir():
        return compare_rankings(read_ranking(against), _ranking(table))
    other = open_run(against)
    if other.info["sae_sha256"] != run.info["sae_sha256"]:
        raise RunError(
            f"{against.name} and {run.path.name} were made with different SAEs; their latents have nothing to do with "
            "each other."
        )
    loaded = None
    if how["score"] == "attribution":
        same = other.info["model_sha256"] == run.info["model_sha256"]
        loaded = model_of_run(other, model if same else None)
    ranked = _table(other, label, class_number(other, label, category), loaded, 0, **how)
    return compare_rankings(_ranking(ranked), _ranking(table))


def _ranking(table: "pd.DataFrame") -> Any:
    from ..core.ranking.orders import Ranking

    by_latent = table.set_index("latent")["score"].sort_index()
    return Ranking(table["latent"].to_numpy(), by_latent.to_numpy())


def _with_moves(table: "pd.DataFrame", comparison: "RankingComparison") -> "pd.DataFrame":
    """Add each latent's place among those that score in either ranking; blank for the others."""
    names = {"rank_b": "place", "rank_a": "place_against", "change": "places_gained", "score_a": "score_against"}
    moves = comparison.movers[["latent", *names]].rename(columns=names)
    return table.merge(moves, on="latent", how="left", validate="one_to_one")


def _summary(table: "pd.DataFrame", label: str, number: int) -> str:
    best = table.head(SHOWN)
    lines = [
        f"{label}, class {number}: {int(table['live'].sum())} of {len(table)} latents fire",
        f"{'rank':>5} {'latent':>7} {'score':>11} {'auroc':>7}",
    ]
    lines += [
        f"{row['rank']:>5} {row['latent']:>7} {row['score']:>11.5g} {row['auroc']:>7.4f}" for _, row in best.iterrows()
    ]
    return "\n".join(lines)


def _comparison_text(comparison: "RankingComparison", name: str) -> str:
    lines = [
        f"against {name}, {comparison.latents} latents that score in either: "
        f"Spearman {comparison.spearman:.3f}, Kendall {comparison.kendall:.3f}"
    ]
    lines += [
        f"best {row['k']:>5.0f}: {row['shared']:.0f} shared ({row['by_chance'] * row['k']:.1f} by chance)"
        for _, row in comparison.overlap.iterrows()
    ]
    lines += [
        f"latent {row['latent']:.0f}: place {row['rank_a']:.0f} there, {row['rank_b']:.0f} here ({row['change']:+.0f})"
        for _, row in comparison.movers.head(SHOWN).iterrows()
    ]
    return "\n".join(lines)


def _write(
    csv: Path, table: "pd.DataFrame", settings: dict[str, Any], run: "Run", comparison: "RankingComparison | None"
) -> None:
    from ..core.base.provenance import provenance, write_table

    record = provenance("rank", settings)
    record["made_with"] = {
        name: run.info[name] for name in ("model", "model_sha256", "sae_sha256", "list_sha256", "labels_sha256")
    }
    if comparison is not None:
        record["comparison"] = {
            "spearman": comparison.spearman,
            "kendall": comparison.kendall,
            "latents": comparison.latents,
            "overlap": comparison.overlap.to_dict("records"),
        }
    write_table(csv, table, record)

"""`name --server`: names from a vision-language model, tested on held-out patients."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import caution, progress, say, usage, working

if TYPE_CHECKING:
    from typing import Any

    from ..core.naming.vlm.result import ServerNames
    from ..core.runs.run import Run

MOST, IMAGES, NAMED_FROM, SECONDS, LISTED = 50, 20, 5, 180.0, 20
ALL_TESTS = "detection,regions,ranks"

Address = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="OpenAI-compatible server, such as http://127.0.0.1:11434/v1."),
]
RunModel = Annotated[
    str | None,
    typer.Option("--run-model", metavar="M", help="The model of the run, if its name is not in `models list`."),
]
Latents = Annotated[str | None, typer.Option("--latents", metavar="N", help="Latents to name, such as '3, 17, 40-44'.")]
MaxLatents = Annotated[
    int,
    typer.Option(
        "--max-latents", metavar="N", min=1, help="With --server: at most so many, those that contribute most."
    ),
]
HeldOut = Annotated[
    int,
    typer.Option(
        "--held-out", metavar="N", min=5, help="With --server: images with, and without, a latent to test its name on."
    ),
]
Tests = Annotated[
    str,
    typer.Option("--tests", metavar="T", help="With --server: detection, regions, ranks, or several of them."),
]
Shown = Annotated[
    int, typer.Option("--shown", metavar="N", min=1, help="With --server: images that each latent is named from.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="S", min=1, help="With --server: seconds to wait for an answer.")
]
Parallel = Annotated[
    int, typer.Option("--parallel", metavar="N", min=1, max=64, help="With --server: questions that are asked at once.")
]
Against = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        metavar="RUN",
        help="With --server: a run over the same images with --sae untrained, random or channels, whose latents are "
        "named in the same way. Repeat for more.",
    ),
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Folder of the run's images, where they are not beside it."),
]
AllowRemote = Annotated[
    list[str] | None,
    typer.Option("--allow-remote", metavar="HOST", help="Allow images to be sent to this host. Repeat for more."),
]
CostOnly = Annotated[bool, typer.Option("--cost", help="With --server: print what it costs at most, and stop.")]
Seed = Annotated[int, typer.Option("--seed", metavar="S", min=0, help="With --server: random seed of all draws.")]


def name_latents(
    path: Path,
    server: str,
    model: str | None,
    run_model: str | None,
    latents: str | None,
    most: int,
    held_out: int,
    shown: int,
    tests: str,
    against: list[Path] | None,
    parallel: int,
    images: Path | None,
    allowed: list[str] | None,
    timeout: float,
    seed: int,
    csv: Path | None,
    *,
    verdicts: Path | None,
    suggest: bool,
    cost_only: bool,
    quiet: bool,
) -> None:
    """Name the latents of the run at `path`, write the table, and print the best names."""
    with working(f"Opening {path.name}", quiet=quiet):
        from ..core.base.text import listed, numbers_of
        from ..core.naming.suggested import keep_suggestions
        from ..core.naming.vlm.of_run import (
            NamingPlan,
            ServerChoice,
            check_tests,
            name_with_server,
            plan_null,
        )
        from ..core.naming.vlm.result import check_names, compared_file, names_file, server_suggestions, write_names
        from ..core.naming.vlm.tasks import Extent
        from ..core.runs.opening import open_run

        with usage("--latents"):
            wanted = None if latents is None else numbers_of(latents)
        with usage("--tests"):
            asked = check_tests(word.strip() for word in tests.split(",") if word.strip())
        opened = open_run(path)
        check_names(names_file(path))
        about, notes = _about_model(opened, run_model, needed=wanted is None)
        extent = Extent(pairs=shown, detection=held_out)
        plan = NamingPlan(opened, wanted, most, extent, images=images, seed=seed, **about)
        nulls = [plan_null(plan, open_run(other), images) for other in against or ()]
    if allowed:
        notes.append(f"images may be sent to {listed(allowed)}; text that is burnt into them is part of them")
    caution(notes, quiet=quiet)
    say(str(sum((other.cost for other in nulls), plan.cost)), quiet=quiet and not cost_only)
    if cost_only:
        return
    choice = ServerChoice(server, model or "", frozenset(allowed or ()), timeout, parallel=parallel)
    with progress(quiet=quiet) as report:
        found = name_with_server(plan, choice, tests=asked, nulls=nulls, progress=report)
    for place in (names_file(path), *([csv] if csv is not None else [])):
        write_names(place, found)
    caution(found.notes, quiet=quiet)
    say(_summary(found), quiet=quiet)
    table = csv or names_file(path)
    for place in (table, *([compared_file(table)] if nulls else [])):
        say(f"wrote {place}", quiet=quiet)
    if suggest:
        kept, new = keep_suggestions(opened, server_suggestions(found), verdicts)
        say(f"{new:,} new names in {kept}", quiet=quiet)


def _about_model(run: "Run", named: str | None, *, needed: bool) -> "tuple[dict[str, Any], list[str]]":
    """Return what the run's model says of its latents; without it, latents are chosen by activation, and a note."""
    from ..core.base.errors import MammoSAEError
    from ..core.naming.vlm.of_run import weight_of
    from ..core.runs.making.model_spec import model_of_run

    try:
        loaded = model_of_run(run, named)
        run.check_model(loaded)
        decoder = None if loaded.sae is None else loaded.sae.decoder_weight.float().cpu().numpy()
        return {"weight": weight_of(loaded.facts), "decoder": decoder}, []
    except MammoSAEError as error:
        if named is not None:
            raise
        by = "are chosen by their mean activation, and " if needed else ""
        return {}, [f"without the run's model, latents {by}count as near that fire on the same images ({error})"]


def _summary(found: "ServerNames") -> str:
    from ..core.naming.vlm.result import compared_lines

    table = found.table()
    named = table[table["name"] != ""]
    lines = [f"{len(named)} of {len(table)} latents named, {int(named['beats_chance'].sum())} better than chance"]
    for row in named.sort_values("auroc", ascending=False).head(LISTED).to_dict("records"):
        better = "" if row["beats_chance"] else "  no better than chance"
        lines.append(
            f"{row['latent']:>6}  {row['name']:<36} AUROC {row['auroc']:.3f} ({row['auroc_lo']:.3f} to "
            f"{row['auroc_hi']:.3f}), other names {row['auroc_shuffled']:.3f}, q {row['auroc_q']:.2g}{better}"
        )
    return "\n".join([*lines, *compared_lines(found)])

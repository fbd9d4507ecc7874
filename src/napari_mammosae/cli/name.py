"""`name`: what the latents of a run stand for, in words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import naming_server, options, prompting
from .console import check_results, say, working

_COLUMNS = ("latent", "name", "z", "q_value", "image_name", "agree")


def name(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    source: Annotated[
        Literal["text", "server"] | None,
        typer.Option(
            "--from",
            help="text: by the model's own text tower and a vocabulary of terms. server: by a vision-language model. "
            "Default: server with --server, else text.",
        ),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Vocabulary: id, group, term, synonyms. Default: the one that comes along."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="M",
            help="With --server, the model that the server is asked for. Else the model of the run, if its name is not "
            "in `models list`.",
        ),
    ] = None,
    text: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    server: naming_server.Address = None,
    run_model: naming_server.RunModel = None,
    latents: naming_server.Latents = None,
    max_latents: naming_server.MaxLatents = naming_server.MOST,
    held_out: naming_server.HeldOut = naming_server.IMAGES,
    shown: naming_server.Shown = naming_server.NAMED_FROM,
    tests: naming_server.Tests = naming_server.ALL_TESTS,
    against: naming_server.Against = None,
    parallel: naming_server.Parallel = 1,
    images: naming_server.Images = None,
    allow_remote: naming_server.AllowRemote = None,
    timeout: naming_server.Timeout = naming_server.SECONDS,
    cost: naming_server.CostOnly = False,
    seed: naming_server.Seed = 0,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", dir_okay=False, help="CSV table. OUT.json is written next to it.")
    ] = None,
    where: Annotated[
        Path | None,
        typer.Option("--verdicts", metavar="DB", help="Verdict file that the names go into. Default: the run's own."),
    ] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest/--no-suggest", help="Write the names into the verdict file as suggestions.")
    ] = True,
    top: options.Top = 20,
    quiet: options.Quiet = False,
) -> None:
    """Name latents by the best term of a vocabulary, or by what a vision-language model sees in their images.

    From text: every latent that fires, with two kinds of evidence. Its direction against the text, with its place among
    random directions, and the images it fires on. A name whose q-value is above 0.05, or on which both disagree, may be
    chance.

    From a server: each name is tested on patients it was not made from. Answers are kept in RUN/names, so the same
    command resumes, and no question is asked twice.

    The viewer shows the names, and a person accepts or rejects them; verdicts stay as they are.
    """
    check_results(csv)
    if where is not None and not suggest:
        raise typer.BadParameter("it does not go with --no-suggest.", param_hint="--verdicts")
    if source == "server" and server is None:
        raise typer.BadParameter("name a server, such as http://127.0.0.1:11434/v1.", param_hint="'--server'")
    if source == "text" and server is not None:
        raise typer.BadParameter("names from text ask no server; leave out one of both.", param_hint="'--server'")
    if server is not None:
        naming_server.name_latents(
            run, server, model, run_model, latents, max_latents, held_out, shown, tests, against, parallel, images,
            allow_remote, timeout, seed, csv,
            verdicts=where, suggest=suggest, cost_only=cost, quiet=quiet,
        )  # fmt: skip
        return
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.naming.text.names import name_latents
        from ..core.naming.text.vocabulary import TERMS, read_terms
        from ..core.runs.making.model_spec import model_of_run
        from ..core.runs.opening import open_run
        from ..core.verdicts.suggestions import CHANCE

        opened = open_run(run)
        given = {key: value for key, value in (("text", text), ("vocabulary", vocab)) if value is not None}
        loaded = model_of_run(opened, model or run_model, **given)
    with working("Naming", quiet=quiet):
        table = name_latents(opened, loaded, read_terms(terms or TERMS))
    record = table.attrs["provenance"]
    record["settings"]["vocabulary"] = (terms or TERMS).name
    if csv is not None:
        from ..core.base.provenance import write_table

        write_table(csv, table, record)
    if suggest:
        from ..core.naming.suggested import keep_suggestions, text_suggestions

        kept, new = keep_suggestions(opened, text_suggestions(table, record["settings"]["vocabulary"]), where)
    settings = record["settings"]
    say(f"{len(table):,} latents; {settings['terms']} terms, {settings['left_out']} with unknown words", quiet=quiet)
    say(f"{int((table['q_value'] <= CHANCE).sum()):,} names better than chance (q at most {CHANCE:g})", quiet=quiet)
    best = table.sort_values(["q_value", "z"], ascending=[True, False]).head(top)
    for latent, term, z, q, other, shared in best[list(_COLUMNS)].itertuples(index=False):
        agree = f"images agree on the {shared}" if shared else f"images say {other}"
        say(f"{latent:>6}  {term!s:<28} z {z:5.2f}  q {q:6.4f}  {agree}", quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)
    if suggest:
        say(f"{new:,} new names in {kept}", quiet=quiet)

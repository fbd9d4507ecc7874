"""`name`: what the latents of a run stand for, in words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options, prompting
from .console import check_results, say, working

_COLUMNS = ("latent", "name", "z", "percentile", "image_name", "agree")


def name(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    source: Annotated[
        Literal["text"], typer.Option("--from", help="text: by the model's own text tower and a vocabulary of terms.")
    ] = "text",
    terms: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Vocabulary: id, group, term, synonyms. Default: the one that comes along."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The model of the run, if its name is not in `models list`.")
    ] = None,
    text: prompting.Text = None,
    vocab: prompting.Vocabulary = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", dir_okay=False, help="CSV table. OUT.json is written next to it.")
    ] = None,
    top: options.Top = 20,
    quiet: options.Quiet = False,
) -> None:
    """Name every latent that fires by the best term of a vocabulary.

    Two kinds of evidence: the latent's direction against the text, with its place among random directions, and the
    images it fires on. A name whose percentile is low, or on which both disagree, is no better than chance.
    """
    check_results(csv)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.naming.from_text import name_latents
        from ..core.naming.vocabulary import TERMS, read_terms
        from ..core.runs.making.model_spec import model_of_run
        from ..core.runs.run import open_run

        opened = open_run(run)
        given = {key: value for key, value in (("text", text), ("vocabulary", vocab)) if value is not None}
        loaded = model_of_run(opened, model, **given)
    with working("Naming", quiet=quiet):
        table = name_latents(opened, loaded, read_terms(terms or TERMS))
    record = table.attrs["provenance"]
    record["settings"]["vocabulary"] = (terms or TERMS).name
    if csv is not None:
        from ..core.base.provenance import write_table

        write_table(csv, table, record)
    settings = record["settings"]
    say(f"{len(table):,} latents; {settings['terms']} terms, {settings['left_out']} with unknown words", quiet=quiet)
    best = table.sort_values(["percentile", "z"], ascending=False).head(top)
    for latent, term, z, percentile, other, shared in best[list(_COLUMNS)].itertuples(index=False):
        agree = f"images agree on the {shared}" if shared else f"images say {other}"
        say(f"{latent:>6}  {term!s:<28} z {z:5.2f}  percentile {percentile:5.1f}  {agree}", quiet=quiet)
    if csv is not None:
        say(f"wrote {csv}", quiet=quiet)

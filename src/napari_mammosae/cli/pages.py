"""`pages`: what is known about some latents of a run, a page each, as a small site to share."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from . import options
from .console import caution, say, usage, working
from .figure import numbers_in

if TYPE_CHECKING:
    from ..core.ranking.scores import Score


def pages(
    run: Annotated[Path, typer.Argument(metavar="RUN", exists=True, file_okay=False, help="Folder of a run.")],
    out: options.OutFolder,
    latents: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Latents to write about, in this order, instead of --top.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Number of latents.")] = 20,
    label: Annotated[str, typer.Option(metavar="L", help="Label of the run to rank for.")] = "",
    order: Annotated[
        str | None, typer.Option(metavar="O", help="A score of `rank`. Default: mean, with a label diff.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, exists=True, help="Where the run's images are, if not beside it."),
    ] = None,
    boxes: options.Boxes = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="M", help="The run's model, to say what a latent adds to the logits."),
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose verdicts to print. Default: everybody's in the run.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a page for each of some latents, and an index of them.

    Each page is one file and needs no others: the images that excite the latent most, its activations by label, its
    neighbours, what it adds to the logits, and the verdicts on it. The pictures show patients: take care whom
    you share them with.
    """
    asked = None if latents is None else numbers_in(latents)
    with working(f"Opening {run.name}", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.base.provenance import provenance
        from ..core.datasets.find import read_boxes
        from ..core.models.loading import load_model
        from ..core.ranking.neighbours import decoder_neighbours
        from ..core.ranking.of_run import rank
        from ..core.reports.latent_page import LatentSources, remarks_of, write_pages
        from ..core.runs.opening import open_run
        from ..core.runs.ready import files_of_run

        opened = open_run(run)
        files = files_of_run(opened)
        if images is not None:
            files.root = images
        score = order or ("diff" if label else "mean")
        if asked is None:
            with usage("--order"):
                ranked = rank(opened, label, score=cast("Score", score), intervals=0)
            asked = ranked["latent"].tolist()[:top]
        elif unknown := [latent for latent in asked if latent >= opened.n_latents]:
            raise SettingsError(f"latent {unknown[0]} does not exist; the SAE has {opened.n_latents}, from 0 on.")
        network = load_model(model, device="cpu") if model is not None else None
        if network is not None:
            opened.check_model(network)
        weights, near = None, None
        if network is not None:
            weights = network.facts.attribution
            near = partial(decoder_neighbours, network.autoencoder.decoder_weight.float().cpu().numpy())
        sources = LatentSources(
            opened,
            files.fetch,
            read_boxes(boxes) if boxes is not None else None,
            weights,
            near,
            remarks_of(opened, annotator),
        )
    settings = {"run": run, "latents": asked, "label": label, "order": score, "boxes": boxes, "annotator": annotator}
    with working(f"Writing {len(asked):,} pages", quiet=quiet):
        index = write_pages(out, asked, sources, provenance("pages", settings, network))
    if files.root is None:
        caution(("the images were not found, so the pages have no pictures; give --images",), quiet=quiet)
    say(f"wrote {index} and {len(asked):,} pages", quiet=quiet)

"""`compare-sae`: which latents of an SAE are found again in other trainings."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options
from .console import progress, say, usage, working


def compare_sae(
    saes: Annotated[list[Path], typer.Argument(metavar="SAE SAE ...", help="Two or more files or folders of SAEs.")],
    out: options.OutFolder,
    runs: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN ...", help="A run for each SAE, in their order, over the same images."),
    ] = None,
    by: Annotated[
        Literal["decoder", "activations"],
        typer.Option(help="Match latents by the cosine of their decoder columns, or by their activations in the runs."),
    ] = "decoder",
    least: Annotated[
        float, typer.Option(metavar="S", help="Similarity from which on a latent counts as found again.")
    ] = 0.7,
    sae_option: options.SaeOption = None,
    figure: Annotated[Literal["png", "pdf", "svg"], typer.Option(help="Format of the figure.")] = "png",
    quiet: options.Quiet = False,
) -> None:
    """Match the latents of several SAEs one to one, such as trainings with other seeds.

    Writes a table for each SAE (SAE.found.csv: in how many of the others each latent was found again), pairs.csv, a
    figure and stability.json. The viewer shows the table that lies beside an SAE's file as the column Found again.
    """
    runs = [*(runs or ()), *(path for path in saes if (path / "run.json").is_file())]  # --runs A B: B looks like an SAE
    saes = [path for path in saes if path not in runs]
    with working("Reading the SAEs", quiet=quiet):
        from ..core.base.errors import SettingsError
        from ..core.base.provenance import check_replaceable
        from ..core.comparison.saes import compare_saes
        from ..core.reports.stability import stability_files, write_stability

        with usage("SAE"):
            if len(saes) < 2:
                raise SettingsError("Name at least two SAEs.")
        note, *results = stability_files(saes, out, figure)
        check_replaceable(note, *results)
    chosen = options.sae_recipe(None, sae_option).get("sae_options")
    with progress(quiet=quiet) as report:
        comparison = compare_saes(saes, runs, by=by, least=least, options=chosen, progress=report)
    with working("Writing", quiet=quiet):
        write_stability(comparison, [note, *results])
    for pair in comparison.pairs.to_dict("records"):
        together = f", mean correlation {pair['mean_correlation']:.3f}" if "mean_correlation" in pair else ""
        say(
            f"{pair['first']} in {pair['second']}: {pair['found_again']:.1%} of {pair['latents']} latents found again, "
            f"mean similarity {pair['mean_similarity']:.3f}{together}",
            quiet=quiet,
        )
    for path in results:
        say(f"wrote {path}", quiet=quiet)

"""Several SAEs of the same features: which latents of one are found again in the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..base.errors import SettingsError
from ..base.progress import Report, ignore, reporting
from ..base.provenance import provenance
from ..models.files.found_again import SHOWN_HASH
from .matching import correlations, match, of_activations, of_decoders

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csc_array

    from ..models.sae.autoencoder import SparseAutoencoder
    from ..runs.run import Run

Basis = Literal["decoder", "activations"]
LEAST = 0.7
"""Similarity from which on a latent counts as found again."""


@dataclass(frozen=True, slots=True, eq=False)
class SAEComparison:
    """Latents of several SAEs, matched pair by pair.

    Attributes
    ----------
    tables
        By the SAE's name, a row a latent: `latent`, `found_again` (in how many of the others), `of` (how many there
        are), `sae` (start of its hash), and for each other SAE `match_`, `similarity_` and, with runs, `correlation_`.
    pairs
        A row a pair of SAEs: their names, the share of the first one's latents found again, and means.
    provenance
        What was compared, and how.
    """

    tables: dict[str, "pd.DataFrame"]
    pairs: "pd.DataFrame"
    provenance: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:.0%}" for share in self.pairs["found_again"])
        return f"<SAEComparison of {', '.join(self.tables)}: found again {shares}>"


def compare_saes(
    saes: Sequence[str | Path],
    runs: "Sequence[Run | str | Path]" = (),
    *,
    by: Basis = "decoder",
    least: float = LEAST,
    options: Mapping[str, Any] | None = None,
    progress: bool | Report = False,
) -> SAEComparison:
    """Match the latents of SAEs one to one, and count in how many of the others each is found again.

    Parameters
    ----------
    saes
        Files or folders of two or more, of any known tool.
    runs
        One a SAE, in the same order, over the same images: their activations are correlated.
    by
        What makes latents similar: the cosine of their decoder columns, or the correlation of their activations, as
        for SAEs of two models whose features differ.
    least
        Similarity from which on a latent counts as found again.
    options
        What the files do not say, for all of them; see `load_model`.
    progress
        Whether to show a progress bar.

    Raises
    ------
    CheckpointError, RunError
        A file or run cannot be read.
    SettingsError
        The SAEs or runs do not go together, or a setting has no meaning.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.compare_saes(["seed-0.safetensors", "seed-1.safetensors"]).pairs  # doctest: +SKIP
    """
    from ..models.loading import read_hashed_sae
    from ..models.sae.options import settle_options
    from ..runs.opening import open_run
    from ..runs.run import Run

    if len(saes) < 2:
        raise SettingsError("one SAE was given; expected at least two to compare.")
    if by not in get_args(Basis):
        raise SettingsError(f"latents are compared by decoder or activations, not by {str(by)[:40]!r}.")
    if not 0 < least <= 1:
        raise SettingsError(f"the least similarity is {least:g}; expected above 0 and at most 1.")
    if len(runs) not in (0, len(saes)):
        raise SettingsError(f"{len(runs)} runs were given for {len(saes)} SAEs; expected one for each, in their order.")
    if by == "activations" and not runs:
        raise SettingsError("comparing by activations needs a run for each SAE.")
    read = [read_hashed_sae(Path(path), settle_options(options)) for path in saes]
    names = names_of([Path(path) for path in saes])
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    activations = _activations(opened, [sha256 for _, sha256 in read])
    if by == "decoder" and len(widths := {sae.width for sae, _ in read}) > 1:
        found = " and ".join(map(str, sorted(widths)))
        raise SettingsError(f"the SAEs read {found} features; compare them by activations, or give SAEs of one layer.")
    with reporting(progress) as report:
        tables, pairs = _compare(names, read, activations, by, least, report)
    record = provenance("compare-sae", {"saes": list(names), "by": by, "least": least, **(options or {})})
    record["saes"] = {name: sha256 for name, (_, sha256) in zip(names, read, strict=True)}
    record["runs"] = [run.made_with | {"images": activations[0].shape[0]} for run in opened]
    return SAEComparison(tables, pairs, record)


def _compare(
    names: Sequence[str],
    read: "Sequence[tuple[SparseAutoencoder, str]]",
    activations: "Sequence[csc_array]",
    by: Basis,
    least: float,
    report: Report = ignore,
) -> tuple[dict[str, "pd.DataFrame"], "pd.DataFrame"]:
    import pandas as pd

    columns: dict[str, dict[str, Any]] = {
        name: {
            "latent": np.arange(sae.n_latents),
            "found_again": np.zeros(sae.n_latents, np.int64),
            "of": np.full(sae.n_latents, len(names) - 1),
            "sae": sha256[:SHOWN_HASH],
        }
        for name, (sae, sha256) in zip(names, read, strict=True)
    }
    decoders = [sae.decoder_weight.float().numpy() for sae, _ in read] if by == "decoder" else []
    pairs = []
    for a, b in combinations(range(len(names)), 2):
        sizes = read[a][0].n_latents, read[b][0].n_latents
        if by == "decoder":
            similarity = of_decoders(decoders[a], decoders[b])
        else:
            similarity = of_activations(activations[a], activations[b])
        matches, similarities = match(similarity, sizes, report)
        together = correlations(activations[a], activations[b], matches) if activations else None
        own = np.flatnonzero(matches >= 0)
        back = np.full(sizes[1], -1)
        back[matches[own]] = own
        for one, other, places in ((a, b, matches), (b, a, back)):
            there = places >= 0
            values = np.zeros(len(places))
            values[there] = similarities[own] if one == a else similarities[places[there]]
            table = columns[names[one]]
            table |= {f"match_{names[other]}": places, f"similarity_{names[other]}": values}
            if together is not None:
                correlated = np.full(len(places), np.nan)
                correlated[there] = together[own] if one == a else together[places[there]]
                table[f"correlation_{names[other]}"] = correlated
            table["found_again"] += values >= least
        pair = {"first": names[a], "second": names[b], "latents": sizes[0], "matched": len(own)}
        pair |= {"found_again": float((similarities >= least).mean()), "mean_similarity": float(similarities.mean())}
        if together is not None:
            known = together[~np.isnan(together)]
            pair["mean_correlation"] = float(known.mean()) if known.size else float("nan")
        pairs.append(pair)
    return {name: pd.DataFrame(table) for name, table in columns.items()}, pd.DataFrame(pairs)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each SAE: its file's or folder's, with a number where it is not the only one of that name."""
    names: list[str] = []
    for path in paths:
        name, number = path.name, 2
        while name in names:
            name, number = f"{path.name}-{number}", number + 1
        names.append(name)
    return names


def _activations(runs: "Sequence[Run]", hashes: Sequence[str]) -> "list[csc_array]":
    """Return mean activations (n, h) over the images that all runs have, in the same order."""
    if not runs:
        return []
    for run, sha256 in zip(runs, hashes, strict=True):
        if run.info["sae_sha256"] != sha256:
            raise SettingsError(
                f"the run {run.path.name} was made with another SAE; give a run for each SAE, in their order."
            )
    places = [{name: row for row, name in enumerate(run.images["image_id"])} for run in runs]
    common = [name for name in places[0] if all(name in one for one in places)]
    if len(common) < 2:
        raise SettingsError(f"the runs have {len(common)} images in common; expected at least two.")
    return [
        run.pooled("mean").tocsr()[[one[name] for name in common]].tocsc()
        for run, one in zip(runs, places, strict=True)
    ]

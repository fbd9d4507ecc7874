"""What is measured against concepts: the latents, and what they have to beat, all as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from scipy.sparse import csc_array, csr_array

from ..base.errors import RunError
from ..base.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..runs.run import FeaturePooling, Run
    from ..stats.measures import FloatArray, IntArray

Pool = Literal["mean", "max"]
POOLS: tuple[Pool, ...] = ("mean", "max")
_BLOCK = 2048  # units made dense at a time

LATENTS, CHANNELS, UNTRAINED, PCA = "latents", "raw channels", "untrained SAE", "PCA"


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Columns of numbers, one a unit, for each way of pooling.

    Attributes
    ----------
    name
        What they are: `LATENTS`, `CHANNELS`, `UNTRAINED` or `PCA`.
    numbers
        (U,) what each is called.
    pools
        Pooling -> (n, U), dense or sparse.
    note
        What to know about them.
    """

    name: str
    numbers: IntArray
    pools: Mapping[Pool, FloatArray | csc_array]
    note: str = ""

    def blocks(self) -> Iterator[tuple[slice, dict[Pool, FloatArray]]]:
        """Yield the units some at a time, as dense columns."""
        for start in range(0, len(self.numbers), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield part, {pool: _dense(values[:, part]) for pool, values in self.pools.items()}


def latents_of(run: Run, rows: IntArray, pools: Sequence[Pool], most: int | None = None, seed: int = 0) -> Units:
    """Return the latents that fire on some of the images in `rows`; of more than `most`, so many drawn at random."""
    matrices = {pool: csr_array(run.pooled(pool))[rows].tocsc() for pool in pools}
    live = np.flatnonzero(np.logical_or.reduce([np.diff(matrix.indptr) > 0 for matrix in matrices.values()]))
    note = ""
    if most is not None and live.size > most:
        note = f"{most} of {live.size} live latents, drawn at random"
        live = np.sort(np.random.default_rng(seed).choice(live, most, replace=False))
    return Units(LATENTS, live, {pool: matrix[:, live] for pool, matrix in matrices.items()}, note)


def baselines_of(
    run: Run, rows: IntArray, pools: Sequence[Pool], count: int, untrained: Run | None = None, seed: int = 0
) -> tuple[list[Units], list[str]]:
    """Return what `count` latents have to beat, and notes on what is missing.

    These are the raw channels that the SAE reads, their principal components, and an untrained SAE: the latents of a
    run made with one, or else random directions with a ReLU over the pooled channels, one value an image.
    """
    notes: list[str] = []
    found: list[Units] = []
    try:
        channels = {pool: run.features(_pooling(run, pool))[rows].astype(np.float64) for pool in pools}
    except RunError as error:
        notes.append(f"no baseline from raw channels: {error}")
        channels = {}
    if channels:
        width = next(iter(channels.values())).shape[1]
        found.append(Units(CHANNELS, np.arange(width), channels))
    if untrained is not None:
        own = latents_of(untrained, rows_in(untrained, run, rows), pools, count, seed)
        found.append(Units(UNTRAINED, own.numbers, own.pools, own.note))
    elif channels:
        found.append(_random_directions(channels, count, seed))
        notes.append("the untrained SAE reads pooled channels; a run made with an untrained SAE shows its maps' values")
    if channels:
        found.append(_principal_components(channels, count))
    return found, notes


def rows_in(other: Run, run: Run, rows: IntArray) -> IntArray:
    """Return the rows of a run's images in another run, known by the hash of their files.

    Raises
    ------
    RunError
        The other run lacks one of them.
    """
    wanted = run.images["sha256"].to_numpy()[rows]
    place = {sha: row for row, sha in enumerate(other.images["sha256"])}
    if missing := sum(sha not in place for sha in wanted):
        raise RunError(
            f"{other.path.name} lacks {missing} of the {counted(len(wanted), 'image')} of {run.path.name}; "
            "make both runs over the same images."
        )
    return np.array([place[sha] for sha in wanted], np.int64)


def embeddings_of(run: Run, rows: IntArray) -> FloatArray:
    """Return one vector an image: the mean over the cells of the last layer's channels."""
    return run.features("mean")[rows].astype(np.float64)


def _pooling(run: Run, pool: Pool) -> FeaturePooling:
    return pool if run.info["layer"] == "head" else cast("FeaturePooling", f"layer_{pool}")


def _random_directions(channels: Mapping[Pool, FloatArray], count: int, seed: int) -> Units:
    width = next(iter(channels.values())).shape[1]
    weight = np.random.default_rng(seed).standard_normal((width, count))
    weight /= np.linalg.norm(weight, axis=0)
    pools = {pool: np.maximum(values @ weight, 0.0) for pool, values in channels.items()}
    return Units(UNTRAINED, np.arange(count), pools, "random directions over the pooled channels, with a ReLU")


def _principal_components(channels: Mapping[Pool, FloatArray], count: int) -> Units:
    pools: dict[Pool, FloatArray] = {}
    for pool, values in channels.items():
        centred = values - values.mean(axis=0)
        size, vectors = np.linalg.eigh(centred.T @ centred)
        kept = np.flatnonzero(size > 1e-10 * max(size.max(), 0.0))[::-1][:count]
        directions = vectors[:, kept]
        largest = np.abs(directions).argmax(axis=0)
        pools[pool] = centred @ (directions * np.sign(directions[largest, np.arange(kept.size)]))
    fewest = min(values.shape[1] for values in pools.values())
    return Units(PCA, np.arange(fewest), {pool: values[:, :fewest] for pool, values in pools.items()})


def _dense(values: FloatArray | csc_array) -> FloatArray:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float64)

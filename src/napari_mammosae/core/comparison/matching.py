"""Latents of two SAEs, one to one: those with the most similar decoder columns or activations."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, diags_array, hstack
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from ..base.progress import Report, ignore

FloatArray: TypeAlias = NDArray[np.float64]
Similarity: TypeAlias = Callable[[slice], NDArray[np.float32]]
"""Similarities (rows, h') of some latents of the first SAE to all of the second."""

CANDIDATES = 16
_ROWS = 1024


def of_decoders(first: NDArray[np.float32], second: NDArray[np.float32]) -> Similarity:
    """Return cosines of decoder columns, (d, h) and (d, h'); of a column of zeros they are 0."""
    a, b = (columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12) for columns in (first, second))

    def block(rows: slice) -> NDArray[np.float32]:
        return np.asarray(a[:, rows].T @ b, np.float32)

    return block


def of_activations(first: csc_array, second: csc_array) -> Similarity:
    """Return correlations of activations over the same images, (n, h) and (n, h'); 0 where one does not vary."""
    (mean_a, std_a), (mean_b, std_b) = _moments(first), _moments(second)
    count = first.shape[0]

    def block(rows: slice) -> NDArray[np.float32]:
        joint = (first[:, rows].T @ second).toarray() / count - np.outer(mean_a[rows], mean_b)
        spread = np.outer(std_a[rows], std_b)
        return np.asarray(np.divide(joint, spread, out=np.zeros_like(joint), where=spread > 0), np.float32)

    return block


def match(
    similarity: Similarity, sizes: tuple[int, int], report: Report = ignore, candidates: int = CANDIDATES
) -> tuple[NDArray[np.int64], FloatArray]:
    """Match latents one to one, so that the sum of their similarities is greatest.

    For each latent on either side the most similar ones on the other are candidates; among these the assignment is
    exact. The similarities of a thousand latents are in memory at a time.

    Parameters
    ----------
    similarity
        Of some latents of the first SAE to all of the second.
    sizes
        Numbers of latents, h and h'.
    report
        Told how many latents were compared.
    candidates
        Most similar latents that are taken into account, on either side.

    Returns
    -------
    matches, similarities
        (h,) the latent of the second SAE, -1 where there is none with a positive similarity; and (h,) how similar it
        is, 0 there.
    """
    h, other = sizes
    found = list(_candidates(similarity, sizes, candidates, report))
    rows, cols = (np.concatenate([part[axis] for part in found]) for axis in (0, 1))
    values = np.concatenate([part[2] for part in found])
    keys, places = np.unique(rows * other + cols, return_index=True)
    rows, cols, values = keys // other, keys % other, values[places]
    kept = values > 0
    costs = coo_array((2.0 - values[kept], (rows[kept], cols[kept])), shape=(h, other)).tocsr()
    alone = diags_array(np.full(h, 2.0)).tocsr()  # as dear as a similarity of 0, so that everybody has a place
    _, chosen = min_weight_full_bipartite_matching(hstack([costs, alone]).tocsr())
    matched = chosen < other
    matches = np.where(matched, chosen, -1).astype(np.int64)
    similarities = np.zeros(h)
    similarities[matched] = 2.0 - costs[np.flatnonzero(matched), matches[matched]]
    return matches, similarities


def correlations(first: csc_array, second: csc_array, matches: NDArray[np.int64]) -> FloatArray:
    """Correlation over the same images of each latent's activations with its match's; NaN where there is none."""
    (mean_a, std_a), (mean_b, std_b) = _moments(first), _moments(second)
    found = np.full(len(matches), np.nan)
    own = np.flatnonzero(matches >= 0)
    its = matches[own]
    joint = np.asarray(first[:, own].multiply(second[:, its]).sum(axis=0)).ravel() / first.shape[0]
    spread = std_a[own] * std_b[its]
    varies = spread > 0
    found[own[varies]] = (joint - mean_a[own] * mean_b[its])[varies] / spread[varies]
    return found


def _candidates(
    similarity: Similarity, sizes: tuple[int, int], count: int, report: Report
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]]:
    """Yield rows, columns and similarities: the best of each row, and at the end the best of each column."""
    h, other = sizes
    best = np.full((0, other), -np.inf, np.float32)
    best_rows = np.zeros((0, other), np.int64)
    for start in range(0, h, _ROWS):
        block = similarity(slice(start, start + _ROWS))
        rows = np.arange(start, start + len(block))
        top = _largest(block, count)
        yield np.repeat(rows, top.shape[1]), top.ravel(), np.take_along_axis(block, top, 1).ravel().astype(np.float64)
        best = np.concatenate([best, block])
        best_rows = np.concatenate([best_rows, np.broadcast_to(rows[:, None], block.shape)])
        keep = _largest(best.T, count).T
        best, best_rows = np.take_along_axis(best, keep, 0), np.take_along_axis(best_rows, keep, 0)
        report("Comparing latents", min(start + _ROWS, h), h)
    cols = np.broadcast_to(np.arange(other), best.shape)
    yield best_rows.ravel(), cols.ravel(), best.ravel().astype(np.float64)


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the largest values of each row."""
    count = min(count, values.shape[1])
    return np.argpartition(-values, count - 1, axis=1)[:, :count]


def _moments(activations: csc_array) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column; the latter 0 where rounding alone makes it differ from 0."""
    count = activations.shape[0]
    mean = np.asarray(activations.sum(axis=0)).ravel() / count
    square = np.asarray(activations.multiply(activations).sum(axis=0)).ravel() / count
    variance = square - mean**2
    return mean, np.sqrt(np.where(variance > 1e-12 * square, variance, 0))

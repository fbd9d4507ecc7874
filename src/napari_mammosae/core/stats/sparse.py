"""Areas for every latent at once, from the non-zero activations alone.

The columns of a sparse matrix are latents, its rows images; a latent is zero on most images, so the zeros
are counted and never visited. Activations are not negative, hence zeros are the lowest group of ties.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..base.errors import SettingsError
from .measures import BoolArray, FloatArray, IntArray, binary_labels


@dataclass(frozen=True, slots=True)
class TieGroups:
    """The non-zero entries of a matrix, gathered into runs of equal value within a column, values rising.

    Attributes
    ----------
    column : (G,) int64
        Column of each group.
    size, positives : (G,) int64
        Entries in the group, and how many of them belong to the positive class.
    rows, columns : int
        Shape of the matrix.
    total : int
        Positive rows.
    """

    column: IntArray
    size: IntArray
    positives: IntArray
    rows: int
    columns: int
    total: int

    def per_column(self, values: FloatArray | IntArray) -> FloatArray:
        """Sum of a figure over the groups of each column, (h,) float64."""
        return np.bincount(self.column, weights=values, minlength=self.columns).astype(np.float64)

    def before(self, values: IntArray) -> IntArray:
        """Sum up a figure within each column, up to but without the group itself."""
        running = np.cumsum(values) - values
        return np.asarray(running - running[np.searchsorted(self.column, self.column, "left")])


def activations(pooled: Any) -> Any:
    """Return activations (images, latents) as canonical csc without stored zeros.

    Raises
    ------
    SettingsError
        On a negative or non-finite activation, which latents behind a ReLU cannot have.
    """
    matrix = scipy.sparse.csc_array(pooled)
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if matrix.data.size and not (np.isfinite(matrix.data).all() and matrix.data.min() > 0):
        raise SettingsError("a pooled activation is negative or not finite; latents are never below zero.")
    return matrix


def columns_of(matrix: Any) -> IntArray:
    """Column number of every stored entry of a csc matrix."""
    return np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))


def tie_groups(pooled: Any, labels: ArrayLike) -> TieGroups:
    """Gather the entries of a sparse matrix (images, latents) by column and equal value."""
    matrix = activations(pooled)
    positive = labels_for(matrix, labels)
    column = columns_of(matrix)
    order = np.lexsort((matrix.data, column))
    column, value = column[order], matrix.data[order]
    is_positive = positive[matrix.indices[order]]
    starts = np.flatnonzero(np.r_[True, (column[1:] != column[:-1]) | (value[1:] != value[:-1])][: column.size])
    size = np.diff(np.r_[starts, column.size])
    positives = np.add.reduceat(is_positive.astype(np.int64), starts) if starts.size else size
    rows, columns = matrix.shape
    return TieGroups(column[starts], size, positives, rows, columns, int(positive.sum()))


def labels_for(matrix: Any, labels: ArrayLike) -> BoolArray:
    """Boolean labels, one for each row of a matrix."""
    positive = binary_labels(labels)
    if positive.size != matrix.shape[0]:
        raise SettingsError(f"{positive.size} labels for {matrix.shape[0]} images; they must go together.")
    return positive


def sparse_auroc(pooled: Any, labels: ArrayLike) -> FloatArray:
    """AUROC of every column of a sparse (images, latents) matrix, exact with ties, (h,) float64.

    Silent latents have 0.5. All NaN where one class is missing.
    """
    groups = tie_groups(pooled, labels)
    u, pairs = _mann_whitney(groups)
    return u / pairs if pairs else np.full(groups.columns, np.nan)


def sparse_auroc_p(pooled: Any, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """AUROC of every column and its two-sided Mann-Whitney p-value.

    Normal approximation with tie and continuity correction; images count as independent, which two views of
    one patient are not, so intervals by patient say more. Silent latents have p = 1.
    """
    groups = tie_groups(pooled, labels)
    u, pairs = _mann_whitney(groups)
    if not pairs:
        return np.full(groups.columns, np.nan), np.full(groups.columns, np.nan)
    n = groups.rows
    zeros = n - groups.per_column(groups.size)
    sizes = groups.size.astype(np.float64)
    ties = groups.per_column(sizes**3 - sizes) + zeros**3 - zeros
    variance = pairs / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)))
    distance = np.maximum(np.abs(u - pairs / 2.0) - 0.5, 0.0)
    z = np.divide(distance, np.sqrt(np.maximum(variance, 0.0)), out=np.zeros_like(u), where=variance > 0)
    return u / pairs, np.asarray(np.minimum(2.0 * ndtr(-z), 1.0))


def sparse_average_precision(pooled: Any, labels: ArrayLike) -> FloatArray:
    """Average precision of every column, equal values one threshold, (h,) float64; NaN without positives."""
    groups = tie_groups(pooled, labels)
    if not groups.total:
        return np.full(groups.columns, np.nan)
    fired = groups.per_column(groups.size)
    hits = groups.per_column(groups.positives)
    # values rise inside a column: what is not lower is the column's total minus what came before
    true_positive = hits[groups.column] - groups.before(groups.positives)
    predicted = fired[groups.column] - groups.before(groups.size)
    gained = groups.per_column(groups.positives * true_positive / predicted)
    # the last threshold takes the zeros in: every image is then predicted positive
    return (gained + (groups.total - hits) * groups.total / groups.rows) / groups.total


def _mann_whitney(groups: TieGroups) -> tuple[FloatArray, float]:
    """U of every column, from midranks of its non-zero positives among its non-zeros; number of pairs."""
    p1 = groups.per_column(groups.positives)
    p0 = groups.per_column(groups.size) - p1
    n1 = groups.total - p1
    n0 = groups.rows - groups.total - p0
    midrank = groups.before(groups.size) + (groups.size + 1) / 2.0
    ranks = groups.per_column(groups.positives * midrank)
    u = ranks - p1 * (p1 + 1.0) / 2.0 + p1 * n0 + 0.5 * n1 * n0
    return u, float(groups.total) * float(groups.rows - groups.total)

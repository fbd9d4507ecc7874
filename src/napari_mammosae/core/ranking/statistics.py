"""Sums over the images of each class, from which most scores follow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import FloatArray, IntArray
from ..stats.sparse import activations, columns_of

TOP_IMAGES = 50  # images a label entropy looks at
FEWEST_IMAGES = 10  # images a latent must fire on for a label entropy
ROUNDING = 1e-12  # a standard deviation this small beside the mean is rounding, not variation


@dataclass(frozen=True, slots=True, eq=False)
class ClassStatistics:
    """Activation of every latent over the images of every class.

    Attributes
    ----------
    classes : (C,) int64
        Label values that occur, rising.
    counts : (C,) int64
        Images of each class.
    sums, spread : (C, h) float64
        Sum of the image activations, and of their squared distances from the class mean.
    fired : (C, h) int64
        Images on which the latent is above zero.
    """

    classes: IntArray
    counts: IntArray
    sums: FloatArray
    spread: FloatArray
    fired: IntArray

    @property
    def means(self) -> FloatArray:
        """Mean activation of each class, (C, h) (Mammo-SAE eq. 2)."""
        return np.asarray(self.sums / self.counts[:, None])

    def row(self, label: int) -> int:
        """Return the row of a class; SettingsError where no image has that label."""
        found = np.flatnonzero(self.classes == label)
        if not found.size:
            raise SettingsError(f"no image has class {label}; the labels hold {', '.join(map(str, self.classes))}.")
        return int(found[0])

    def rest(self, label: int) -> "ClassStatistics":
        """Return two classes in the place of all: the others together (0), and this one (1).

        Raises
        ------
        SettingsError
            If no image has the class, or all have it: nothing could be compared.
        """
        row = self.row(label)
        others = np.arange(self.classes.size) != row
        if not others.any():
            raise SettingsError(f"all {self.counts[row]} images have class {label}; a contrast needs others too.")
        rest = self.pooled(others)
        return ClassStatistics(
            np.arange(2),
            np.array([rest.counts[0], self.counts[row]]),
            np.stack([rest.sums[0], self.sums[row]]),
            np.stack([rest.spread[0], self.spread[row]]),
            np.stack([rest.fired[0], self.fired[row]]),
        )

    def pooled(self, rows: Any = slice(None)) -> "ClassStatistics":
        """Return several classes (all by default) taken together as one, class 0."""
        counts, sums, spread = self.counts[rows], self.sums[rows], self.spread[rows]
        total, whole = counts.sum(), sums.sum(axis=0)
        between = (counts[:, None] * (sums / counts[:, None] - whole / total) ** 2).sum(axis=0)
        return ClassStatistics(
            np.zeros(1, np.int64),
            counts.sum(keepdims=True),
            whole[None],
            (spread.sum(axis=0) + between)[None],
            self.fired[rows].sum(axis=0, keepdims=True),
        )


def class_statistics(pooled: Any, labels: ArrayLike) -> ClassStatistics:
    """Sum up a sparse matrix (images, latents) of pooled activations by class number.

    Raises
    ------
    SettingsError
        If there is no image, or labels are not one whole number an image.
    """
    matrix = activations(pooled)
    values = np.asarray(labels, dtype=np.float64)
    if values.shape != matrix.shape[:1] or not values.size:
        raise SettingsError(f"{values.size} labels for {matrix.shape[0]} images; expected one per image.")
    if not np.array_equal(values, np.round(values)):
        raise SettingsError("class numbers must be whole and known; leave out images without a label.")
    classes, group = np.unique(values.astype(np.int64), return_inverse=True)
    counts = np.bincount(group)
    h = matrix.shape[1]
    entry = group[matrix.indices] * h + columns_of(matrix)
    data = matrix.data.astype(np.float64)
    shape = (classes.size, h)

    def by_class(weights: FloatArray | None) -> Any:
        return np.bincount(entry, weights=weights, minlength=classes.size * h).reshape(shape)

    fired, sums = by_class(None), by_class(data)
    means = sums / counts[:, None]
    spread = by_class((data - means.ravel()[entry]) ** 2) + (counts[:, None] - fired) * means**2
    return ClassStatistics(classes, counts, sums, spread, fired)


def label_entropy(pooled: Any, labels: ArrayLike, *, divide_priors: bool = False) -> FloatArray:
    """Entropy in nats of the classes among the 50 images that activate each latent most, (h,) float64.

    The share of a class is its share of the activation; with `divide_priors` each share is divided by the class's
    share of all images first, because with 97 % negatives everything looks pure. NaN for latents that fire on
    fewer than 10 images.
    """
    matrix = activations(pooled)
    classes, group = np.unique(np.asarray(labels), return_inverse=True)
    h = matrix.shape[1]
    column = columns_of(matrix)
    best = np.lexsort((matrix.indices, -matrix.data, column))
    place = np.arange(best.size) - matrix.indptr[column[best]]
    best = best[place < TOP_IMAGES]
    cell = group[matrix.indices[best]] * h + column[best]
    activation = matrix.data[best].astype(np.float64)
    shares = np.asarray(np.bincount(cell, activation, classes.size * h), np.float64).reshape(classes.size, h)
    if divide_priors:
        shares /= np.bincount(group)[:, None]
    defined = np.diff(matrix.indptr) >= FEWEST_IMAGES
    p = shares[:, defined] / shares[:, defined].sum(axis=0)
    entropy = np.full(h, np.nan)
    entropy[defined] = -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(axis=0) + 0.0
    return entropy

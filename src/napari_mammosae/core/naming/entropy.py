"""Whether a unit goes with one label or with many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..stats.measures import FloatArray, IntArray


def share_entropy(weights: FloatArray) -> FloatArray:
    """Return the entropy of each row's shares (U, C), 0 for one label alone and 1 for all alike; NaN for rows of zeros.

    >>> share_entropy(np.array([[0.3, 0.0], [0.2, 0.2]])).tolist()
    [0.0, 1.0]
    """
    w = np.nan_to_num(weights)
    total = w.sum(axis=1, keepdims=True)
    p = np.divide(w, total, out=np.full(w.shape, np.nan), where=total > 0)
    h = -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(axis=1) + 0.0
    return np.asarray(h / np.log(w.shape[1]) if w.shape[1] > 1 else h)


def by_label(strength: FloatArray, group: IntArray) -> FloatArray:
    """Return the greatest strength (U, C) among the concepts of each label, (U, G): one density is no second label."""
    out = np.full((strength.shape[0], int(group.max(initial=-1)) + 1), -np.inf)
    np.maximum.at(out.T, group, np.nan_to_num(strength).T)
    return out


def margin_to_next(by_label_strength: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the second label of each row (U, G), -1 where there is none, and how far the first one is ahead."""
    if by_label_strength.shape[1] < 2:
        return np.full(len(by_label_strength), -1), by_label_strength.max(axis=1, initial=0.0)
    order = np.argsort(-by_label_strength, axis=1, kind="stable")
    ranked = np.take_along_axis(by_label_strength, order, axis=1)
    return order[:, 1], ranked[:, 0] - ranked[:, 1]

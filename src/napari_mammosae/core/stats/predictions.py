"""What logits say: the decided class, and probabilities."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, softmax

from .measures import FloatArray, IntArray


def decisions(logits: ArrayLike) -> IntArray:
    """Return the decided class of each image, (n,) int64.

    Of several logits (n, C) the highest decides, the first of equal ones. A single logit, (n,) or (n, 1), decides
    for class 1 where it is at least 0.

    >>> decisions([-1.0, 0.0, 2.0]).tolist(), decisions([[1.0, 3.0, 3.0]]).tolist()
    ([0, 1, 1], [1])
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim == 1 or values.shape[1] == 1:
        return np.where(values.reshape(len(values)) >= 0, 1, 0)
    return np.asarray(np.argmax(values, axis=1), dtype=np.int64)


def probabilities(logits: ArrayLike, task: str) -> FloatArray:
    """Return the probabilities of logits (..., C): one softmax for the task "multiclass", else a sigmoid each.

    >>> probabilities([0.0, 0.0], "multilabel").tolist(), probabilities([0.0, 0.0], "multiclass").tolist()
    ([0.5, 0.5], [0.5, 0.5])
    """
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(softmax(values, axis=-1) if task == "multiclass" else expit(values))

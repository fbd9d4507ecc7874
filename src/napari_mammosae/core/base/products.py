"""Products of matrices that one thread does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 1 << 24
"""Multiplications that take one thread some ten milliseconds."""


def product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return `a @ b` of a vector or matrix and a matrix.

    Small ones are not for BLAS: beside a window that draws, its threads wait for each other longer than all the work
    takes, and keep a core busy for a while after it.
    """
    small = a.size * b.shape[-1] <= _SMALL
    return np.asarray(np.einsum("...i,ij->...j", a, b) if small else a @ b)

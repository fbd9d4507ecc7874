"""Division where the whole may be nothing."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike, undefined: float = np.nan) -> Doubles:
    """`part / whole` element by element, and `undefined` where the whole is not above 0."""
    above, below = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    out = np.full(above.shape, undefined)
    np.divide(above, below, out=out, where=below > 0)
    return out

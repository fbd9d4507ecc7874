"""What a run's readers get of a block of images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..anatomy.cell_parts import BREAST_PARTS


@dataclass(frozen=True, slots=True, eq=False)
class MapsPart:
    """Non-zero cells of a block of images, sorted by latent, image, cell: four columns of one length."""

    latent: NDArray[np.int32]
    image: NDArray[np.int32]
    cell: NDArray[np.int32]
    value: NDArray[np.float32]


_NONE = np.empty(0, np.int32)
NO_CELLS = MapsPart(_NONE, _NONE, _NONE, np.empty(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class RegionsPart:
    """Shares of the cells of a block of images that lie in each region.

    Attributes
    ----------
    image
        int32 (m,), ascending.
    shares
        Region -> float32 (m, H', W').
    breast_parts
        uint64 (m, H', W'): parts of the cells that the breast covers, see `anatomy.cell_parts`; None in old runs.
    """

    image: NDArray[np.int32]
    shares: dict[str, NDArray[np.float32]]
    breast_parts: NDArray[np.uint64] | None = None

    @property
    def everything(self) -> dict[str, NDArray[Any]]:
        """The shares, and the parts of the breast where they are known."""
        parts = {} if self.breast_parts is None else {BREAST_PARTS: self.breast_parts}
        return {**self.shares, **parts}

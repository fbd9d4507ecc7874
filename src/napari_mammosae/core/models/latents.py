"""The latents of one image: every one of the h maps, of which only those that fire take memory. Knows no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.geometry import Frame

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LatentMaps:
    """All latents of one image.

    Attributes
    ----------
    shape
        (h, H', W'): latents, cell rows, cell columns.
    latents
        int32 (L,), ascending: the latents that fire in at least one cell.
    values
        float32 or float16 (L, H', W'): their maps, in the same order.
    pooled_mean, pooled_max
        float32 (h,): mean and maximum over all H' W' cells, summed in float64.
    active_cells
        int32 (h,): cells above zero.
    logits, logits_sae
        float64 (C,): of the image, and of its SAE reconstruction; C is 0 for a model without a classifier.
    error_norm
        Root of the mean over cells of the squared Euclidean norm of feature minus reconstruction.
    frame
        Where the model's input lies in the source image; None when the input did not come from an image.
    key
        Names the image and model under which the model keeps what an edit of an inner layer starts from; "" where
        nothing is kept, as for the last layer.
    """

    shape: tuple[int, int, int]
    latents: NDArray[np.int32]
    values: NDArray[np.floating[Any]]
    pooled_mean: NDArray[np.float32]
    pooled_max: NDArray[np.float32]
    active_cells: NDArray[np.int32]
    logits: NDArray[np.float64]
    logits_sae: NDArray[np.float64]
    error_norm: float
    frame: Frame | None = None
    key: str = ""

    def __getitem__(self, latent: int) -> Map:
        """Map (H', W') of a latent as float32; zeros when it is silent here."""
        row = self.row(latent)
        if row is None:
            return np.zeros(self.shape[1:], np.float32)
        return np.asarray(self.values[row], dtype=np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def row(self, latent: int) -> int | None:
        """Row of `values` that holds a latent, None when it is silent.

        Raises
        ------
        IndexError
            If there is no such latent.
        """
        if not 0 <= latent < self.shape[0]:
            raise IndexError(f"latent {latent} of {self.shape[0]}")
        row = int(np.searchsorted(self.latents, latent))
        return row if row < len(self.latents) and self.latents[row] == latent else None

"""Batches of decoded images through the model, within the memory there is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...base.errors import MammoSAEError, ModelError
from ...images.preprocessing import Preprocessing, normalised_channels
from ...models.latents import LatentMaps
from ...models.memory import MemoryLadder
from .decode import Decoded, Failed

if TYPE_CHECKING:
    import torch

    from ...models.model import MammoSAE


class Computer:
    """Computes latents of images, a batch at a time.

    Parameters
    ----------
    model
        Must have an SAE.
    batch
        Images a batch; None: one on the CPU, where more is no faster and results equal those of a single
        image exactly, and eight on a GPU.
    notice
        Called with a sentence when the memory forces another way of computing.

    Raises
    ------
    ModelError
        The model has no SAE.
    """

    def __init__(self, model: "MammoSAE", batch: int | None, notice: Callable[[str], None]) -> None:
        if model.sae is None:
            raise ModelError(f"{model.name} was loaded without a sparse autoencoder; a run needs one")
        self.model = model
        self._ladder = MemoryLadder(model, batch or (1 if model.device == "cpu" else 8), notice)

    @property
    def batch(self) -> int:
        """Number of images computed at once."""
        return self._ladder.batch or 1

    def __call__(self, images: Sequence[Decoded]) -> list[LatentMaps | Failed]:
        """Compute the images, in order; one whose latents are not finite fails alone.

        Raises
        ------
        ModelError
            Not even one image fits in memory.
        """
        return [result for part in self._ladder.run(images, self._batch) for result in part]

    def _batch(self, images: Sequence[Decoded]) -> Sequence[LatentMaps | Failed]:
        try:
            return self._compute(images)
        except MammoSAEError as error:
            if len(images) == 1:
                return [Failed(images[0].entry, f"{images[0].entry.path.name}: {error}")]
        return [result for image in images for result in self._batch([image])]

    def _compute(self, images: Sequence[Decoded]) -> list[LatentMaps]:
        from ...models.compute import latents_of_features
        from ...models.heads import lasting_logits

        x = stack_inputs(images, self.model.preprocessing)
        found = latents_of_features(self.model, self.model.features(x), [image.frame for image in images])
        kept = lasting_logits(self.model.heads)
        return [replace(one, logits=one.logits[kept], logits_sae=one.logits_sae[kept]) for one in found]


def stack_inputs(images: Sequence[Decoded], preprocessing: Preprocessing) -> "torch.Tensor":
    """Normalise decoded images into one batch (n, C, H, W), float32.

    Raises
    ------
    ImageError
        An image is empty.
    """
    import torch

    planes = [normalised_channels(image.pixels, preprocessing, image.entry.path.name) for image in images]
    return torch.from_numpy(np.stack(planes)).expand(-1, preprocessing.channels, -1, -1)

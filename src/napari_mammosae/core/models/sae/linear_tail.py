"""What latents add to the logits, where all that follows them is linear."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...base.errors import ModelError
from ..adapters.protocol import Backbone
from ..facts import why_not_linear
from ..heads import HasHeads, stacked
from ..layers import block_of_layer
from .autoencoder import SparseAutoencoder

_COLUMNS = 2_048
"""Latents that are worked out at once: a whole decoder in float64 would take 268 MB."""


class HasLinearTail(HasHeads):
    """The way from the latents of a model to its logits."""

    backbone: Backbone
    sae: SparseAutoencoder | None
    name: str
    layer: str

    @cached_property
    def block(self) -> int | None:
        """Number of the block that the SAE reads, None for the last feature map."""
        return block_of_layer(self.layer, self.backbone)

    @property
    def head_weight(self) -> NDArray[np.float64]:
        """Weights (C, d) of all heads in order, on the CPU."""
        return stacked(self.heads, self.backbone.pooled_channels)[0]

    @property
    def head_bias(self) -> NDArray[np.float64]:
        """Biases (C,) of all heads in order."""
        return stacked(self.heads, self.backbone.pooled_channels)[1]

    @property
    def each_cell_normalised(self) -> bool:
        """Whether the SAE normalises the features of each cell."""
        return self.sae is not None and self.sae.norm is not None

    @property
    def linear(self) -> bool:
        """Whether latents add up to the logits, so that edits have closed forms."""
        return self.block is None and self.backbone.tail == "mean" and not self.each_cell_normalised

    @property
    def autoencoder(self) -> SparseAutoencoder:
        """The SAE; ModelError without one."""
        if self.sae is None:
            raise ModelError(f"{self.name} was loaded without a sparse autoencoder; give `sae` a file")
        return self.sae

    def _sae_of_tail(self) -> SparseAutoencoder:
        if why := self._why_not_linear():
            raise ModelError(why)
        return self.autoencoder

    def _why_not_linear(self) -> str:
        has_sae, has_head = self.sae is not None, bool(self.heads)
        return why_not_linear(self.name, self.layer, has_sae, has_head, self.each_cell_normalised, self.backbone.tail)

    @cached_property
    def attribution(self) -> NDArray[np.float64]:
        """(C, h): what one unit of a latent's mean over the cells adds to each logit, w . d_i.

        Raises
        ------
        ModelError
            If the layer is not "head" (what follows is not linear there), or there is no SAE or no head.
        """
        return through_decoder(self.head_weight, self._sae_of_tail())

    @cached_property
    def cell_attribution(self) -> NDArray[np.float64] | None:
        """What one unit of a latent's mean, each cell times its own size, adds to each logit; see `ModelFacts`."""
        if self.sae is None or not self.each_cell_normalised or self.block is not None or not self.heads:
            return None
        return through_decoder(self.head_weight, self.sae)

    @cached_property
    def constant(self) -> NDArray[np.float64]:
        """(C,): the logits of an image on which no latent fires, b + w . b_dec."""
        return np.asarray(self.head_bias + self.head_weight @ self._sae_of_tail().tied_bias.double().cpu().numpy())

    def linear_tail(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return attribution (C, h) and constant (C,); ModelError, saying why, if there are none."""
        return self.attribution, self.constant


def through_decoder(weight: NDArray[np.float64], sae: SparseAutoencoder) -> NDArray[np.float64]:
    """Return weights (C, d) times the decoder (d, h): what one unit of each latent adds to each output, (C, h)."""
    decoder = sae.decoder_weight
    starts = range(0, decoder.shape[1], _COLUMNS)
    pieces = [weight @ decoder[:, start : start + _COLUMNS].double().cpu().numpy() for start in starts]
    return np.concatenate(pieces, axis=1)

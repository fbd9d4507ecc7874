"""Loss and gradients of a ReLU SAE's batch by five matrix products, and few passes over the largest arrays.

Written out rather than left to autograd, which needs a sixth product for the tied bias, and several times the memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a batch gave: loss, its squared error, latents that fired a cell, all (), and which fired at all, (h,)."""

    loss: Tensor
    squared_error: Tensor
    l0: Tensor
    fired: Tensor


class ReluGradients:
    """Gradients of ``mean((x' - x)^2) + l1 * sum(z) / n``, put where an optimizer looks for them.

    The arrays that it needs stay: several SAEs of one size can share it.

    Parameters
    ----------
    half
        Whether the products, and what lies between them, are in bfloat16; gradients are float32.
    """

    def __init__(self, *, half: bool = False) -> None:
        self.half = half
        self._dtype, self._bits = (torch.bfloat16, torch.int16) if half else (torch.float32, torch.int32)
        self._arrays: dict[str, Tensor] = {}

    @torch.no_grad()
    def fill(self, sae: SparseAutoencoder, x: Tensor, l1: float) -> Measured:
        """Set the gradients of all parameters for the batch `x` (n, d)."""
        (n, d), h = x.shape, sae.n_latents
        for parameter in sae.parameters():
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
        encoder, decoder = self._cast("encoder", sae.encoder_weight), self._cast("decoder", sae.decoder_weight)
        codes, back = self._array("codes", (n, h), x), self._array("back", (n, h), x)
        ones = torch.ones(n, dtype=self._dtype, device=x.device)
        exact = x - sae.tied_bias
        centred = exact.to(self._dtype)
        bias, slope = sae.encoder_bias.to(self._dtype), ones.new_full((h,), l1 / n)
        torch.ops.aten._addmm_activation.out(bias, centred, encoder.T, use_gelu=False, out=codes)  # a ReLU
        missed = (codes @ decoder.T).float().sub_(exact)
        squared_error = missed.flatten().dot(missed.flatten()) / (n * d)
        missed = missed.mul_(2 / (n * d)).to(self._dtype)
        # turned in memory, as a bfloat16 product of what is turned takes a CPU a third longer
        self._product("decoder_gradient", missed.T.contiguous(), codes, sae.decoder_weight)
        summed = ones @ codes
        torch.addmm(slope, missed, decoder, out=back)
        torch.ops.aten.threshold_backward.grad_input(back, codes, 0, grad_input=back)
        self._product("encoder_gradient", back.T, centred, sae.encoder_weight)
        assert sae.encoder_bias.grad is not None
        assert sae.tied_bias.grad is not None
        sae.encoder_bias.grad.copy_(ones @ back)
        sae.tied_bias.grad.copy_(ones @ missed - sae.encoder_bias.grad @ sae.encoder_weight)
        l0 = torch.count_nonzero(codes.view(self._bits)) / n  # a CPU counts integers ten times as fast
        return Measured(squared_error + l1 / n * summed.float().sum(), squared_error, l0, summed > 0)

    def _array(self, name: str, shape: tuple[int, int], like: Tensor) -> Tensor:
        """Return room for an array; for one with fewer rows the first of them."""
        kept = self._arrays.get(name)
        if kept is None or kept.shape[1] != shape[1] or len(kept) < shape[0] or kept.device != like.device:
            kept = self._arrays[name] = torch.empty(shape, dtype=self._dtype, device=like.device)
        return kept[: shape[0]]

    def _cast(self, name: str, weight: Tensor) -> Tensor:
        """Return a weight in the format of the products."""
        if weight.dtype == self._dtype:
            return weight
        return self._array(name, (weight.shape[0], weight.shape[1]), weight).copy_(weight)

    def _product(self, name: str, a: Tensor, b: Tensor, parameter: Tensor) -> None:
        """Put the product of two arrays where the gradient of a parameter belongs."""
        assert parameter.grad is not None
        if self._dtype == torch.float32:
            torch.mm(a, b, out=parameter.grad)
        else:
            room = self._array(name, (parameter.shape[0], parameter.shape[1]), parameter)
            parameter.grad.copy_(torch.mm(a, b, out=room))

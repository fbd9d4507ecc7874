"""A ReLU SAE's step in bfloat16 on a GPU, compiled: all between its five products in few passes over memory.

Matrix products in bfloat16 take so little time on a GPU that a step spends as long again on reading and writing
weights, moments and codes, once for each operation. A compiler joins these operations. The decoder's columns lie one
after the other in memory meanwhile, so that a column's gradient, update and norm are one pass as well.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ...base.caches import cache_folder
from ...models.sae.autoencoder import SparseAutoencoder
from .relu_gradients import Measured

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
"""Adam's, as PyTorch has them by default."""
_MOMENTS = ("exp_avg", "exp_avg_sq")


class CompiledStep:
    """Takes steps on an SAE, with the moments where Adam keeps them.

    Parameters
    ----------
    sae
        With a ReLU, on the device.
    optimizer
        Adam over its parameters.
    rate, l1
        Learning rate, and weight of the codes' sum.
    run
        What takes the step; by default `step_on`, compiled.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        optimizer: torch.optim.Adam,
        rate: float,
        l1: float,
        run: Callable[..., Any] | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        decoder = sae.decoder_weight
        kept = _moments(optimizer, decoder)
        decoder.grad = None  # it would lie the other way
        decoder.data = _column_by_column(decoder.data)
        for name in _MOMENTS:
            kept[name] = _column_by_column(kept[name])
        self._settings = torch.tensor([rate, l1], device=sae.tied_bias.device)
        others = (sae.encoder_weight, sae.encoder_bias, sae.tied_bias)
        encoder, *biases = (parameter.detach() for parameter in others)
        self._parameters = [encoder, decoder.detach().T, *biases]
        self._products = [weight.to(dtype, copy=True) for weight in self._parameters[:2]]
        encoders, *of_biases = (_moments(optimizer, parameter) for parameter in others)
        self._steps = [one["step"] for one in (encoders, kept, *of_biases)]
        turned = {name: kept[name].T for name in _MOMENTS}
        self._moments = [one[name] for one in (encoders, turned, *of_biases) for name in _MOMENTS]
        self._run = run or _compiled()

    def refresh(self) -> None:
        """Take up weights that something else has changed."""
        for product, weight in zip(self._products, self._parameters, strict=False):
            product.copy_(weight)

    def __call__(self, x: Tensor) -> Measured:
        """Take one step on a batch (n, d)."""
        with torch.no_grad():
            step = self._steps[0] + 1
            made = self._run(x, *self._parameters, *self._products, self._moments, step, self._settings)
            for one in self._steps:
                one.copy_(step)
        return Measured(*made)


def _moments(optimizer: torch.optim.Adam, parameter: Tensor) -> dict[str, Tensor]:
    """Return what Adam keeps of a parameter, as it keeps it."""
    kept: dict[str, Tensor] = optimizer.state[parameter]
    if not kept:
        kept["step"] = torch.zeros((), device=parameter.device)
        kept["exp_avg"], kept["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    return kept


def _column_by_column(array: Tensor) -> Tensor:
    """Return the array (d, h), its columns one after the other in memory."""
    return array.T.contiguous().T


@cache
def _compiled() -> Callable[..., Any]:
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")
    return torch.compile(step_on, dynamic=False)


def step_on(
    x: Tensor,
    encoder: Tensor,
    columns: Tensor,
    bias: Tensor,
    tied: Tensor,
    half_encoder: Tensor,
    half_columns: Tensor,
    moments: list[Tensor],
    step: Tensor,
    settings: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Take a step: gradients as in `ReluGradients`, Adam's update, and the decoder's columns back to unit norm.

    `columns` are those of the decoder, as rows (h, d).
    """
    (n, d), (rate, l1), half = x.shape, settings.unbind(), half_encoder.dtype
    centred = (x - tied).to(half)
    codes = torch.ops.aten._addmm_activation(bias.to(half), centred, half_encoder.T, use_gelu=False)  # a ReLU
    missed = (codes @ half_columns).float() + tied - x
    squared_error = missed.square().sum() / (n * d)
    missed = (missed * (2 / (n * d))).to(half)
    on_columns = (codes.T @ missed).float()
    back = torch.where(codes > 0, (missed @ half_columns.T).float() + l1 / n, 0).to(half)
    on_encoder = (back.T @ centred).float()
    on_bias = codes.new_ones(1, n) @ back  # as products: the compiler's own sums take ten times as long
    on_tied = missed.sum(0, dtype=torch.float32) - (on_bias @ half_encoder)[0].float()
    summed = codes.sum(0, dtype=torch.float32)
    l0 = (codes > 0).sum() / n
    on_columns = on_columns - columns * (on_columns * columns).sum(1, keepdim=True)  # the part along a column
    gradients = (on_encoder, on_columns, on_bias[0].float(), on_tied)
    for at, (parameter, gradient) in enumerate(zip((encoder, columns, bias, tied), gradients, strict=True)):
        _update(parameter, gradient, moments[2 * at], moments[2 * at + 1], step, rate)
    columns.div_(columns.square().sum(1, keepdim=True).sqrt().clamp_min(1e-8))
    half_encoder.copy_(encoder)
    half_columns.copy_(columns)
    return squared_error + l1 / n * summed.sum(), squared_error, l0, summed > 0


def _update(parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: Tensor, rate: Tensor) -> None:
    """Update a parameter in place, as Adam does (Kingma and Ba 2015, algorithm 1)."""
    first, second = _BETAS
    mean.lerp_(gradient, 1 - first)
    square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    root = (square / (1 - second**step)).sqrt() + _EPSILON
    parameter.sub_(rate / (1 - first**step) * mean / root)

"""Half precision where a processor has no arithmetic for it: values are rounded, products and sums are float32.

PyTorch computes in such a format all the same, a product in up to a hundred times the time of float32.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn


def computes_in(dtype: torch.dtype, device: str) -> bool:
    """Whether a device has arithmetic of its own for a number format.

    Processors before AVX-512 have none for bfloat16, and few have one for float16.

    Examples
    --------
    >>> computes_in(torch.float32, "cpu")
    True
    """
    if device != "cpu" or dtype == torch.float32:
        return True
    asked = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}[dtype]
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and bool(getattr(torch.ops.mkldnn, asked)())


def slow_format(precision: str) -> str:
    """Say what is done where a processor has no arithmetic for a format; a sentence without its full stop."""
    return f"this processor does not compute in {precision}: values are rounded to it and computed in float32"


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values rounded to another format, in the format that they have.

    Examples
    --------
    >>> rounded(torch.tensor([1.001, 1e6]), torch.float16)
    tensor([1.0010,    inf])
    """
    return values.to(dtype).to(values.dtype)


def round_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Round the weights of a network, in tensors of their own: the ones of before may be somebody else's."""
    for weight in (*network.parameters(), *network.buffers()):
        if weight.is_floating_point():
            weight.data = rounded(weight.data, dtype)


def round_products(network: nn.Module, dtype: torch.dtype) -> None:
    """Round the weights of a network, and from now on what each of its convolutions and linear layers is given.

    A network that rounds already stays as it is: models that differ in their SAE or heads share one.
    """
    hook = _rounding(dtype)
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    if any(hook in layer._forward_pre_hooks.values() for layer in layers):
        return
    round_weights(network, dtype)
    for layer in layers:
        layer.register_forward_pre_hook(hook)


@cache
def _rounding(dtype: torch.dtype) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def hook(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (rounded(given[0], dtype), *given[1:])

    return hook

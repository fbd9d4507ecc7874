"""Blocks of an EfficientNet as matrix products: what a GPU computes in fewer passes over the largest maps.

cuDNN adds a convolution's bias in a pass of its own, as slow as the activation after it; a product over the channels
adds it while it writes. And gates of the input's channels go into the weights of the products that follow them.
"""

from typing import Any

import torch
from torch import Tensor, nn


def through_block(block: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a timm block for `x` (N, C, H, W): the same function, with other rounding.

    Blocks whose batch norms are not folded, and those that are being compiled, go their usual way.
    """
    own: Any = block
    expanding = hasattr(block, "conv_pwl")
    last_norm = own.bn3 if expanding else own.bn2
    if isinstance(last_norm, nn.BatchNorm2d) or torch.compiler.is_compiling():
        found: Tensor = block(x)
        return found
    shortcut = x
    norm, projection = (own.bn2, own.conv_pwl) if expanding else (own.bn1, own.conv_pw)
    wide = pointwise(own.conv_pw, own.bn1, x) if expanding else x
    x = last_norm(_projected(projection, own.se, norm(own.conv_dw(wide))))
    return x.add_(shortcut) if own.has_skip else x


def pointwise(convolution: nn.Module, activation: nn.Module, x: Tensor) -> Tensor:
    """Return a convolution of 1 x 1 and its activation as one product over all cells (N, C, H, W)."""
    if isinstance(activation, nn.BatchNorm2d) or torch.compiler.is_compiling():
        found: Tensor = activation(convolution(x))
        return found
    own: Any = convolution
    cells = _cells(x)
    product = torch.addmm(own.bias, cells.flatten(0, 1), own.weight.flatten(1).T)
    found = activation(_maps(product, x))
    return found


def _projected(convolution: Any, gates: Any, x: Tensor) -> Tensor:
    """Return a squeeze-and-excitation and the convolution of 1 x 1 after it: each image has weights of its own."""
    squeezed = gates.act1(gates.conv_reduce(x.mean((2, 3), keepdim=True)))
    gate = gates.gate(gates.conv_expand(squeezed)).flatten(1)
    weights = convolution.weight.flatten(1) * gate[:, None]
    return _maps(torch.baddbmm(convolution.bias, _cells(x), weights.transpose(1, 2)), x)


def _cells(x: Tensor) -> Tensor:
    """Return maps (N, C, H, W) as (N, H * W, C), without a copy where the channels come last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _maps(cells: Tensor, x: Tensor) -> Tensor:
    return cells.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)

"""Which layers of a network an SAE can read: their grids, and how much of the network lies behind each."""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from ..base.errors import ModelError
from .adapters.protocol import Backbone

_NO_GRID = ("classifier", "classification_head", "fc", "pool", "global_pool", "avgpool", "logits", "se")
"""Names of layers that have one value a channel, not one a cell."""


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """A layer with a grid of cells.

    Attributes
    ----------
    name
        "head" or "blocks.N".
    channels
        Features a cell, d.
    grid
        Cells (H', W').
    stride
        Pixels of the model's input from one cell to the next, (down, right), rounded.
    share_after
        Share of the network's operations that follow the layer: what each edit has to compute. 0 for the last layer.
    """

    name: str
    channels: int
    grid: tuple[int, int]
    stride: tuple[int, int]
    share_after: float


def block_of_layer(layer: str, backbone: Backbone) -> int | None:
    """Return the number of the block that a layer's name means, None for the last feature map.

    Raises
    ------
    ModelError
        There is no such layer, or it has no grid of cells; the message says which there are.
    """
    if layer == "head":
        return None
    last = len(backbone.blocks) - 1
    found = re.fullmatch(r"blocks\.(\d+)", layer)
    if found is not None and int(found.group(1)) <= last:
        return int(found.group(1))
    there = f"there are 'head' and 'blocks.0' to 'blocks.{last}'" if last >= 0 else "there is 'head' alone"
    if layer.rpartition(".")[2] in _NO_GRID:
        raise ModelError(f"layer {layer!r} has no grid of cells that an SAE could read; {there}")
    if layer and layer in dict(backbone.named_modules()):
        raise ModelError(f"layer {layer!r} is inside the network, where nothing can be read; {there}")
    raise ModelError(f"no layer {layer!r}; {there}")


def layers_of(backbone: Backbone, size: tuple[int, int]) -> list[LayerPlace]:
    """Return every layer that an SAE can read, from the image on; nothing is computed.

    Parameters
    ----------
    backbone
        The network.
    size
        (H, W) of its input in pixels.
    """
    names = [*(f"blocks.{number}" for number in range(len(backbone.blocks))), "head"]
    found, counts = [], _operations(backbone, size)
    for name, count in zip(names, counts, strict=True):
        block = block_of_layer(name, backbone)
        rows, columns = backbone.grid(size, block)
        channels = backbone.out_channels if block is None else backbone.block_channels(block)
        stride = round(size[0] / rows), round(size[1] / columns)
        found.append(LayerPlace(name, channels, (rows, columns), stride, 1 - count / counts[-1]))
    return found


def _operations(backbone: Backbone, size: tuple[int, int]) -> list[int]:
    """Count the floating point operations up to each block, and of all, for one image, on tensors without content."""
    from torch.utils.flop_counter import FlopCounterMode

    tensors: dict[str, Any] = dict(backbone.named_parameters()) | dict(backbone.named_buffers())
    weights = {name: tensor.to("meta") for name, tensor in tensors.items()}
    x = torch.empty(1, backbone.in_channels, *size, device="meta", dtype=next(backbone.parameters()).dtype)
    counts: list[int] = []
    with torch.no_grad(), ExitStack() as undo, FlopCounterMode(display=False) as counter:
        for block in backbone.blocks:
            undo.callback(block.register_forward_hook(lambda *_: counts.append(counter.get_total_flops())).remove)
        torch.func.functional_call(backbone, weights, (x,))
    return [*counts, counter.get_total_flops()]

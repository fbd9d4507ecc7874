"""A network of timm as a backbone: its last map, the blocks before it, and what its head does with it."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...base.errors import ModelError
from ..memory import first_line
from .protocol import Backbone
from .tail import probe_tail

_STEMS = ("stem", "patch_embed", "conv1", "layer0")
"""Parts in front of the first block."""
_HEADS = ("global_pool", "head", "fc", "classifier", "last_linear", "fc_norm", "attn_pool", "head_drop", "pre_logits")
"""Where what follows the last map begins, by the names of a network's own parts."""

_PROBED = 160
"""Pixels along a side, at most, of the images on which a network is tried; those of a fixed size have their own."""
_SAME = 1e-5
_MIXTURES = 4

Layout = Literal["rows", "last", "tokens"]
"""How a network lays out a map: channels first, channels last, or one token a cell."""


class _Reached(Exception):
    """Carries the output of a block out of a pass that need not go on."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


class NetworkBackbone(Backbone):
    """A classifier of timm in evaluation mode.

    What its head is, is tried out: where it is a mean of the cells and linear, `layer` reads the mean; elsewhere what
    the network's own pool gives.

    Parameters
    ----------
    network
        The classifier, on the CPU in float32, its weights loaded.
    name, adapter
        What it is called, and who made it.
    channels
        Of its input.
    size
        (H, W) of its input.
    fixed
        Whether it takes no other size.

    Attributes
    ----------
    layer
        Its own classification layer, float64 (C, pooled_channels) and (C,); None for a network without.

    Raises
    ------
    ModelError
        If its last layer is not a grid of cells.
    """

    network: Any
    blocks: list[nn.Module]
    layer: tuple[Tensor, Tensor] | None

    def __init__(
        self, network: nn.Module, name: str, adapter: str, channels: int, size: tuple[int, int], *, fixed: bool
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.name, self.adapter, self.in_channels = name, adapter, channels
        self.tail = "rerun"
        self.prefix_tokens, self._whole_head = 0, False
        self._shapes: dict[tuple[tuple[int, int], int | None], tuple[int, int, int]] = {}
        self._layout: Layout = "rows"
        self._generator = torch.Generator().manual_seed(0)
        x, raw = self._first_pass((size,) if fixed else ((min(size[0], _PROBED), min(size[1], _PROBED)), size))
        self._learn_layout(raw, x.shape[2:])
        features = self._packed(raw, x.shape[2:])
        self.blocks, self._chain = self._follow(x, features)
        self._probe(features.clone())
        self._shape(size, None)

    @property
    def out_channels(self) -> int:
        """Features a cell of the last map, d."""
        return self._channels

    @property
    def pooled_channels(self) -> int:
        """Features that heads read."""
        return self._pooled

    def forward(self, x: Tensor, block: int | None = None) -> Tensor:
        """Return the last map of images `x`, or the output of a block."""
        if block is None:
            return self._packed(self.network.forward_features(x), x.shape[2:])
        return self._packed(self._output_of(self.blocks[block], x), x.shape[2:])

    def to_block(self, x: Tensor, block: int) -> Tensor:
        """Return the output of a block for images `x`."""
        return self.forward(x, block)

    def from_block(self, x: Tensor, block: int) -> Tensor:
        """Return the last map, given the output of a block."""
        raw = self._unpacked(x)
        for module in self._chain[self._chain.index(self.blocks[block]) + 1 :]:
            raw = module(raw)
        return self._packed(raw, x.shape[2:])

    def block_channels(self, block: int) -> int:
        """Features a cell of a block's output."""
        size, _ = next(iter(self._shapes))
        return self._shape(size, block)[0] // (1 + self.prefix_tokens)

    def grid(self, size: tuple[int, int], block: int | None = None) -> tuple[int, int]:
        """Cells (H', W') of the last map, or of a block's output, for an input of (H, W) pixels."""
        return self._shape(size, block)[1:]

    def pool(self, features: Tensor) -> Tensor:
        """Return what heads read, (N, pooled_channels), of last maps."""
        return super().pool(features) if self.tail == "mean" else self._own_pool(features)

    def _own_pool(self, features: Tensor) -> Tensor:
        """What the network gives to its classification layer, or its logits where that is not an ordinary one."""
        return cast("Tensor", self.network.forward_head(self._unpacked(features), pre_logits=not self._whole_head))

    def _first_pass(self, sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return two images of noise, of the first size that the network takes, and what it makes of them."""
        for height, width in sizes:
            x = torch.randn(2, self.in_channels, height, width, generator=self._generator)
            try:
                with torch.inference_mode():
                    return x, self.network.forward_features(x)
            except Exception as error:  # networks assert what they need of the size
                reason = first_line(error)
        raise ModelError(f"{self.name} takes no {height} x {width} pixels ({reason}); choose another input size")

    def _learn_layout(self, raw: Any, size: Sequence[int]) -> None:
        width = self.network.num_features
        if not isinstance(raw, Tensor):
            raise ModelError(f"the last layer of {self.name} is not a grid of cells; choose another network")
        if raw.ndim == 3 and raw.shape[1] > 1:
            self._layout, prefix = "tokens", int(getattr(self.network, "num_prefix_tokens", 0))
            self.prefix_tokens = prefix if _sides(raw.shape[1] - prefix, size) else 0
            if not _sides(raw.shape[1] - self.prefix_tokens, size):
                raise ModelError(f"the last layer of {self.name} is not a grid of cells; choose another network")
            self._channels = int(raw.shape[2])
        elif raw.ndim == 4:
            last = str(getattr(self.network, "output_fmt", "NCHW")) == "NHWC" or raw.shape[1] != width == raw.shape[3]
            self._layout = "last" if last else "rows"
            self._channels = int(raw.shape[3 if last else 1])
        else:
            raise ModelError(f"the last layer of {self.name} is not a grid of cells; choose another network")

    def _packed(self, raw: Tensor, size: Sequence[int]) -> Tensor:
        """Lay a map out as (N, D, H', W'), the class tokens in channels of their own."""
        if raw.ndim == 4:
            return raw.permute(0, 3, 1, 2) if self._layout == "last" else raw
        count, tokens, width = raw.shape
        prefix = self.prefix_tokens
        rows, columns = _sides(tokens - prefix, size) or (1, tokens - prefix)
        cells = raw[:, prefix:].transpose(1, 2).reshape(count, width, rows, columns)
        if not prefix:
            return cells
        carried = raw[:, :prefix].reshape(count, prefix * width, 1, 1).expand(-1, -1, rows, columns)
        return torch.cat([cells, carried], 1)

    def _unpacked(self, features: Tensor) -> Tensor:
        """Lay a map out as the network does."""
        if self._layout == "last":
            return features.permute(0, 2, 3, 1)
        if self._layout == "rows":
            return features
        count, width = features.shape[0], features.shape[1] // (1 + self.prefix_tokens)
        cells = features[:, :width].flatten(2).transpose(1, 2)
        carried = features[:, width:, 0, 0].reshape(count, self.prefix_tokens, width)
        return torch.cat([carried, cells], 1)

    def _output_of(self, module: nn.Module, x: Tensor) -> Tensor:
        def leave(_: nn.Module, __: Any, output: Tensor) -> None:
            raise _Reached(output)

        hook = module.register_forward_hook(leave)
        try:
            self.network.forward_features(x)
        except _Reached as reached:
            return reached.output
        finally:
            hook.remove()
        raise ModelError(f"{self.name} does not pass through {type(module).__name__}; choose another layer")

    def _follow(self, x: Tensor, features: Tensor) -> tuple[list[nn.Module], list[nn.Module]]:
        """Blocks, and all parts up to the head, where these follow each other and nothing else comes between.

        That is tried: what the first block gives must lead to the last map. Without it the last map is the only layer.
        """
        parts = list(self.network.named_children())
        end = next((at for at, (name, _) in enumerate(parts) if name in _HEADS), len(parts))
        stages = {name: list(_blocks(part)) for name, part in parts[:end] if name not in _STEMS}
        if not any(stages.values()):
            stages = {name: [part] for name, part in parts[:end] if name not in _STEMS}
        self.blocks = [block for stage in stages.values() for block in stage]
        self._chain = [one for name, part in parts[:end] for one in stages.get(name) or [part]]
        if not self.blocks:
            return [], []
        try:
            with torch.inference_mode():
                again = self.from_block(self.to_block(x, 0), 0)
        except Exception:  # whatever a network does with its parts
            return [], []
        same = again.shape == features.shape and bool((again - features).abs().max() <= _SAME * features.abs().max())
        return (self.blocks, self._chain) if same else ([], [])

    def _probe(self, features: Tensor) -> None:
        """Find out what the head is: of its logits, and of mixtures of what it pools, where weights can be zero."""
        network = self.network.double()
        features = features.double()
        try:
            with torch.no_grad():
                weight, bias = self._classification_layer(features)
                width = int(self._own_pool(features).shape[1])
                mix = torch.randn(_MIXTURES, width, generator=self._generator, dtype=torch.float64) / width**0.5
                rows, shift = torch.cat([weight, mix]), torch.cat([bias, torch.zeros(_MIXTURES).double()])
            found = probe_tail(lambda one: self._own_pool(one) @ rows.T + shift, features, self._channels)
        finally:
            network.float()
        constant = found.kind == "token" and not self.prefix_tokens  # which only weights of zero are
        self.tail = "rerun" if constant else found.kind
        self._pooled = self._channels if found.kind == "mean" else width
        if found.weight is not None and found.bias is not None:
            weight, bias = found.weight[: len(weight)], found.bias[: len(weight)]
        self.layer = (weight, bias) if len(weight) else None

    def _classification_layer(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (C, d') and biases (C,) that turn what is pooled into logits; C is 0 for a network without."""
        layer, pooled = self.network.get_classifier(), self._own_pool(features)
        if isinstance(layer, nn.Identity):
            return pooled.new_zeros(0, pooled.shape[1]), pooled.new_zeros(0)
        if isinstance(layer, nn.Linear) and pooled.shape[1:] == (layer.in_features,):
            bias = torch.zeros(layer.out_features).double() if layer.bias is None else layer.bias
            logits = self.network.forward_head(self._unpacked(features))
            if torch.allclose(F.linear(pooled, layer.weight, bias), logits, rtol=1e-9, atol=1e-12):
                return layer.weight.clone(), bias.clone()
        self._whole_head = True
        count = int(self._own_pool(features).shape[1])
        return torch.eye(count).double(), torch.zeros(count).double()

    def _shape(self, size: tuple[int, int], block: int | None) -> tuple[int, int, int]:
        """Channels, rows and columns of a map, worked out without computing it."""
        if (size, block) not in self._shapes:
            weights = {name: tensor.to("meta") for name, tensor in self._weights()}
            dtype = next(self.parameters()).dtype
            x = torch.empty(1, self.in_channels, *size, device="meta", dtype=dtype)
            with torch.no_grad():
                made = torch.func.functional_call(self, weights, (x, block))
            self._shapes[size, block] = (int(made.shape[1]), int(made.shape[2]), int(made.shape[3]))
        return self._shapes[size, block]

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.named_parameters()
        yield from self.named_buffers()


def _blocks(part: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a stage, of a sequence of stages, or of a list of blocks."""
    if not isinstance(part, nn.Sequential | nn.ModuleList):
        return
    for one in part:
        inner = list(_blocks(one))
        if inner:
            yield from inner
        else:
            yield one


def _sides(cells: int, size: Sequence[int]) -> tuple[int, int] | None:
    """Rows and columns of so many cells of an image of a size; None where they make no grid of its shape."""
    if cells < 1:
        return None
    rows = max(round((cells * size[0] / size[1]) ** 0.5), 1)
    return (rows, cells // rows) if rows * (cells // rows) == cells else None

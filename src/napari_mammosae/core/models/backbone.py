"""Mammo-CLIP's EfficientNet on timm's blocks, numerically equal to the released implementation.

Two things set the released network apart from timm's `tf_efficientnet_*`: its strided convolutions are padded for one
fixed ("nominal") input size whatever the input's real size is, and its blocks are numbered flat, 0 to 38 for B5. Batch
norm epsilon is 1e-3. On a 1520 x 912 input the features differ by about 3 % when the fixed padding is missed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .adapters.protocol import Backbone
from .engines.products import pointwise, through_block
from .timm_import import import_timm

BN_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Architecture:
    """Size of an EfficientNet: what timm needs to build it.

    Attributes
    ----------
    name
        Slug, for messages and files.
    width, depth
        Multipliers of EfficientNet-B0's channels and block repeats.
    nominal_size
        Side in pixels of the square input that the strided convolutions are padded for.
    features
        Channels of the last feature map, d. The full-size networks follow the width (B5: 2048, B2: 1408).
    """

    name: str
    width: float
    depth: float
    nominal_size: int
    features: int


ARCHITECTURES: dict[str, Architecture] = {
    a.name: a
    for a in (
        Architecture("efficientnet-b5", 1.6, 2.2, 456, 2048),
        Architecture("efficientnet-b2", 1.1, 1.2, 260, 1408),
        Architecture("phantom-b0", 0.5, 0.5, 240, 256),
    )
}


class FixedPadConv2d(nn.Conv2d):
    """A strided convolution padded as TensorFlow's "SAME" would pad an input of one fixed size.

    Symmetric padding is left to the convolution itself; the asymmetric one has an extra row below and column to the
    right. On the CPU a row and a column of zeros before the kernel's own make it symmetric: the same sums without a
    padded copy of the input (200 MB in B5). On a GPU the input is padded: fast kernels there have odd sizes.
    """

    def __init__(self, template: nn.Conv2d, nominal: int) -> None:
        kernel, stride = template.kernel_size[0], template.stride[0]
        total = max((-(-nominal // stride) - 1) * stride + kernel - nominal, 0)
        self.before, self.after = total // 2, total - total // 2
        symmetric = self.before == self.after
        super().__init__(
            template.in_channels,
            template.out_channels,
            kernel,
            stride,
            self.before if symmetric else 0,
            groups=template.groups,
            bias=template.bias is not None,
        )
        self.asymmetric = not symmetric
        self.load_state_dict(template.state_dict())

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `input` (N, C, H, W)."""
        if not self.asymmetric:
            return super().forward(input)
        if input.device.type != "cpu":
            return super().forward(F.pad(input, (self.before, self.after, self.before, self.after)))
        weight = F.pad(self.weight, (1, 0, 1, 0))
        return F.conv2d(input, weight, self.bias, self.stride, self.after, self.dilation, self.groups)

    def output_side(self, side: int) -> int:
        """Pixels along one side of the output for `side` pixels of input."""
        return (side + self.before + self.after - self.kernel_size[0]) // self.stride[0] + 1


class EfficientNetBackbone(Backbone):
    """From a normalised mammogram (N, 3, H, W) to the last feature map (N, d, H', W').

    The map is taken after the head convolution, its batch norm and swish; for 1520 x 912 it is d x 48 x 29.

    Parameters
    ----------
    architecture
        Sizes, or the name of one in `ARCHITECTURES`.
    """

    adapter, tail = "mammo-clip", "mean"
    in_channels, prefix_tokens = 3, 0
    blocks: nn.ModuleList

    def __init__(self, architecture: Architecture | str) -> None:
        super().__init__()
        self.architecture = ARCHITECTURES[architecture] if isinstance(architecture, str) else architecture
        self.name = self.architecture.name
        network = _timm_network(self.architecture)
        self.conv_stem: nn.Module = network.conv_stem
        self.bn1: nn.Module = network.bn1
        self.blocks = nn.ModuleList(block for stage in network.blocks for block in stage)
        self.conv_head: nn.Module = network.conv_head
        self.bn2: nn.Module = network.bn2
        self._fix_padding()

    @property
    def out_channels(self) -> int:
        """Channels of the last feature map, d."""
        return self.architecture.features

    def forward(self, x: Tensor) -> Tensor:
        """Return the last feature map (N, d, H', W') of `x` (N, 3, H, W)."""
        return self.from_block(self.to_block(x, len(self.blocks) - 1), len(self.blocks) - 1)

    def to_block(self, x: Tensor, block: int) -> Tensor:
        """Return the output of block `block` (flat numbering of the released files) for the input `x`."""
        x = self.bn1(self.conv_stem(x))
        for index in range(block + 1):
            x = _through(self.blocks[index], x)
        return x

    def from_block(self, x: Tensor, block: int) -> Tensor:
        """Return the last feature map, given the output `x` of block `block`."""
        for index in range(block + 1, len(self.blocks)):
            x = _through(self.blocks[index], x)
        if x.is_cuda:
            return pointwise(self.conv_head, self.bn2, x)
        return cast("Tensor", self.bn2(self.conv_head(x)))

    def block_channels(self, block: int) -> int:
        """Channels of the output of block `block`."""
        convolutions = [m for m in self.blocks[block].modules() if isinstance(m, nn.Conv2d)]
        return convolutions[-1].out_channels

    def grid(self, size: tuple[int, int], block: int | None = None) -> tuple[int, int]:
        """Cells (H', W') of the last map, or of block `block`'s output, for an input of `size` (H, W) pixels."""
        height, width = size
        for index, module in enumerate([self.conv_stem, *self.blocks]):
            if block is not None and index > block + 1:
                break
            for convolution in module.modules():
                if isinstance(convolution, FixedPadConv2d):
                    height, width = convolution.output_side(height), convolution.output_side(width)
        return height, width

    def fold_batch_norms(self) -> None:
        """Put every batch norm into the convolution before it: the same function, a third of the memory traffic.

        Irreversible; for inference only (the result differs by rounding, about 2e-6 relative in float32).
        """
        for parent, convolution, norm in self._normalised_convolutions():
            conv, bn = getattr(parent, convolution), getattr(parent, norm)
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
            setattr(parent, norm, bn.act)

    def _normalised_convolutions(self) -> Iterator[tuple[nn.Module, str, str]]:
        yield self, "conv_stem", "bn1"
        yield self, "conv_head", "bn2"
        for block in self.blocks:
            for convolution, norm in _block_layers(block)[0]:
                yield block, convolution, norm

    def _fix_padding(self) -> None:
        """Exchange the strided convolutions; the nominal size shrinks through the network as an image would."""
        nominal = self.architecture.nominal_size
        for parent, name in [(cast("nn.Module", self), "conv_stem"), *((b, "conv_dw") for b in self.blocks)]:
            convolution = getattr(parent, name)
            if convolution.stride[0] > 1:
                setattr(parent, name, FixedPadConv2d(convolution, nominal))
                nominal = -(-nominal // convolution.stride[0])


def _through(block: nn.Module, x: Tensor) -> Tensor:
    return through_block(block, x) if x.is_cuda else cast("Tensor", block(x))


_Kind = Literal["expanding", "plain"]


def _block_layers(block: nn.Module) -> tuple[tuple[tuple[str, str], ...], _Kind]:
    """(convolution, batch norm) names of a block in forward order, and its kind."""
    if hasattr(block, "conv_pwl"):
        return (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")), "expanding"
    return (("conv_dw", "bn1"), ("conv_pw", "bn2")), "plain"


def _timm_network(architecture: Architecture) -> Any:
    import_timm()
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet

    stages = [
        ["ds_r1_k3_s1_e1_c16_se0.25"],
        ["ir_r2_k3_s2_e6_c24_se0.25"],
        ["ir_r2_k5_s2_e6_c40_se0.25"],
        ["ir_r3_k3_s2_e6_c80_se0.25"],
        ["ir_r3_k5_s1_e6_c112_se0.25"],
        ["ir_r4_k5_s2_e6_c192_se0.25"],
        ["ir_r1_k3_s1_e6_c320_se0.25"],
    ]
    return EfficientNet(
        decode_arch_def(stages, architecture.depth),  # type: ignore[no-untyped-call]
        num_classes=0,
        num_features=architecture.features,
        stem_size=32,
        round_chs_fn=partial(round_channels, multiplier=architecture.width),
        pad_type="same",
        act_layer=nn.SiLU,
        norm_layer=partial(nn.BatchNorm2d, eps=BN_EPSILON),
    )

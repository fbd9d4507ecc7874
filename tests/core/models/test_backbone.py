import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import recipe
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.backbone import ARCHITECTURES, EfficientNetBackbone, FixedPadConv2d
from napari_mammosae.core.models.weights.released import architecture_of, rename_released


@pytest.fixture(scope="module")
def small() -> EfficientNetBackbone:
    torch.manual_seed(0)
    return EfficientNetBackbone("phantom-b0").eval()


@given(
    kernel=st.sampled_from([3, 5]),
    nominal=st.integers(8, 470),
    height=st.integers(9, 40),
    width=st.integers(9, 40),
)
def test_padding_is_that_of_the_nominal_size(kernel: int, nominal: int, height: int, width: int) -> None:
    """TensorFlow's SAME rule for the nominal size, applied to another size."""
    plain = nn.Conv2d(2, 2, kernel, stride=2, groups=2, bias=False)
    fixed = FixedPadConv2d(plain, nominal)
    outputs = -(-nominal // 2)
    total = max((outputs - 1) * 2 + kernel - nominal, 0)
    x = torch.randn(1, 2, height, width)
    padded = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
    torch.testing.assert_close(fixed(x), F.conv2d(padded, plain.weight, stride=2, groups=2))
    assert fixed(x).shape[2:] == (fixed.output_side(height), fixed.output_side(width))


@pytest.mark.parametrize("network", ["b5", "b2"])
def test_released_names_are_recognised(network: str) -> None:
    with torch.device("meta"):
        keys = rename_released(recipe.encoder_weights(network))
        backbone = EfficientNetBackbone(architecture_of(keys))
    assert {k: v.shape for k, v in keys.items()} == {k: v.shape for k, v in backbone.state_dict().items()}
    assert backbone.grid((1520, 912)) == (48, 29)
    assert backbone.out_channels == recipe.WIDTH[network]


def test_a_classification_layer_in_the_encoder_is_left_out() -> None:
    assert "_fc.weight" not in rename_released({"_fc.weight": torch.zeros(1), "_conv_stem.weight": torch.zeros(1)})


def test_unknown_architecture_says_what_was_found() -> None:
    weights = {"conv_stem.weight": torch.zeros(40, 3, 3, 3), "conv_head.weight": torch.zeros(100, 8, 1, 1)}
    with pytest.raises(ModelError, match="stem of 40 channels, 0 blocks, 100 features"):
        architecture_of(weights)


def test_every_architecture_is_found_by_its_own_weights() -> None:
    for name, architecture in ARCHITECTURES.items():
        with torch.device("meta"):
            assert architecture_of(EfficientNetBackbone(name).state_dict()) == architecture


@pytest.mark.parametrize("size", [(190, 114), (96, 64), (131, 77)])
def test_grid_is_what_the_network_gives(small: EfficientNetBackbone, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        x = torch.randn(1, 3, *size)
        assert small(x).shape[2:] == small.grid(size)
        for block in (0, 3, len(small.blocks) - 1):
            inner = small.to_block(x, block)
            assert inner.shape[2:] == small.grid(size, block)
            assert inner.shape[1] == small.block_channels(block)


def test_a_split_pass_is_the_whole_pass(small: EfficientNetBackbone) -> None:
    x = torch.randn(1, 3, 96, 64)
    with torch.inference_mode():
        for block in (0, 4, len(small.blocks) - 1):
            assert torch.equal(small.from_block(small.to_block(x, block), block), small(x))


def test_folding_changes_only_rounding() -> None:
    torch.manual_seed(1)
    backbone = EfficientNetBackbone("phantom-b0")
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    backbone.eval().requires_grad_(False)
    x = torch.randn(2, 3, 128, 96)
    before = backbone(x)
    backbone.fold_batch_norms()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    assert (backbone(x) - before).abs().max() / before.abs().max() < 5e-6

"""Blocks as matrix products against timm's own forward, on the CPU."""

import pytest
import torch

from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.engines.products import pointwise, through_block


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    network = EfficientNetBackbone("phantom-b0").eval().requires_grad_(False)
    for name, value in network.named_buffers():  # batch norms that do something, and biases once they are folded
        value.copy_(torch.rand_like(value.float()) + 0.5 if name.endswith("running_var") else value)
    network.fold_batch_norms()
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            value.copy_(torch.randn_like(value) / 3)
    return network.double().to(memory_format=torch.channels_last)


def test_each_block_and_the_head_give_what_timm_gives(network):
    """Of several images with gates of their own, in double precision; of all kinds of blocks."""
    x = torch.rand(3, 3, 190, 114, dtype=torch.float64).to(memory_format=torch.channels_last)
    x = network.bn1(network.conv_stem(x))
    kinds = set()
    for block in network.blocks:
        expected = block(x.clone())
        torch.testing.assert_close(through_block(block, x.clone()), expected, rtol=1e-12, atol=1e-12)
        kinds.add((hasattr(block, "conv_pwl"), block.has_skip, block.conv_dw.stride[0]))
        x = expected
    assert len(kinds) >= 4
    torch.testing.assert_close(
        pointwise(network.conv_head, network.bn2, x), network.bn2(network.conv_head(x)), rtol=1e-12, atol=1e-12
    )


def test_a_block_leaves_its_input_as_it_was(network):
    x = torch.rand(2, network.blocks[1].conv_pw.in_channels, 20, 12, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last)
    before = x.clone()
    through_block(network.blocks[1], x)
    assert torch.equal(x, before)


def test_blocks_that_are_not_folded_go_their_usual_way():
    network = EfficientNetBackbone("phantom-b0").eval().requires_grad_(False)
    x = torch.rand(1, network.blocks[0].conv_dw.in_channels, 20, 12)
    assert torch.equal(through_block(network.blocks[0], x.clone()), network.blocks[0](x.clone()))
    x = torch.rand(1, network.conv_head.in_channels, 6, 4)
    assert torch.equal(pointwise(network.conv_head, network.bn2, x), network.bn2(network.conv_head(x)))

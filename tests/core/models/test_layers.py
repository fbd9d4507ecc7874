"""Layers that an SAE can read, against what the network computes."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.layers import block_of_layer, layers_of

SIZE = (190, 114)


@pytest.fixture(scope="module")
def backbone():
    return EfficientNetBackbone("phantom-b0").eval()


def multiplications_up_to(backbone, block):
    """Counted convolution by convolution, from the shapes that a pass gives."""
    counts = []

    def count(module, given, out):
        counts.append(module.weight.numel() * out.shape[2] * out.shape[3])

    handles = [one.register_forward_hook(count) for one in backbone.modules() if isinstance(one, nn.Conv2d)]
    with torch.inference_mode():
        x = torch.zeros(1, 3, *SIZE)
        backbone(x) if block is None else backbone.to_block(x, block)
    for handle in handles:
        handle.remove()
    return sum(counts)


def test_every_block_is_listed_with_its_place(backbone):
    found = layers_of(backbone, SIZE)
    assert [one.name for one in found] == [*(f"blocks.{n}" for n in range(10)), "head"]
    total = multiplications_up_to(backbone, None)
    with torch.inference_mode():
        x = torch.zeros(1, 3, *SIZE)
        for one in found:
            block = block_of_layer(one.name, backbone)
            made = backbone(x) if block is None else backbone.to_block(x, block)
            assert (one.channels, *one.grid) == made.shape[1:]
            assert one.stride == tuple(round(side / cells) for side, cells in zip(SIZE, one.grid, strict=True))
            assert one.share_after == pytest.approx(1 - multiplications_up_to(backbone, block) / total, abs=1e-6)
    assert (np.diff([one.share_after for one in found]) < 0).all()


def test_the_tail_behind_block_30_of_b5_is_a_third():
    with torch.device("meta"):
        backbone = EfficientNetBackbone("efficientnet-b5")
    places = {one.name: one for one in layers_of(backbone, (1520, 912))}
    assert len(places) == 40
    assert places["blocks.30"].share_after == pytest.approx(0.32, abs=0.01)
    assert places["blocks.30"].grid == places["head"].grid == (48, 29)
    assert places["blocks.30"].channels == 304


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ("classifier", "has no grid of cells"),
        ("head.fc", "has no grid of cells"),
        ("blocks.3.se", "has no grid of cells"),
        ("blocks.3.conv_pw", "is inside the network"),
        ("bn2", "is inside the network"),
        ("blocks.99", "no layer 'blocks.99'"),
        ("blocks.-1", "no layer"),
        ("layer4", "no layer 'layer4'"),
        ("", "no layer ''"),
    ],
)
def test_other_layers_are_refused_with_those_there_are(backbone, layer, why):
    with pytest.raises(ModelError, match=why) as error:
        block_of_layer(layer, backbone)
    assert "there are 'head' and 'blocks.0' to 'blocks.9'" in str(error.value)

"""Whether a network's head is linear in the cells is found out by trying, for networks of many kinds."""

from typing import Any

import numpy as np
import pytest
import torch

import timm_kit
from napari_mammosae.core.models.adapters.network import NetworkBackbone
from napari_mammosae.core.models.adapters.tail import probe_tail

MEAN = "the mean of the cells, then a linear layer"
LATER = "a norm before the mean, none after it"
BATCH_NORM = "the mean, then a batch norm and a linear layer, which are linear together"
NORM = "a norm after the mean"
CONV = "a convolution and an activation after the mean"
MLP = "more than one layer after the mean"
ATTENTION = "an attention pool"
TOKEN = "the class token alone"

SMALL_VIT: dict[str, Any] = {"embed_dim": 48, "depth": 1, "num_heads": 2}
NETWORKS: list[tuple[str, dict[str, Any], str, str]] = [
    ("test_resnet", {}, "mean", MEAN),
    ("resnetv2_18", {}, "mean", "the mean, then a linear layer written as a convolution"),
    ("test_byobnet", {}, "mean", MEAN),
    ("test_efficientnet", {}, "mean", MEAN),
    ("test_efficientnet_gn", {}, "mean", MEAN),
    ("test_efficientnet_ln", {}, "mean", LATER),
    ("tf_efficientnetv2_b0", {}, "mean", MEAN),
    ("mobilenetv2_035", {}, "mean", MEAN),
    ("test_nfnet", {}, "mean", MEAN),
    ("densenet121", {"block_config": (1, 1, 1, 1)}, "mean", MEAN),
    ("regnetx_002", {}, "mean", MEAN),
    ("test_coatnet", {}, "mean", MEAN),
    ("test_maxvit", {}, "mean", MEAN),
    ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 24}, "mean", LATER),
    ("pvt_v2_b0", {}, "mean", MEAN),
    ("mixer_s32_224", {}, "mean", LATER),
    ("vit_base_patch16_siglip_gap_224", SMALL_VIT, "mean", LATER),
    ("levit_128s", {}, "mean", BATCH_NORM),
    ("test_convnext", {}, "rerun", NORM),
    ("test_convnext2", {}, "rerun", NORM),
    ("convnextv2_atto", {}, "rerun", NORM),
    ("test_vit2", {}, "rerun", NORM),
    ("test_vit_relpos", {}, "rerun", NORM),
    ("test_mambaout", {}, "rerun", MLP),
    ("vgg11", {"mlp_ratio": 0.02}, "rerun", MLP),
    ("mobilenetv3_small_050", {}, "rerun", CONV),
    ("ghostnet_050", {}, "rerun", CONV),
    ("efficientvit_b0", {}, "rerun", CONV),
    ("test_vit3", {}, "rerun", ATTENTION),
    ("vit_base_patch16_siglip_224", SMALL_VIT, "rerun", ATTENTION),
    ("test_vit", {}, "token", TOKEN),
    ("deit_tiny_patch16_224", SMALL_VIT, "token", TOKEN),
    ("deit_tiny_distilled_patch16_224", SMALL_VIT, "token", "the class token and the distillation token"),
    ("xcit_nano_12_p16_224", {"depth": 1, "embed_dim": 64}, "token", "the class token, after the last cells"),
]
SIDES = {"xcit_nano_12_p16_224": 64, "levit_128s": 128}


@pytest.mark.parametrize(("name", "smaller", "kind", "why"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_what_a_head_is(name: str, smaller: dict[str, Any], kind: str, why: str) -> None:
    size = (SIDES.get(name, 64),) * 2
    fixed = timm_kit.takes(name, size)
    network = timm_kit.network(name, **smaller, **fixed)
    backbone = NetworkBackbone(network, name, "timm", 3, size, fixed=bool(fixed))
    assert backbone.tail == kind, f"{name}: {why}"
    assert backbone.layer is not None
    weight, bias = backbone.layer
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        features, logits = backbone(x), network(x)
        assert features.shape == (2, backbone.out_channels * (1 + backbone.prefix_tokens), *backbone.grid(size))
        pooled = backbone.pool(features).double()
        scale = float(logits.abs().max())
        assert float((pooled @ weight.T + bias - logits).abs().max()) < 1e-5 * scale
        cells = features[:, : backbone.out_channels]
        if kind == "mean":
            np.testing.assert_allclose(pooled, cells.double().mean((2, 3)), rtol=1e-4, atol=1e-6)
        changed = features.clone()
        changed[:, : backbone.out_channels] = cells.flip(2, 3).roll(1, 2) * 1.5
        moved = backbone.pool(changed).double() - pooled
    assert bool((moved == 0).all()) == (kind == "token")


def test_there_are_enough_of_each_kind() -> None:
    assert len(NETWORKS) >= 25
    assert {kind for _, _, kind, _ in NETWORKS} == {"mean", "rerun", "token"}


WEIGHTS = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PLACES = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (lambda f: f.mean((2, 3)) @ WEIGHTS.T + 2, "mean"),
        (lambda f: (f * PLACES).sum((2, 3)) @ WEIGHTS.T, "rerun"),  # linear, but each place counts otherwise
        (lambda f: f.mean((2, 3)) @ WEIGHTS.T + 1e-7 * f.mean((2, 3))[:, :3] ** 2, "rerun"),  # a hair beside linear
        (lambda f: torch.relu(f.mean((2, 3)) @ WEIGHTS.T), "rerun"),
        (lambda f: f.amax((2, 3)) @ WEIGHTS.T, "rerun"),
        (lambda f: (f.mean((2, 3)) + f[:, :, 0, 0] * 1e-6) @ WEIGHTS.T, "rerun"),
        (lambda f: torch.ones(len(f), 3, dtype=torch.float64), "token"),
    ],
)
def test_heads_of_every_kind(head: Any, kind: str) -> None:
    features = 5 * torch.randn(2, 4, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = probe_tail(head, features, 4)
    assert found.kind == kind
    if kind == "mean":
        assert found.weight is not None
        assert found.bias is not None
        np.testing.assert_allclose(found.weight, WEIGHTS, rtol=1e-12)
        np.testing.assert_allclose(found.bias, [2, 2, 2], rtol=1e-12)


def test_class_tokens_are_no_cells() -> None:
    features = torch.randn(2, 8, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    features[:, 4:] = features[:, 4:, :1, :1]
    of_both = probe_tail(lambda f: (f[:, :4].mean((2, 3)) + f[:, 4:, 0, 0] ** 3) @ WEIGHTS.T, features, 4)
    assert of_both.kind == "mean"
    assert probe_tail(lambda f: f[:, 4:, 0, 0] ** 3 @ WEIGHTS.T, features, 4).kind == "token"

"""What a network gives whose products are of rounded values, against the same written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_mammosae.core.models.engines.rounding import computes_in, round_products, rounded


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_are_of_rounded_values_and_sums_are_not_rounded(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(64, 2)]
    network = nn.Sequential(*layers)
    network.eval()
    x = torch.randn(2, 3, 6, 6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kept = dict(network.named_parameters())["0.weight"].data

    def r(values: torch.Tensor) -> torch.Tensor:
        return values.to(dtype).double()

    first, norm, _, second, _, last = layers
    expected = F.conv2d(r(x), r(first.weight), r(first.bias))
    expected = F.silu(expected / (1 + norm.eps) ** 0.5)  # weights and variances are 1, biases and means 0
    expected = F.conv2d(r(expected.float()), r(second.weight), r(second.bias))
    expected = F.linear(r(expected.float().flatten(1)), r(last.weight), r(last.bias))
    round_products(network, dtype)
    torch.testing.assert_close(network(x).double(), expected, rtol=1e-3, atol=1e-4)
    assert network(x).dtype == torch.float32
    assert torch.equal(kept, before["0.weight"])  # the tensor of before is as it was


def test_what_a_format_cannot_hold_becomes_infinite() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False))
    round_products(network, torch.float16)
    assert not torch.isfinite(network(torch.tensor([[1e6]]))).any()


def test_rounding_is_to_the_nearest_and_ties_go_to_even() -> None:
    values = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-9, -1 - 2**-7])
    assert rounded(values, torch.bfloat16).tolist() == [1.0, 1 + 2**-6, 1.0, -1 - 2**-7]


def test_float32_is_every_device_s_own() -> None:
    assert computes_in(torch.float32, "cpu")
    assert computes_in(torch.bfloat16, "cuda:0")


def test_a_network_that_models_share_is_rounded_once() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 1))
    for _ in range(3):
        round_products(network, torch.bfloat16)
    assert [len(layer._forward_pre_hooks) for layer in network] == [1, 0, 1]

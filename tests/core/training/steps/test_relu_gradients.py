"""The gradients that are written out, against those of autograd in double precision."""

import pytest
import torch

from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.training.steps.relu_gradients import ReluGradients


def an_sae(seed: int, width: int, latents: int) -> SparseAutoencoder:
    sae = SparseAutoencoder(width, latents)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / width**0.5)
    return sae


@pytest.mark.parametrize(("half", "near"), [(False, 1e-6), (True, 3e-2)], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("l1", [0.0, 3e-2])
def test_they_are_those_of_autograd(half: bool, near: float, l1: float) -> None:
    """Of two SAEs of different sizes in turn, for whole batches and for a last one with fewer cells."""
    gradients = ReluGradients(half=half)
    saes = [an_sae(0, 24, 80), an_sae(1, 16, 48)]
    for cells in (96, 96, 31):
        for sae in saes:
            x = torch.randn(cells, sae.width, generator=torch.Generator().manual_seed(cells))
            found = gradients.fill(sae, x, l1)
            exact = {name: value.detach().double().requires_grad_() for name, value in sae.named_parameters()}
            centred = x.double() - exact["tied_bias"]
            z = (centred @ exact["encoder_weight"].T + exact["encoder_bias"]).relu()
            error = (z @ exact["decoder_weight"].T + exact["tied_bias"] - x).square().mean()
            loss = error + l1 * z.sum() / cells
            loss.backward()
            for name, parameter in sae.named_parameters():
                expected = exact[name].grad
                assert parameter.grad.dtype == torch.float32
                assert float((parameter.grad - expected).norm() / expected.norm()) < near, name
            torch.testing.assert_close(found.loss.double(), loss, rtol=near, atol=0)
            torch.testing.assert_close(found.squared_error.double(), error, rtol=near, atol=0)
            torch.testing.assert_close(found.l0.double(), (z > 0).sum(1).double().mean(), rtol=near, atol=0)
            if not half:
                assert torch.equal(found.fired, (z > 0).any(0))

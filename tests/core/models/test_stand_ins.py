"""What stands in the place of an SAE: of the same shape, drawn anew by each seed; and channels, which lose nothing."""

import numpy as np
import pytest
import torch

import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.stand_ins import with_stand_in


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


def test_channels_are_each_channel_above_and_below_zero(model, tiny_model, tmp_path):
    channels = load_model(tiny_model, device="cpu", sae="channels")
    features = torch.randn(5, model.width, generator=torch.Generator().manual_seed(3))
    codes = channels.sae.encode(features)
    assert torch.equal(codes, torch.cat([features.clamp_min(0), (-features).clamp_min(0)], dim=1))
    assert torch.equal(channels.sae.decode(codes), features)
    maps = compute_latents(channels, read_mammogram(tiny.write_image(tmp_path / "one.png")))
    np.testing.assert_allclose(maps.logits_sae, maps.logits, rtol=1e-5, atol=1e-5)  # exact without an SAE too


def test_random_directions_are_spread_and_as_long_as_the_latents_own(model):
    other = with_stand_in(model, "random")
    own, drawn = (one.sae.encoder_weight.double() for one in (model, other))
    torch.testing.assert_close(own.norm(dim=1), drawn.norm(dim=1), rtol=1e-5, atol=1e-6)
    for name, value in model.sae.named_parameters():
        if not name.endswith("weight"):
            assert torch.equal(value, dict(other.sae.named_parameters())[name]), name
    units = [(one / one.norm(dim=1, keepdim=True)) for one in (own, drawn)]
    parts = torch.linalg.svd(own, full_matrices=False)
    projector = parts.Vh[: int((1e-6 * float(parts.S[0]) < parts.S).sum())]
    torch.testing.assert_close(units[1] @ projector.T @ projector, units[1], rtol=0, atol=1e-5)  # in their span
    torch.testing.assert_close(other.sae.decoder_weight.norm(dim=0), torch.ones(other.n_latents), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["untrained", "random"])
def test_a_seed_draws_anew_and_is_told_by_its_hash(model, kind):
    first, again, other = (with_stand_in(model, kind, seed) for seed in (0, 0, 1))
    assert torch.equal(first.sae.encoder_weight, again.sae.encoder_weight)
    assert not torch.equal(first.sae.encoder_weight, other.sae.encoder_weight)
    assert first.sae_sha256 == again.sae_sha256
    assert len({model.sae_sha256, first.sae_sha256, other.sae_sha256}) == 3
    assert first.name == f"{model.name}-{kind}"


def test_a_model_without_an_sae_has_nothing_to_replace(tiny_model):
    with pytest.raises(ModelError, match="has no SAE"):
        with_stand_in(load_model(tiny_model, device="cpu", sae="none"), "channels")

"""Contributions by gradients against the network itself, differentiated through a hook."""

import numpy as np
import pytest
import torch

import layer_models
import tiny
from napari_mammosae.core.base.errors import ModelError, SettingsError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.loading import load_model


@pytest.fixture(scope="module")
def image():
    return read_mammogram(tiny.picture())


def slopes_by_hand(model, x, at):
    """Logits (C,) and their gradients (C, h, H', W') at latents, through the whole network with its block replaced."""
    at = at.clone().requires_grad_()
    block = model.backbone.blocks[model.block]
    handle = block.register_forward_hook(lambda module, given, out: layer_models.features_by_hand(model, at))
    try:
        pooled = model.backbone(x)[0].flatten(1).double().mean(1)
    finally:
        handle.remove()
    logits = torch.from_numpy(model.heads[0].weight) @ pooled + torch.from_numpy(model.heads[0].bias)
    slopes = [torch.autograd.grad(one, at, retain_graph=True)[0] for one in logits]
    return logits.detach().numpy(), torch.stack(slopes).double().numpy()


@pytest.mark.parametrize("layer", ["blocks.1", "blocks.4", "blocks.9"])
def test_gradients_are_those_of_the_hooked_network(tiny_model, image, layer):
    model = layer_models.inner_model(tiny_model, layer)
    x = image.to_input(model.preprocessing)
    features = model.features(x)
    z = layer_models.latents_by_hand(model, features.clone())
    found = contributions_of(model, features, "gradient")
    stop, slopes = slopes_by_hand(model, x, z)
    start, _ = slopes_by_hand(model, x, torch.zeros_like(z))
    expected = (slopes * z.numpy()).sum((2, 3))
    assert set(found.latents) == set(np.flatnonzero((z > 0).any(2).any(1)))
    np.testing.assert_allclose(found.spread(40), expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(found.stop, stop, rtol=1e-5)
    np.testing.assert_allclose(found.start, start, rtol=1e-5)
    np.testing.assert_allclose(found.error, stop - start - expected.sum(1), rtol=1e-3, atol=1e-5)


def test_integrated_gradients_add_up(tiny_model, image):
    model = layer_models.inner_model(tiny_model, "blocks.4")
    x = image.to_input(model.preprocessing)
    features = model.features(x)
    z = layer_models.latents_by_hand(model, features.clone())
    found = contributions_of(model, features, "integrated", steps=24)
    plain = contributions_of(model, features, "gradient")
    change = np.abs(found.stop - found.start)
    assert (np.abs(found.error) < 0.02 * change).all()
    assert (np.abs(plain.error) > np.abs(found.error)).all()
    middles = [slopes_by_hand(model, x, (i + 0.5) / 50 * z)[1] for i in range(50)]  # another rule, more points
    expected = (np.mean(middles, 0) * z.numpy()).sum((2, 3))
    np.testing.assert_allclose(found.spread(40), expected, atol=0.02 * np.abs(expected).max())
    assert "completeness error" in found.describe(0)


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_behind_the_last_layer_they_are_the_exact_ones(tiny_model, image, method):
    model = load_model(tiny_model, device="cpu")
    maps = compute_latents(model, image)
    found = contributions_of(model, model.features(image.to_input(model.preprocessing)), method, steps=3)
    exact = model.attribution * maps.pooled_mean
    np.testing.assert_allclose(found.spread(model.n_latents), exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())
    np.testing.assert_allclose(found.error, 0, atol=1e-4 * np.abs(found.stop).max())
    np.testing.assert_allclose(found.start, model.constant, rtol=1e-5)


def test_what_cannot_be_taken_apart(tiny_model, image):
    model = layer_models.inner_model(tiny_model, "blocks.9")
    features = model.features(image.to_input(model.preprocessing))
    with pytest.raises(SettingsError, match="'shapley' is unknown; choose one of gradient, integrated"):
        contributions_of(model, features, "shapley")
    with pytest.raises(SettingsError, match="at least 1 step"):
        contributions_of(model, features, steps=0)
    model.heads = ()
    with pytest.raises(ModelError, match="no classifier"):
        contributions_of(model, features)

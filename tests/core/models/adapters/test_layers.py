"""Layers of networks of timm: their places, edits by what follows, and contributions, against hooked passes."""

import numpy as np
import pytest
import torch

import timm_kit
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.masked_pass import EditableImage
from napari_mammosae.core.models.contributions import contributions_of
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.layers import layers_of
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder

NETWORKS = ("test_resnet", "test_convnext", "test_vit", "test_vit3", "test_efficientnet")
SIZE = timm_kit.SIZE


def model_of(name, layer, latents=24):
    backbone = timm_kit.backbone(name)
    rng = np.random.default_rng(0)
    head = Head("own", ("a", "b"), "multilabel", rng.normal(size=(2, backbone.pooled_channels)), np.zeros(2))
    width = MammoSAE(backbone, None, (head,), layer).width
    sae = SparseAutoencoder(width, latents)
    generator = torch.Generator().manual_seed(1)
    for weight in (sae.encoder_weight, sae.decoder_weight):
        weight.data = torch.randn(weight.shape, generator=generator) * width**-0.5
    return MammoSAE(backbone, sae, (head,), layer)


def hooked(model, x, change):
    """Logits of the whole network, the cells of one block's output given to `change` as (cells, d)."""
    network = model.backbone.network
    prefix = model.backbone.prefix_tokens

    def replace(module, given, out):
        out = out.clone()
        if out.ndim == 3:
            out[:, prefix:] = change(out[0, prefix:])
        else:
            cells = out[0].flatten(1).T
            out[0] = change(cells).T.reshape(out[0].shape)
        return out

    handle = model.backbone.blocks[model.block].register_forward_hook(replace)
    try:
        pooled = network.forward_head(network.forward_features(x), pre_logits=True)
    finally:
        handle.remove()
    return pooled[0].double() @ torch.from_numpy(model.heads[0].weight).T


@pytest.mark.parametrize("name", NETWORKS)
def test_edits_and_gradients_inside_are_those_of_the_network(name):
    model = model_of(name, "blocks.1")
    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    features, mask = model.features(x), np.arange(24) % 3 == 0
    edits = [Edit(mask, "zero"), Edit(mask, "keep", "delta")]
    found = EditableImage(model, features).logits(edits)
    sae, keep = model.sae, torch.from_numpy(mask)

    def zeroed(cells):
        return sae.decode(sae.encode(cells) * ~keep)

    def kept(cells):
        z = sae.encode(cells)
        return cells + sae.decode(z * keep) - sae.decode(z)

    with torch.inference_mode():
        expected = [hooked(model, x, change) for change in (zeroed, kept)]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)

    cells = model.cells_of(features)[0].flatten(1).T.clone()
    at = sae.encode(cells).detach().requires_grad_()
    logits = hooked(model, x, lambda _: sae.decode(at))
    slopes = [torch.autograd.grad(one, at, retain_graph=True)[0] for one in logits]
    by_hand = np.stack([(slope * at).sum(0).detach().numpy() for slope in slopes])
    mine = contributions_of(model, features, "gradient")
    np.testing.assert_allclose(mine.spread(24), by_hand, rtol=1e-3, atol=1e-4 * np.abs(by_hand).max())
    np.testing.assert_allclose(mine.stop, logits.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_have_the_places_that_a_pass_gives(name):
    backbone = timm_kit.backbone(name)
    places = layers_of(backbone, SIZE)
    assert [one.name for one in places] == [*(f"blocks.{n}" for n in range(len(backbone.blocks))), "head"]
    for number, one in enumerate(places[:-1]):
        with torch.inference_mode():
            made = backbone.to_block(torch.zeros(1, 3, *SIZE), number)
        assert made.shape[2:] == one.grid
        assert made.shape[1] == one.channels * (1 + backbone.prefix_tokens)
    shares = [one.share_after for one in places]
    assert sorted(shares, reverse=True) == shares
    assert 0 == shares[-1] < shares[0] < 1

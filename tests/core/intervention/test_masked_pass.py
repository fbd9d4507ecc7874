"""The closed forms against the network itself, and the masked pass where there is no closed form."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch

import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def images(model):
    found = [read_mammogram(tiny.picture(seed)).to_input(model.preprocessing) for seed in range(3)]
    return torch.cat(found)


@pytest.fixture(scope="module")
def maps(model, images):
    return latents_of_features(model, model.features(images))


def edits(n_latents, grid, seed=0):
    rng = np.random.default_rng(seed)
    region = rng.random(grid) < 0.5
    for form in ("replace", "delta"):
        for mode, value in (("keep", None), ("zero", None), ("scale", 1.7), ("clamp", 0.2), ("clip", 0.1)):
            for part in (None, region):
                yield Edit(rng.random(n_latents) < 0.4, mode, form, value, part)


def test_one_image_equals_the_masked_forward_pass(model, images, maps):
    chosen = list(edits(model.n_latents, maps[0].shape[1:]))
    expected = masked_logits(model, images, chosen)
    for edit, logits in zip(chosen, expected, strict=True):
        for one, theirs in zip(maps, logits, strict=True):
            found = edit_image(one, model.attribution, model.constant, edit)
            size = np.maximum(1, np.abs(model.attribution * one.pooled_mean).sum(axis=1))
            assert (np.abs(found.after - theirs) <= 1e-5 * size).all()


def test_a_run_equals_the_masked_forward_pass(model, images, maps):
    pooled = scipy.sparse.csc_array(np.stack([one.pooled_mean for one in maps]))
    own = np.stack([one.logits for one in maps])
    cohort = Cohort.of(pooled, model.attribution, model.constant, logits=own)
    chosen = [edit for edit in edits(model.n_latents, maps[0].shape[1:]) if edit.region is None and edit.mode != "clip"]
    expected = masked_logits(model, images, chosen)
    size = np.maximum(1, pooled @ np.abs(model.attribution).T)
    for edit, logits in zip(chosen, expected, strict=True):
        assert (np.abs(cohort.logits_after(edit) - logits) <= 1e-5 * size).all()


def test_inner_layers_have_the_masked_pass_only(model, images):
    inner = replace(model, layer="blocks.4", sae=None)
    torch.manual_seed(0)
    sae = SparseAutoencoder(inner.width, 40)
    torch.nn.init.normal_(sae.encoder_weight, std=inner.width**-0.5)
    torch.nn.init.normal_(sae.decoder_weight, std=inner.width**-0.5)
    inner = replace(inner, sae=sae)
    features = inner.features(images)
    everything, none = np.ones(40, bool), np.zeros(40, bool)
    found = masked_logits(
        inner, images, [Edit(everything, "keep"), Edit(none, "zero", "delta"), Edit(everything, "zero")]
    )
    rebuilt = inner.logits(inner.decode(inner.encode(features))).numpy()
    assert found[0] == pytest.approx(rebuilt, rel=1e-5)
    assert found[1] == pytest.approx(model.logits(model.features(images)).numpy(), rel=1e-5)
    assert found[2] == pytest.approx(found[2, :1].repeat(3, axis=0), rel=1e-5)
    assert not np.allclose(found[0], found[1])
    with pytest.raises(ModelError, match="not linear"):
        _ = inner.attribution

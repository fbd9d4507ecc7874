"""The closed forms against the network itself, and the masked pass where there is no closed form."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse
import torch

import layer_models
import tiny
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.masked_pass import EditableImage, masked_logits
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.memory import MemoryLadder


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


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.4", "blocks.7", "blocks.9"])
def test_batches_of_the_tail_equal_full_hooked_passes(tiny_model, images, layer):
    inner = layer_models.inner_model(tiny_model, layer)
    x = images[:1]
    features = inner.features(x)
    chosen = list(edits(inner.n_latents, tuple(features.shape[2:])))
    found = EditableImage(inner, features, MemoryLadder(inner, 3)).logits(chosen)
    for edit, logits in zip(chosen, found, strict=True):
        expected = layer_models.hooked_logits(inner, x, partial(layer_models.edited_by_hand, inner, edit=edit))
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 1e-3  # the edits matter


def test_edits_alike_on_an_image_share_a_pass(tiny_model, images, monkeypatch):
    inner = layer_models.inner_model(tiny_model, "blocks.7")
    features = inner.features(images[:1])
    live = (layer_models.latents_by_hand(inner, features) > 0).any(2).any(1).numpy()
    assert 2 < live.sum() < live.size
    everything = np.ones_like(live)
    chosen = [
        Edit(live, "zero"),
        Edit(everything, "zero"),
        Edit(~live, "keep"),
        Edit(live, "keep"),
        Edit(live, "clip", value=0),
    ]
    passed, real = [], inner.logits
    monkeypatch.setattr(inner, "logits", lambda batch: passed.append(len(batch)) or real(batch))
    found = EditableImage(inner, features).logits(chosen)
    assert sum(passed) == 3
    assert (found[:3] == found[0]).all()
    assert not np.allclose(found[0], found[3])
    np.testing.assert_allclose(found[4], found[0], rtol=1e-6)


def test_fewer_at_a_time_where_memory_is_short(tiny_model, images, monkeypatch):
    inner = layer_models.inner_model(tiny_model, "blocks.7")
    features = inner.features(images[:1])
    chosen = list(edits(inner.n_latents, tuple(features.shape[2:])))[:5]
    expected = EditableImage(inner, features).logits(chosen)
    passed, real, notes = [], inner.logits, []

    def small(batch):
        if len(batch) > 1:
            raise torch.OutOfMemoryError("out of memory")
        passed.append(1)
        return real(batch)

    monkeypatch.setattr(inner, "logits", small)
    found = EditableImage(inner, features, MemoryLadder(inner, 4, notes.append)).logits(chosen)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(passed) == 5
    assert [note.partition(";")[0] for note in notes] == [
        f"Out of memory on cpu with {n} images at a time" for n in (4, 2)
    ]


def test_inner_layers_have_no_closed_form(tiny_model):
    with pytest.raises(ModelError, match="not linear"):
        _ = layer_models.inner_model(tiny_model, "blocks.4").attribution

"""Edits and explanations of one image, against the masked forward pass and plain sums."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.explain import explain
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.intervention.smallest_flip import smallest_flip
from napari_mammosae.core.models.latents import LatentMaps


class SmallModel:
    """An SAE and a linear head on made-up features: what `MammoSAE` is behind its backbone."""

    def __init__(self, seed=0, width=6, n_latents=20, classes=1):
        rng = np.random.default_rng(seed)
        self.width, self.n_latents = width, n_latents
        self.device, self.layer = "cpu", "head"
        self.classes = tuple(f"class_{c}" for c in range(classes))
        self.encoder = torch.from_numpy(rng.normal(0, 1, (n_latents, width)))
        self.encoder_bias = torch.from_numpy(rng.normal(-1, 0.5, n_latents))
        decoder = rng.normal(0, 1, (width, n_latents))
        self.decoder = torch.from_numpy(decoder / np.linalg.norm(decoder, axis=0))
        self.tied = torch.from_numpy(rng.normal(0, 0.1, width))
        self.head_weight, self.head_bias = rng.normal(0, 2, (classes, width)), rng.normal(0, 0.1, classes)
        self.attribution = self.head_weight @ self.decoder.numpy()
        self.constant = self.head_bias + self.head_weight @ self.tied.numpy()

    def encode(self, features):
        centred = features - self.tied[:, None, None]
        return torch.relu(torch.einsum("hd,ndij->nhij", self.encoder, centred) + self.encoder_bias[:, None, None])

    def decode(self, latents, only=None, of=None):
        decoder = self.decoder if only is None else self.decoder[:, only]
        return torch.einsum("dh,nhij->ndij", decoder, latents) + self.tied[:, None, None]

    def logits(self, features):
        pooled = features.mean((2, 3))
        return pooled @ torch.from_numpy(self.head_weight).T + torch.from_numpy(self.head_bias)

    def features(self, images):
        return torch.cat([images, images.flip(1)], 1)


def image_of(model, seed=0, grid=(5, 4)):
    """Feature map, and the latents of it."""
    features = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (1, model.width, *grid)))
    z = model.encode(features)
    dense = z[0].numpy()
    live = np.flatnonzero((dense > 0).any(axis=(1, 2))).astype(np.int32)
    return features, LatentMaps(
        shape=dense.shape,
        latents=live,
        values=dense[live],
        pooled_mean=dense.mean(axis=(1, 2)),
        pooled_max=dense.max(axis=(1, 2)),
        active_cells=(dense > 0).sum(axis=(1, 2)),
        logits=model.logits(features)[0].numpy(),
        logits_sae=model.logits(model.decode(z))[0].numpy(),
        error_norm=0.0,
    )


REGION = np.zeros((5, 4), bool)
REGION[1:4, 2:] = True


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("form", ["replace", "delta"])
@pytest.mark.parametrize("region", [None, REGION], ids=["everywhere", "region"])
@pytest.mark.parametrize(
    ("mode", "value"),
    [("keep", None), ("zero", None), ("scale", 0.3), ("scale", 2.0), ("clamp", 0.8), ("clamp", 0.0), ("clip", 0.4)],
)
def test_the_closed_form_equals_the_masked_forward_pass(mode, value, region, form, classes):
    for seed in range(5):
        model = SmallModel(seed, classes=classes)
        features, maps = image_of(model, seed)
        mask = np.random.default_rng(seed).random(model.n_latents) < 0.4
        edit = Edit(mask, mode, form, value, region)
        found = edit_image(maps, model.attribution, model.constant, edit)
        assert found.after == pytest.approx(masked_logits(model, features, [edit])[0, 0], abs=1e-10)
        assert found.before == pytest.approx(maps.logits if form == "delta" else maps.logits_sae, abs=1e-10)
        change = (found.map_after - found.map_before).sum(axis=(1, 2))
        assert change == pytest.approx(found.after - found.before, abs=1e-10)
        if region is not None:
            assert np.array_equal(found.map_after[:, ~region], found.map_before[:, ~region])


def test_the_ends_are_exact():
    model = SmallModel()
    features, maps = image_of(model)
    everything, none = np.ones(20, bool), np.zeros(20, bool)
    for edit in (Edit(everything, "zero"), Edit(none, "keep"), Edit(everything, "scale", value=0.0)):
        assert (edit_image(maps, model.attribution, model.constant, edit).after == model.constant).all()
        assert masked_logits(model, features, [edit])[0, 0] == pytest.approx(model.constant)
    for edit in (Edit(none, "zero", "delta"), Edit(everything, "keep", "delta")):
        assert (edit_image(maps, model.attribution, model.constant, edit).after == maps.logits).all()
        assert (masked_logits(model, features, [edit])[0, 0] == maps.logits).all()


def test_the_masked_pass_takes_images_too_and_shares_the_encoder():
    model = SmallModel()
    images = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (3, 3, 5, 4)))
    edits = [Edit(mask_of([i], 20), mode) for i in range(4) for mode in ("keep", "zero")]
    found = masked_logits(model, images, edits)
    assert found.shape == (8, 3, 1)
    assert np.array_equal(found, masked_logits(model, model.features(images), edits))
    assert masked_logits(model, images, []).shape == (0, 3, 1)


def test_contributions_their_map_and_the_error_add_up_to_the_logit():
    for seed in range(10):
        model = SmallModel(seed)
        features, maps = image_of(model, seed)
        found = explain(maps.pooled_mean, model.attribution[0], model.constant[0], maps.logits[0], maps.logits_sae[0])
        size = max(1, np.abs(found.contributions).sum())
        assert abs(found.total - found.logit) <= 1e-10 * size
        by_position = edit_image(maps, model.attribution, model.constant, Edit(np.zeros(20, bool))).map_before[0]
        weight = model.attribution[0, maps.latents] / by_position.size
        assert by_position == pytest.approx((weight[:, None, None] * maps.values).sum(axis=0))
        assert by_position.sum() == pytest.approx(found.contributions.sum())
        left = model.head_weight[0] @ (features - model.decode(model.encode(features)))[0].numpy().mean(axis=(1, 2))
        assert left == pytest.approx(found.error)
        assert by_position.sum() + left + found.bias == pytest.approx(found.logit)


def test_the_largest_terms_and_the_rest_are_all():
    found = explain([0.0, 1.0, 2.0, 3.0, 1.0], [9.0, -5.0, 1.0, 1.0, 5.0], 0.5, 6.0, 5.5)
    latents, terms, rest = found.largest(2)
    assert latents.tolist() == [1, 4]
    assert terms.tolist() == [-5.0, 5.0]
    assert rest == 5.0
    assert found.total == 6.0
    assert found.largest(99)[2] == 0.0


def test_contributions_equal_integrated_gradients_and_shapley_values():
    model = SmallModel(3)
    _, maps = image_of(model, 3)
    z = torch.zeros((1, *maps.shape), dtype=torch.float64)
    z[0, maps.latents.astype(int)] = torch.from_numpy(maps.values)
    steps = (torch.arange(20) + 0.5) / 20
    gradient = torch.zeros_like(z)
    for share in steps:
        scaled = (z * share).requires_grad_(True)
        gradient += torch.autograd.grad(model.logits(model.decode(scaled))[0, 0], scaled)[0] / len(steps)
    integrated = (gradient * z).sum((2, 3))[0].numpy()
    found = explain(maps.pooled_mean, model.attribution[0], model.constant[0], 0.0, 0.0)
    assert integrated[found.latents] == pytest.approx(found.contributions, abs=1e-10)
    # patching one latent out of the whole, and putting it into nothing, differ from each other by nothing
    for latent, own in list(zip(found.latents, found.contributions, strict=True))[:5]:
        masks = mask_of([latent], 20)
        out, alone = (edit_image(maps, model.attribution, model.constant, Edit(masks, m)) for m in ("zero", "keep"))
        assert out.before[0] - out.after[0] == pytest.approx(own)
        assert alone.after[0] - model.constant[0] == pytest.approx(own)


whole = st.integers(-4, 4)


@given(st.lists(whole, min_size=0, max_size=7), whole, st.sampled_from([0.0, 0.5, 3.0]))
def test_the_flip_set_of_two_classes_is_smallest(parts, start, factor):
    parts, decided = np.array(parts, dtype=float), start >= 0
    found = smallest_flip(np.arange(parts.size) + 10, parts, float(start), factor=factor)
    assert found.found == ((found.after[0] >= 0) != decided)
    sizes = [
        size
        for size in range(1, parts.size + 1)
        for chosen in combinations(range(parts.size), size)
        if (start + (factor - 1) * parts[list(chosen)].sum() >= 0) != decided
    ]
    assert found.found == bool(sizes)
    if sizes:
        assert found.latents.size == min(sizes)
    assert found.after[0] == start + (factor - 1) * parts[found.latents - 10].sum()
    assert found.decided == (int(decided), int(found.after[0] >= 0))


@given(st.lists(st.tuples(whole, whole, whole), min_size=1, max_size=6), st.tuples(whole, whole, whole))
def test_the_flip_set_of_several_classes_is_smallest(parts, start):
    parts, start = np.array(parts, dtype=float).T, np.array(start, dtype=float)
    found = smallest_flip(np.arange(parts.shape[1]), parts, start)
    sizes = [
        size
        for size in range(1, parts.shape[1] + 1)
        for chosen in combinations(range(parts.shape[1]), size)
        if np.argmax(start - parts[:, list(chosen)].sum(axis=1)) != np.argmax(start)
    ]
    assert found.found == bool(sizes)
    assert found.latents.size == (min(sizes) if sizes else 0)
    assert np.array_equal(found.after, start - parts[:, found.latents].sum(axis=1))
    assert (found.decided[0] != found.decided[1]) == found.found


def test_the_biggest_contributions_are_the_wrong_ones_when_they_push_back():
    found = smallest_flip([1, 2, 3], [-10.0, 2.0, 3.0], 4.0)
    assert found.latents.tolist() == [3, 2]
    assert not smallest_flip([1, 2, 3], [-10.0, 2.0, 1.0], 4.0).found


def test_a_flip_by_the_reconstruction_alone_is_told():
    assert "reconstruction alone" in smallest_flip([1], [1.0], -0.5, original=0.5).note
    assert smallest_flip([1], [1.0], 0.5, original=0.5).note == ""


@pytest.mark.parametrize("factor", [1.0, -1.0, np.nan])
def test_a_factor_that_means_nothing_is_refused(factor):
    with pytest.raises(SettingsError, match="factor"):
        smallest_flip([1], [1.0], 0.5, factor=factor)


def test_flip_sets_need_matching_sizes():
    with pytest.raises(SettingsError, match="expected"):
        smallest_flip([1, 2], [1.0], 0.5)


@pytest.mark.parametrize(
    ("latents", "said"), [([], "empty"), ([20], "no latent 20"), ([-1], "no latent -1"), ([0.5], "whole numbers")]
)
def test_wrong_sets_are_refused(latents, said):
    with pytest.raises(SettingsError, match=said):
        mask_of(latents, 20)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mode": "break"}, "unknown"),
        ({"form": "sum"}, "unknown"),
        ({"mode": "scale"}, "needs a value"),
        ({"mode": "clamp", "value": -1.0}, "needs a value"),
        ({"mode": "clip", "value": np.nan}, "needs a value"),
        ({"value": 1.0}, "takes no value"),
        ({"region": np.zeros((5, 4), bool)}, "no cell"),
        ({"region": np.zeros((5, 4))}, "per cell"),
    ],
)
def test_edits_that_make_no_sense_are_refused(more, said):
    with pytest.raises(SettingsError, match=said):
        Edit(np.ones(20, bool), **more)


def test_edits_for_another_model_are_refused():
    with pytest.raises(SettingsError, match="a mask is"):
        Edit(np.arange(3))
    model = SmallModel()
    features, maps = image_of(model)
    for edit, said in (
        (Edit(np.ones(19, bool)), "another SAE"),
        (Edit(np.ones(20, bool), region=np.ones((4, 5), bool)), "region has"),
    ):
        with pytest.raises(SettingsError, match=said):
            edit_image(maps, model.attribution, model.constant, edit)
        with pytest.raises(SettingsError, match=said):
            masked_logits(model, features, [edit])
    with pytest.raises(SettingsError, match="different SAEs"):
        edit_image(maps, model.attribution[:, :-1], model.constant, Edit(np.ones(20, bool)))
    with pytest.raises(SettingsError, match="different SAEs"):
        explain(np.ones(3), np.ones(4), 0.0, 0.0, 0.0)


def test_what_an_edit_does_can_be_said_and_kept():
    everything, none = np.ones(4, bool), np.zeros(4, bool)
    assert "no latent is edited" in Edit(none, "zero").remark
    assert "no latent is edited" in Edit(everything, "keep").remark
    assert "same logit" in Edit(everything, "zero").remark
    assert "only the SAE error" in Edit(none, "keep", "delta").remark
    assert Edit(mask_of([1], 4)).remark == ""
    assert Edit(everything, region=np.ones((2, 2), bool)).remark == ""
    region = np.array([[True, False], [False, False]])
    assert Edit(mask_of([2, 1], 4), "scale", "delta", 0.5, region).describe() == {
        "mode": "scale",
        "form": "delta",
        "value": 0.5,
        "n_latents": 4,
        "latents": [1, 2],
        "region": [[0, 0]],
    }

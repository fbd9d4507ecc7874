"""The numbers of the published implementation, on weights and images regenerated from their recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch

import recipe
from napari_mammosae.core.models.compute import latents_of_features
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE

TOLERANCE = 1e-5


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module", params=["b5", "b2"])
def parity(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp(request.param)
    with np.load(recipe.PARITY / f"{request.param}_small.npz") as file:
        numbers = dict(file)
    width, latents = recipe.WIDTH[request.param], numbers["mean_latents"].shape[1]
    model = load_model(
        classifier=recipe.write_classifier(
            folder / "classifier.pth", recipe.encoder_weights(request.param), recipe.head_weights(width)
        ),
        sae=recipe.write_sae(folder / "sae.pt", recipe.sae_weights(width, latents)),
        device="cpu",
    )
    images = torch.cat([recipe.image(int(seed), *numbers["size"]) for seed in numbers["seeds"]])
    features = model.features(images)
    return model, numbers, features, latents_of_features(model, features)


Parity = tuple[MammoSAE, dict[str, np.ndarray], torch.Tensor, list[LatentMaps]]


def test_features(parity: Parity) -> None:
    _, numbers, features, _ = parity
    assert relative(features[0].numpy(), numbers["features0"]) < TOLERANCE


def test_latents_of_every_cell(parity: Parity) -> None:
    model, numbers, _, maps = parity
    found = np.stack([maps[0][latent] for latent in range(model.n_latents)], axis=-1)
    assert relative(found, numbers["latents0"]) < TOLERANCE
    assert maps[0].values.shape[0] == (numbers["latents0"] > 0).any((0, 1)).sum()


def test_pooled_latents(parity: Parity) -> None:
    _, numbers, _, maps = parity
    assert relative(np.stack([m.pooled_mean for m in maps]), numbers["mean_latents"]) < TOLERANCE
    first = numbers["latents0"]
    assert relative(maps[0].pooled_max, first.max((0, 1))) < TOLERANCE
    np.testing.assert_array_equal(maps[0].active_cells, (first > 0).sum((0, 1)))


def test_logits_without_and_with_the_autoencoder(parity: Parity) -> None:
    _, numbers, _, maps = parity
    assert relative(np.stack([m.logits[0] for m in maps]), numbers["logit"]) < TOLERANCE
    assert relative(np.stack([m.logits_sae[0] for m in maps]), numbers["logit_sae"]) < TOLERANCE


def test_attribution_adds_up_to_the_logit(parity: Parity) -> None:
    model, numbers, _, _ = parity
    logits = model.constant[0] + numbers["mean_latents"].astype(np.float64) @ model.attribution[0]
    assert relative(logits, numbers["logit_sae"]) < TOLERANCE


def test_masked_forward_pass(parity: Parity) -> None:
    """Keep or zero the union of both classes' top k through the network itself."""
    model, numbers, features, _ = parity
    latents = model.encode(features)
    for row, k in enumerate(numbers["ks"]):
        union = np.union1d(numbers["class0_order"][:k], numbers["class1_order"][:k])
        assert len(union) == numbers["union_size"][row]
        mask = torch.zeros(model.n_latents, 1, 1)
        mask[union] = 1
        kept = model.logits(model.decode(latents * mask))[:, 0].numpy()
        zeroed = model.logits(model.decode(latents * (1 - mask)))[:, 0].numpy()
        assert relative(kept, numbers["on_logit"][row]) < TOLERANCE
        assert relative(zeroed, numbers["off_logit"][row]) < TOLERANCE


def test_error_norm_is_the_root_mean_squared_distance(parity: Parity) -> None:
    model, _, features, maps = parity
    x = features[0].double().flatten(1).T.numpy()
    z = model.encode(features[:1])[0].double().flatten(1).T.numpy()
    weights = recipe.sae_weights(model.width, model.n_latents)
    xhat = z @ weights["decoder._weight"][0].double().numpy().T + weights["tied_bias"][0].double().numpy()
    assert maps[0].error_norm == pytest.approx(np.sqrt(((x - xhat) ** 2).sum(1).mean()), rel=1e-5)


def test_a_pretraining_checkpoint_gives_the_same_features(parity: Parity, tmp_path: Path) -> None:
    model, _, features, _ = parity
    network = "b5" if model.width == 2048 else "b2"
    encoder = {f"image_encoder.{key}": value for key, value in recipe.encoder_weights(network).items()}
    path = tmp_path / "pretrained.tar"
    torch.save({"model": encoder, "config": {"a": [1, "b"]}, "optimizer": {}, "epoch": 7}, path)
    bare = load_model(backbone=path, device="cpu")
    assert bare.classes == ()
    size = (190, 114)
    assert torch.equal(bare.features(recipe.image(0, *size)), model.features(recipe.image(0, *size)))
    del features

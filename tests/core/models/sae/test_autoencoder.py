import numpy as np
import pytest
import torch

import recipe
from napari_mammosae.core.base.errors import CheckpointError
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return recipe.sae_weights(8, 24)


def test_encode_and_decode_follow_the_formula(weights: dict[str, torch.Tensor]) -> None:
    sae = SparseAutoencoder.from_weights(weights, "sae.pt")
    assert (sae.width, sae.n_latents) == (8, 24)
    arrays = {key: value[0].double().numpy() for key, value in weights.items()}
    x = np.random.default_rng(0).normal(size=(5, 3, 8))
    z = np.maximum((x - arrays["tied_bias"]) @ arrays["encoder._weight"].T + arrays["encoder._bias"], 0)
    xhat = z @ arrays["decoder._weight"].T + arrays["tied_bias"]
    given = torch.from_numpy(x.astype(np.float32))
    np.testing.assert_allclose(sae.encode(given), z, atol=1e-5)
    np.testing.assert_allclose(sae(given), xhat, atol=1e-5)
    np.testing.assert_array_equal(given, x.astype(np.float32))  # the input is left as it was


def test_own_names_are_read_back(weights: dict[str, torch.Tensor]) -> None:
    sae = SparseAutoencoder.from_weights(weights, "sae.pt")
    again = SparseAutoencoder.from_weights({k: v.half() for k, v in sae.state_dict().items()}, "own.safetensors")
    assert again.tied_bias.dtype == torch.float32
    torch.testing.assert_close(again.decoder_weight, sae.decoder_weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder._bias"), r"missing \['encoder_bias'\]"),
        (lambda w: w.update(extra=torch.ones(1)), r"unknown \['extra'\]"),
        (
            lambda w: w.update({"encoder._bias": torch.zeros(1, 23)}),
            r"encoder_bias has shape \(23,\), expected \(24,\)",
        ),
        (lambda w: w.update({"decoder._weight": torch.zeros(2, 8, 24)}), r"expected \(d, h\)"),
        (lambda w: w["encoder._weight"].__setitem__((0, 3, 3), float("nan")), "not finite"),
        (lambda w: w["post_decoder_bias._bias_reference"].add_(1), "differs from tied_bias"),
    ],
)
def test_wrong_files_are_explained(weights: dict[str, torch.Tensor], change, message: str) -> None:
    change(weights)
    with pytest.raises(CheckpointError, match=message) as error:
        SparseAutoencoder.from_weights(weights, "sae.pt")
    assert "sae.pt" in str(error.value)


def test_decoding_some_latents_takes_the_others_as_silent(weights: dict[str, torch.Tensor]) -> None:
    sae = SparseAutoencoder.from_weights(weights, "sae.pt")
    z = torch.zeros(4, 24)
    some = torch.tensor([2, 7, 23])
    z[:, some] = torch.rand(4, 3)
    torch.testing.assert_close(sae.decode(z[:, some], some), sae.decode(z))


@pytest.mark.parametrize(
    ("factor", "note"),
    [
        (1.0, ""),
        (1.002, ""),
        (1e-6, "sae.pt: the decoder's columns have norms of 1e-06 to 1e-06, not 1"),
        (torch.linspace(0.5, 2, 24), "norms of 0.5 to 2, not 1, so that activations of different latents are on"),
    ],
)
def test_a_decoder_that_is_not_of_unit_norm_is_noted(weights: dict[str, torch.Tensor], factor, note: str) -> None:
    decoder = weights["decoder._weight"]
    weights["decoder._weight"] = decoder / decoder.norm(dim=1, keepdim=True) * factor
    found = SparseAutoencoder.from_weights(weights, "sae.pt").note
    assert (note in found) if note else found == ""

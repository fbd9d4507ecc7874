"""SAEs of other tools in a whole model: closed forms where they hold, passes where they do not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import runs_kit
import tiny
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.edit import Edit
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.models.compute import compute_latents, latents_of_features
from napari_mammosae.core.models.engines import sums
from napari_mammosae.core.models.files.model_files import file_stamps
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.reports.inspection import latent_table
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.training.reconstruction import ReconstructionStats
from napari_mammosae.process.local import LocalModel

D, H = 256, tiny.LATENTS


def write_sae(folder: Path, width: int = D, latents: int = H, factor: float = 1.0, **settings: object) -> Path:
    """An SAE in SAELens's format, about half of whose latents would fire if it were a ReLU's."""
    folder.mkdir(parents=True, exist_ok=True)
    decoder = torch.randn(latents, width, generator=torch.Generator().manual_seed(1))
    decoder /= decoder.norm(dim=1, keepdim=True)
    tensors = {"W_enc": decoder.T.contiguous(), "W_dec": decoder * factor, "b_enc": torch.zeros(latents)}
    save_file(tensors | {"b_dec": torch.linspace(-0.1, 0.1, width)}, folder / "sae_weights.safetensors")
    config = {"d_in": width, "d_sae": latents, "architecture": "standard", "normalize_activations": "none", **settings}
    (folder / "cfg.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def image(tiny_model: Path):
    return read_mammogram(tiny.picture(0))


EDITS = [
    Edit(np.arange(H) % 3 == 0, mode, form, value)
    for form in ("replace", "delta")
    for mode, value in (("keep", None), ("zero", None), ("scale", 1.7), ("clamp", 0.2))
]


def test_closed_forms_of_a_topk_sae_equal_the_masked_pass(tiny_model: Path, tmp_path: Path, image) -> None:
    model = load_model(tiny_model, sae=write_sae(tmp_path / "topk", architecture="topk", k=7), device="cpu")
    x = image.to_input(model.preprocessing)
    maps = latents_of_features(model, model.features(x))[0]
    assert (maps.to_xarray(range(H)).to_numpy() > 0).sum(0).max() == 7
    np.testing.assert_allclose(model.constant + model.attribution @ maps.pooled_mean, maps.logits_sae, atol=1e-4)
    for edit, expected in zip(EDITS, masked_logits(model, x, EDITS), strict=True):
        found = edit_image(maps, model.attribution, model.constant, edit)
        size = np.maximum(1, np.abs(model.attribution * maps.pooled_mean).sum(axis=1))
        assert (np.abs(found.after - expected[0]) <= 1e-5 * size).all()


@pytest.mark.parametrize("few", [0, 2], ids=["column by column", "value by value"])
def test_a_normalisation_of_each_cell_has_passes_and_no_closed_form(
    tiny_model: Path, tmp_path: Path, image, monkeypatch: pytest.MonkeyPatch, few: float
) -> None:
    monkeypatch.setattr(sums, "_FEW", few)
    folder = write_sae(tmp_path / "ln", normalize_activations="layer_norm")
    model = load_model(tiny_model, sae=folder, device="cpu")
    assert not model.linear
    assert model.facts.attribution is None
    with pytest.raises(ModelError, match="the SAE normalises each cell by its own size"):
        model.facts.linear_tail()
    features = model.features(image.to_input(model.preprocessing))
    x = features[0].flatten(1).T.double().numpy()
    w = {name: value.double().numpy() for name, value in load_file(folder / "sae_weights.safetensors").items()}
    mean, size = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
    z = np.maximum(((x - mean) / (size + 1e-5) - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 0)

    def logits(codes: np.ndarray) -> np.ndarray:
        y = (codes @ w["W_dec"] + w["b_dec"]) * size + mean
        return y.mean(0) @ model.head_weight.T + model.head_bias

    local = LocalModel(model)
    maps = local.compute(image, lambda *_: None)
    np.testing.assert_allclose(maps.logits_sae, logits(z), rtol=1e-4, atol=1e-4)
    added, without_any = maps.ledger(model.facts)
    np.testing.assert_allclose(added.sum(1) + without_any, maps.logits_sae, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(without_any, logits(np.zeros_like(z)), rtol=1e-4, atol=1e-4)
    for latent in maps.latents[:3]:  # each term is what its latent alone adds
        alone = np.where(np.arange(H) == latent, z, 0)
        np.testing.assert_allclose(added[:, latent], logits(alone) - without_any, rtol=1e-3, atol=1e-4)
    table = latent_table(model, maps)
    np.testing.assert_allclose(table[f"contribution.{model.classes[0]}"], added[0])
    zero = np.arange(H) % 3 == 0
    chosen = [Edit(zero, "zero", form, None) for form in ("replace", "delta")]
    found = local.pass_edits(maps.key, chosen, lambda *_: None)
    without = logits(np.where(zero, 0, z))
    np.testing.assert_allclose(found[0], without, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], maps.logits + without - logits(z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_a_reconstruction_worse_than_the_mean_is_an_alarm(tiny_model: Path, tmp_path: Path, image, factor) -> None:
    model = load_model(tiny_model, sae=write_sae(tmp_path / "sae", factor=factor), device="cpu")
    maps = compute_latents(model, image)
    features = model.features(image.to_input(model.preprocessing))
    stats = ReconstructionStats(D, H)
    cells = features[0].flatten(1).T
    stats.add(cells.numpy(), model.sae(cells).numpy())
    assert maps.fvu == pytest.approx(1 - stats.explained_variance, rel=1e-4)
    assert ("the input scale probably differs" in maps.scale_alarm) == (maps.fvu > 1)
    if factor == 8:
        assert maps.scale_alarm


def test_the_alarm_sounds_in_a_run(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model, sae=write_sae(tmp_path / "sae", factor=8), device="cpu")
    said: list[str] = []
    write_run(runs_kit.write_images(tmp_path / "images", 3), model, tmp_path / "run", workers=0, notice=said.append)
    (alarm,) = [text for text in said if "the input scale probably differs" in text]
    assert "images with a note: 3 (first: image-000.png: The SAE's reconstruction is worse than the mean (FVU" in alarm
    assert (open_run(tmp_path / "run").images["fvu"] > 1).all()


def test_options_come_from_the_file_and_from_the_call(tiny_model: Path, tmp_path: Path) -> None:
    write_sae(tmp_path / "sae", architecture="topk")
    for name in ("classifier.safetensors",):
        (tmp_path / name).write_bytes((tiny_model.parent / name).read_bytes())
    toml = tmp_path / "model.toml"
    lines = tiny.TOML.replace('sae = "sae.safetensors"\n', "")
    toml.write_text(lines + '[files]\nsae = "sae"\n[sae]\nk = 5\n')
    model = load_model(toml, device="cpu")
    other = load_model(toml, device="cpu", sae_options={"k": 6})
    assert (model.sae.activation.k, other.sae.activation.k) == (5, 6)
    assert model.sae_sha256 != other.sae_sha256
    again = load_model(**model.recipe)
    assert again.sae_sha256 == model.sae_sha256


def test_a_file_of_several_saes_needs_a_key(tiny_model: Path, tmp_path: Path) -> None:
    one = load_file(write_sae(tmp_path / "one") / "sae_weights.safetensors")
    two = one | {"b_dec": one["b_dec"] + 1}
    folder = write_sae(tmp_path / "both")
    (folder / "sae_weights.safetensors").unlink()
    torch.save({"plain": one, "ema": two}, folder / "sae.pt")
    with pytest.raises(CheckpointError, match="no weights under the key 'emma'; it has plain and ema"):
        load_model(tiny_model, sae=folder, keys={"sae": "emma"}, device="cpu")
    first, second = (load_model(tiny_model, sae=folder, keys={"sae": key}, device="cpu") for key in ("plain", "ema"))
    torch.testing.assert_close(second.sae.tied_bias, first.sae.tied_bias + 1)
    assert first.sae_sha256 != second.sae_sha256


def test_settings_beside_an_sae_that_change_are_read_again(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae", architecture="topk", k=7)
    recipes = [{"name": tiny_model, "sae": path} for path in (folder, folder / "sae_weights.safetensors")]
    before = [file_stamps(recipe) for recipe in recipes]
    settings = folder / "cfg.json"
    settings.write_text(settings.read_text().replace('"k": 7', '"k": 11'))
    for recipe, stamps in zip(recipes, before, strict=True):
        assert file_stamps(recipe) != stamps


@pytest.mark.parametrize(
    ("width", "latents", "words"),
    [
        (2048, 64, "the last layer of efficientnet-b5 has as many"),
        (1408, 64, "the last layer of efficientnet-b2 has as many"),
        (64, 256, "it has 256 latents, so its matrices seem to be transposed"),
        (77, 64, "no layer of a known backbone has as many"),
    ],
)
def test_a_width_that_does_not_fit_names_what_would(tiny_model: Path, tmp_path: Path, width, latents, words) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(tiny_model, sae=write_sae(tmp_path / "sae", width, latents), device="cpu")


def test_a_width_of_another_layer_names_the_layer(tiny_model: Path, tmp_path: Path) -> None:
    backbone = load_model(tiny_model, device="cpu").backbone
    width = backbone.block_channels(4)
    same = [i for i in range(len(backbone.blocks)) if backbone.block_channels(i) == width]
    folder = write_sae(tmp_path / "sae", width)
    with pytest.raises(ModelError, match=rf"blocks\.{same[0]}.* of phantom-b0 ha(s|ve) as many"):
        load_model(tiny_model, sae=folder, device="cpu")
    assert load_model(tiny_model, sae=folder, layer="blocks.4", device="cpu").width == width

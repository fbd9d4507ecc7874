from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import recipe
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.models import model as model_module
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.compute import compute_latents, latents_of_features
from napari_mammosae.core.models.engines.precision import DTYPES
from napari_mammosae.core.models.files.model_files import find_model, read_model_file
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.models.loading import load_model, resolve_device
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.sae.stand_ins import with_stand_in

SIZE = (160, 96)


def write_small(folder: Path, logits: int = 2, sae_width: int = 256, latents: int = 64) -> Path:
    """A model.toml with a tiny random network beside it."""
    torch.manual_seed(0)
    encoder = {f"image_encoder.{k}": v for k, v in EfficientNetBackbone("phantom-b0").state_dict().items()}
    save_file({**encoder, **recipe.head_weights(256, logits)}, folder / "classifier.safetensors")
    sae = SparseAutoencoder.from_weights(recipe.sae_weights(sae_width, latents), "sae.pt")
    sae.encoder_weight *= 100  # an untrained network's features are small; about half of the latents shall fire
    save_file(dict(sae.state_dict()), folder / "sae.safetensors")
    path = folder / "model.toml"
    path.write_text(
        f'name = "tiny"\nclassifier = "classifier.safetensors"\nsae = "sae.safetensors"\ninput_size = {list(SIZE)}\n'
    )
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(tiny: Path) -> MammoSAE:
    return load_model(tiny, classes=["mass", "marker"], device="cpu")


@pytest.fixture(scope="module")
def maps(model: MammoSAE) -> list[LatentMaps]:
    x = torch.cat([recipe.image(seed, *SIZE) for seed in (0, 1)])
    return latents_of_features(model, model.features(x))


def test_what_a_model_says_of_itself(model: MammoSAE, tiny: Path) -> None:
    assert (model.name, model.classes, model.task) == ("tiny", ("mass", "marker"), "multilabel")
    assert (model.width, model.n_latents, model.grid) == (256, 64, (5, 3))
    assert model.preprocessing.size == SIZE
    from napari_mammosae.core.base.files import sha256_file

    assert model.model_sha256 == sha256_file(tiny.parent / "classifier.safetensors")
    assert model.sae_sha256 == sha256_file(tiny.parent / "sae.safetensors")


def test_latents_of_one_image(model: MammoSAE, maps: list[LatentMaps]) -> None:
    x = recipe.image(0, *SIZE)
    dense = model.encode(model.features(x))[0].numpy()
    first = maps[0]
    assert first.shape == dense.shape == (64, 5, 3)
    assert len(first) == 64
    assert 0 < len(first.latents) < 64
    np.testing.assert_array_equal(first.latents, np.flatnonzero(dense.max((1, 2)) > 0))
    for latent in range(64):
        np.testing.assert_allclose(first[latent], dense[latent], rtol=1e-5, atol=1e-5)
        assert first[latent].dtype == np.float32
    np.testing.assert_allclose(first.pooled_mean, dense.mean((1, 2), dtype=np.float64), rtol=1e-5, atol=1e-5)
    with pytest.raises(IndexError):
        first[64]
    with pytest.raises(IndexError):
        first[-65]


def test_a_batch_gives_what_single_images_give(model: MammoSAE, maps: list[LatentMaps]) -> None:
    for seed, together in enumerate(maps):
        alone = latents_of_features(model, model.features(recipe.image(seed, *SIZE)))[0]
        np.testing.assert_allclose(alone.logits, together.logits, rtol=1e-5)
        np.testing.assert_allclose(alone.pooled_mean, together.pooled_mean, rtol=1e-5, atol=1e-5)


def test_logits_follow_the_formula_in_float64(model: MammoSAE) -> None:
    features = torch.randn(3, 256, 5, 3)
    head = recipe.head_weights(256, 2)
    weight, bias = (head[recipe.HEAD + part].double().numpy() for part in ("weight", "bias"))
    expected = features.double().numpy().mean((2, 3)) @ weight.T + bias
    np.testing.assert_allclose(model.logits(features), expected, rtol=1e-12)
    assert model.logits(features).dtype == torch.float64


def test_from_an_image_to_its_latents(model: MammoSAE) -> None:
    from napari_mammosae.core.images.mammogram import read_mammogram

    pixels = np.zeros((300, 200), np.uint8)
    pixels[40:260, 10:150] = np.random.default_rng(0).integers(60, 255, (220, 140))
    image = read_mammogram(pixels)
    maps = compute_latents(model, image)
    assert maps.frame == image.frame_for(model.preprocessing)
    direct = model.logits(model.features(image.to_input(model.preprocessing)))[0].numpy()
    np.testing.assert_allclose(maps.logits, direct, rtol=1e-9)


def test_an_inner_layer_uses_the_masked_pass(tiny: Path, tmp_path: Path) -> None:
    block = 6
    channels = EfficientNetBackbone("phantom-b0").block_channels(block)
    sae = SparseAutoencoder.from_weights(recipe.sae_weights(channels, 40), "sae.pt")
    save_file(dict(sae.state_dict()), tmp_path / "inner.safetensors")
    files = tiny.parent
    inner = load_model(
        classifier=files / "classifier.safetensors",
        sae=tmp_path / "inner.safetensors",
        classes=["a", "b"],
        layer=f"blocks.{block}",
        input_size=SIZE,
        device="cpu",
    )
    whole = load_model(tiny, classes=["a", "b"], device="cpu")
    x = recipe.image(0, *SIZE)
    features = inner.features(x)
    assert features.shape[1:] == (channels, *inner.grid)
    np.testing.assert_allclose(inner.logits(features), whole.logits(whole.features(x)), rtol=1e-6)
    with pytest.raises(ModelError, match="not linear"):
        _ = inner.attribution
    with pytest.raises(ModelError, match=r"no layer 'blocks\.99'; there are 'head' and 'blocks\.0' to 'blocks\.9'"):
        load_model(tiny, classes=["a", "b"], layer="blocks.99", device="cpu")


def test_defaults_for_classes(tmp_path: Path) -> None:
    for logits, classes, task in [
        (1, ("finding",), "binary"),
        (4, ("density_a", "density_b", "density_c", "density_d"), "multiclass"),
    ]:
        folder = tmp_path / str(logits)
        folder.mkdir()
        model = load_model(write_small(folder, logits), device="cpu")
        assert (model.classes, model.task) == (classes, task)
    with pytest.raises(ModelError, match="2 logits and no names"):
        load_model(write_small(tmp_path, 2), device="cpu")
    with pytest.raises(ModelError, match="2 logits, but 3 classes"):
        load_model(write_small(tmp_path, 2), classes=["a", "b", "c"], device="cpu")
    with pytest.raises(ModelError, match="2 logits, and a binary task has one"):
        load_model(write_small(tmp_path, 2), classes=["a", "b"], task="binary", device="cpu")


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sae\.safetensors reads 128 features but layer head of phantom-b0 has 256"):
        load_model(write_small(tmp_path, sae_width=128), classes=["a", "b"], device="cpu")
    weights = recipe.encoder_weights("b2")
    weights["_conv_stem.weight"] = weights["_conv_stem.weight"][:16]
    path = recipe.write_classifier(tmp_path / "odd.pth", weights, recipe.head_weights(1408))
    with pytest.raises(CheckpointError, match=r"odd\.pth: unknown EfficientNet: stem of 16 channels, 23 blocks"):
        load_model(classifier=path, device="cpu")
    weights = recipe.encoder_weights("b2")
    del weights["_blocks.3._bn1.running_mean"]
    path = recipe.write_classifier(tmp_path / "less.pth", weights, recipe.head_weights(1408))
    with pytest.raises(CheckpointError, match=r"less\.pth does not fit efficientnet-b2: 1 weights missing"):
        load_model(classifier=path, device="cpu")
    path = recipe.write_classifier(tmp_path / "wide.pth", recipe.encoder_weights("b2"), recipe.head_weights(2048))
    with pytest.raises(CheckpointError, match="reads 2048 features, the backbone with it gives 1408"):
        load_model(classifier=path, device="cpu")


def test_the_classifiers_own_backbone_wins_with_a_warning(tmp_path: Path) -> None:
    write_small(tmp_path)
    other = {f"image_encoder.{k}": v * 1.5 for k, v in EfficientNetBackbone("phantom-b0").state_dict().items()}
    torch.save({"model": other}, tmp_path / "pretrained.tar")
    files = {"classifier": tmp_path / "classifier.safetensors", "classes": ["a", "b"], "input_size": SIZE}
    alone = load_model(**files, device="cpu")
    with pytest.warns(UserWarning, match=r"differ from pretrained\.tar; the classifier's are used"):
        both = load_model(backbone=tmp_path / "pretrained.tar", **files, device="cpu")
    x = recipe.image(0, *SIZE)
    assert torch.equal(both.features(x), alone.features(x))


def test_without_an_autoencoder_or_a_classifier(tiny: Path, model: MammoSAE) -> None:
    plain = load_model(classifier=tiny.parent / "classifier.safetensors", classes=["a", "b"], device="cpu")
    assert plain.n_latents == 0
    with pytest.raises(ModelError, match="without a sparse autoencoder"):
        plain.encode(torch.zeros(1, 256, 2, 2))
    bare = load_model(
        backbone=tiny.parent / "classifier.safetensors", sae=tiny.parent / "sae.safetensors", device="cpu"
    )
    x = recipe.image(0, *SIZE)
    assert torch.equal(bare.encode(bare.features(x)), model.encode(model.features(x)))
    with pytest.raises(ModelError, match="no classifier"):
        bare.logits(bare.features(x))
    maps = latents_of_features(bare, bare.features(x))[0]
    assert maps.logits.shape == maps.logits_sae.shape == (0,)
    assert maps.pooled_mean.any()
    with pytest.raises(ModelError, match="no weights"):
        load_model(sae=tiny.parent / "sae.safetensors")


@pytest.mark.parametrize("own", [True, False], ids=["own arithmetic", "rounded"])
@pytest.mark.parametrize(("precision", "near"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_half_precision_is_near(
    own: bool, precision: str, near: float, tiny: Path, model: MammoSAE, monkeypatch
) -> None:
    """Whether the processor has arithmetic of its own for it or not."""
    monkeypatch.setattr(model_module, "computes_in", lambda *_: own)
    fast = load_model(tiny, classes=["a", "b"], precision=precision, device="cpu")
    half = DTYPES[precision]
    assert fast.dtype == (half if own else torch.float32)
    x = recipe.image(0, *SIZE)
    features = fast.features(x)
    assert features.dtype == fast.dtype
    assert torch.equal(features, features.to(half).to(features.dtype))  # as the format has them
    exact = model.features(x)
    assert 1e-6 < (features.float() - exact).norm() / exact.norm() < near
    maps = latents_of_features(fast, features)[0]
    assert maps.values.dtype == np.float32
    said = [note for note in fast.notes if f"does not compute in {precision}" in note]
    assert bool(said) != own


def test_settings_that_mean_nothing(tiny: Path) -> None:
    with pytest.raises(ModelError, match="precision 'int8'"):
        load_model(tiny, precision="int8")
    with pytest.raises(ModelError, match="device 'gpu'"):
        resolve_device("gpu")
    with pytest.raises(ModelError, match="no model is called 'nonsense'"):
        load_model("nonsense")
    with pytest.raises(ModelError, match="not both"):
        load_model("demo", classifier="x.pth")
    with pytest.raises(ModelError, match=r"expected \(N, 3, H, W\)"):
        load_model(tiny, classes=["a", "b"], device="cpu").features(torch.zeros(1, 1, 64, 64))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML"),
        ('classifer = "a"', "unknown key classifer; did you mean classifier"),
        ('classifier = "gone.pth"', "'gone.pth', which does not exist"),
        ("classifier = 3", "classifier is 3; expected a file name"),
        ("input_size = [1520]", "height, width"),
        ("classes = 2", "list of names"),
    ],
)
def test_wrong_model_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        read_model_file(path)
    with pytest.raises(ModelError, match="no such file"):
        find_model(tmp_path / "other.toml")


def test_unloading_frees_the_weights(tiny: Path) -> None:
    model = load_model(tiny, classes=["a", "b"], device="cpu")
    model.unload()
    assert all(p.device.type == "meta" for p in model.backbone.parameters())


@pytest.mark.parametrize("own", [True, False], ids=["own arithmetic", "rounded"])
def test_a_stand_in_in_half_precision_keeps_the_exact_weights(own: bool, tiny: Path, monkeypatch) -> None:
    """An image that overflows float16 is computed with them; the stand-in and the model are computed alike."""
    monkeypatch.setattr(model_module, "computes_in", lambda *_: own)
    model = load_model(tiny, classes=["a", "b"], precision="float16", device="cpu")
    other = with_stand_in(model, "untrained")
    x = recipe.image(0, *SIZE)
    assert torch.equal(other.features(x), model.features(x))
    plain = load_model(tiny, classes=["a", "b"], device="cpu")
    assert torch.equal(other.exact.features(x), plain.features(x))

"""Networks of timm and torchvision as models: the same figures as the network alone, edits exact, plain refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import timm_kit
import tiny
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.masked_pass import masked_logits
from napari_mammosae.core.models.adapters.network import NetworkBackbone
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.sae.stand_ins import with_stand_in
from napari_mammosae.core.models.timm_import import import_timm

SMALL_VIT: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 2}
AFFINE: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("test_resnet", {}, (96, 64)),
    ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 2, 1), "embed_dim": 24}, (96, 64)),
    ("tf_efficientnetv2_b0", {}, (96, 64)),
    ("vit_base_patch16_siglip_gap_224", SMALL_VIT, (96, 64)),
]
OTHERS: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("test_convnext", {}, (96, 64)),
    ("test_vit3", {}, (96, 64)),
    ("test_vit", {}, (96, 64)),
]
EDITS = [
    Edit(mask_of(range(0, timm_kit.LATENTS, 3), timm_kit.LATENTS), mode, form, value)
    for form in ("replace", "delta")
    for mode, value in (("keep", None), ("zero", None), ("scale", 0.5), ("clamp", 0.3))
]


def model_of(name: str, settings: dict[str, Any], size: tuple[int, int], layer: str = "head") -> MammoSAE:
    """A model of a network with random weights, and an SAE for one of its layers."""
    fixed = timm_kit.takes(name, size)
    network = timm_kit.network(name, **settings, **fixed)
    backbone = NetworkBackbone(network, name, "timm", 3, size, fixed=bool(fixed))
    assert backbone.layer is not None
    weight, bias = (one.numpy() for one in backbone.layer)
    block = None if layer == "head" else int(layer.partition(".")[2])
    width = backbone.out_channels if block is None else backbone.block_channels(block)
    generator = torch.Generator().manual_seed(1)
    decoder = torch.nn.functional.normalize(torch.randn(width, timm_kit.LATENTS, generator=generator), dim=0)
    scale = 1 / float(cells_of(backbone, size, block).std())
    sae = SparseAutoencoder.from_weights(
        {
            "encoder_weight": scale * decoder.T.contiguous(),
            "encoder_bias": torch.zeros(timm_kit.LATENTS),
            "decoder_weight": decoder,
            "tied_bias": 0.1 * torch.randn(width, generator=generator),
        },
        "sae.pt",
    )
    head = Head("classifier", timm_kit.CLASSES, "multilabel", weight, bias)
    return MammoSAE(backbone, sae, (head,), layer, Preprocessing(size, fit="resize"), name)


def cells_of(backbone: NetworkBackbone, size: tuple[int, int], block: int | None) -> torch.Tensor:
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(2))
    return backbone(x) if block is None else backbone.to_block(x, block)


@pytest.fixture(scope="module")
def picture() -> Any:
    return read_mammogram(tiny.picture(0, (200, 150)))


@pytest.mark.parametrize(("name", "settings", "size"), AFFINE, ids=[row[0] for row in AFFINE])
def test_closed_forms_are_the_masked_pass(name: str, settings: Any, size: Any, picture: Any) -> None:
    model = model_of(name, settings, size)
    assert model.linear
    assert model.facts.linear
    assert not model.facts.obstacle
    x, maps = picture.to_input(model.preprocessing), compute_latents(model, picture)
    assert len(maps.latents) > 5
    own = model.backbone.network(x).detach().double().numpy()[0]
    np.testing.assert_allclose(maps.logits, own, atol=1e-5 * np.abs(own).max())
    for edit, passed in zip(EDITS, masked_logits(model, x, EDITS)[:, 0], strict=True):
        closed = edit_image(maps, *model.linear_tail(), edit)
        np.testing.assert_allclose(closed.after, passed, atol=1e-5 * max(np.abs(passed).max(), 1))
        assert np.abs(closed.after - closed.before).max() > 1e-5


@pytest.mark.parametrize(("name", "settings", "size"), OTHERS, ids=[row[0] for row in OTHERS])
def test_elsewhere_what_follows_is_run_again(name: str, settings: Any, size: Any, picture: Any) -> None:
    model = model_of(name, settings, size)
    assert not model.linear
    assert model.facts.attribution is None
    with pytest.raises(ModelError, match="no latent"):
        model.linear_tail()
    x, maps = picture.to_input(model.preprocessing), compute_latents(model, picture)
    network = model.backbone.network
    np.testing.assert_allclose(maps.logits, network(x)[0].detach(), atol=1e-6)
    passed = masked_logits(model, x, EDITS[:2])
    with torch.inference_mode():
        raw = network.forward_features(x)
        edited = raw.clone()
        places = edited[:, 1:] if raw.ndim == 3 else edited.permute(0, 2, 3, 1)  # behind the class token
        shape = places.shape
        z = model.autoencoder.encode(places.reshape(-1, shape[-1]))
        for edit, found in zip(EDITS[:2], passed, strict=True):
            kept = z * torch.from_numpy(~edit.targets)
            places.copy_(model.autoencoder.decode(kept).reshape(shape))
            expected = network.forward_head(edited)
            np.testing.assert_allclose(found, expected, atol=1e-6)
    no_effect = np.array_equal(passed[0], passed[1])
    assert no_effect == (name == "test_vit")
    assert ("no direct effect" in model.facts.pass_note) == (name == "test_vit")
    assert ("each edit is exact" in model.facts.pass_note) == (name != "test_vit")


@pytest.mark.parametrize(
    ("name", "settings", "size", "layer"),
    [
        ("test_resnet", {}, (96, 64), "blocks.1"),
        ("tf_efficientnetv2_b0", {}, (96, 64), "blocks.10"),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 2, 1), "embed_dim": 24}, (96, 64), "blocks.2"),
        ("test_vit", {}, (96, 64), "blocks.3"),
        ("test_vit3", {}, (96, 64), "blocks.7"),
        ("test_convnext", {}, (96, 64), "blocks.1"),
        ("densenet121", {"block_config": (1, 1, 1, 1)}, (96, 64), "blocks.6"),
    ],
)
def test_inner_layers(name: str, settings: Any, size: Any, layer: str, picture: Any) -> None:
    model = model_of(name, settings, size, layer)
    x, maps = picture.to_input(model.preprocessing), compute_latents(model, picture)
    assert maps.shape[1:] == model.grid
    np.testing.assert_allclose(maps.logits, model.backbone.network(x)[0].detach(), atol=1e-6)
    nothing = Edit(np.zeros(timm_kit.LATENTS, np.bool_), "zero", "delta")
    zero, keep, same = masked_logits(model, x, [EDITS[1], EDITS[0], nothing])[:, 0]
    np.testing.assert_allclose(same, maps.logits, atol=1e-6)
    assert np.abs(zero - keep).max() > 1e-4
    assert not model.linear
    assert layer in model.facts.pass_note


def test_the_untrained_one_and_another_head(picture: Any) -> None:
    model = model_of(*AFFINE[0])
    model.add_head(Head("more", ("nipple",), "binary", np.ones((1, 96)), np.zeros(1)))
    untrained = with_stand_in(model, "untrained")
    assert untrained.classes == (*timm_kit.CLASSES, "nipple")
    maps = compute_latents(untrained, picture)
    assert maps.logits[2] == pytest.approx(maps.features["mean"].sum(), rel=1e-5)
    np.testing.assert_allclose(
        maps.logits_sae, untrained.constant + untrained.attribution @ maps.pooled_mean, rtol=1e-5
    )


def test_a_head_of_what_is_pooled(picture: Any) -> None:
    model = model_of("test_mambaout", {}, (96, 64))
    assert model.backbone.pooled_channels == 256 != model.backbone.out_channels
    model.add_head(Head("more", ("nipple",), "binary", np.ones((1, 256)), np.zeros(1)))
    maps = compute_latents(model, picture)
    assert maps.logits[2] == pytest.approx(maps.features["mean"].sum(), abs=1e-4)
    with pytest.raises(ModelError, match="reads 64 features"):
        model.add_head(Head("other", ("clip",), "binary", np.ones((1, 64)), np.zeros(1)))


@pytest.mark.parametrize(("name", "channels"), [("test_resnet", 3), ("test_vit", 1), ("test_efficientnet", 1)])
def test_a_model_from_its_files(name: str, channels: int, tmp_path: Path, picture: Any) -> None:
    width = timm_kit.backbone(name).out_channels
    toml = timm_kit.write_model(tmp_path, name, channels=channels, sae=width)
    model = load_model(toml, device="cpu")
    assert (model.classes, model.task, model.engine) == (timm_kit.CLASSES, "multilabel", "torch")
    assert model.n_latents == timm_kit.LATENTS
    x = picture.to_input(model.preprocessing)
    assert x.shape == (1, channels, *timm_kit.SIZE)
    network = timm_kit.network(name, channels=channels, **timm_kit.takes(name, timm_kit.SIZE))
    np.testing.assert_allclose(compute_latents(model, picture).logits, network(x)[0].detach(), atol=1e-6)
    half = load_model(toml, device="cpu", precision="bfloat16").features(x)
    assert torch.equal(half.bfloat16().float(), half.float())
    other = toml.read_text().replace(f'timm = "{name}"', 'timm = "test_nfnet"')
    toml.write_text(other)
    with pytest.raises(CheckpointError, match=r"own\.pth"):
        load_model(toml, device="cpu")


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_weights_of_torchvision(name: str, tmp_path: Path) -> None:
    import_timm()
    from torchvision.models import get_model

    torch.manual_seed(0)
    theirs = get_model(name, weights=None, num_classes=2).eval()
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    toml = tmp_path / "model.toml"
    toml.write_text(f'torchvision = "{name}"\nweights = "own.pth"\nclasses = ["a", "b"]\ninput_size = [64, 96]\n')
    model = load_model(toml, device="cpu")
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        expected = theirs(x).numpy()
    np.testing.assert_allclose(model.logits(model.features(x)), expected, atol=1e-5 * np.abs(expected).max())
    assert model.backbone.tail == "mean"
    assert (model.backbone.name, model.backbone.adapter) == (name, "torchvision")


def written(folder: Path, text: str, *, change: Any = None) -> Path:
    """A model.toml beside the weights of the smallest ResNet, under keys as a trainer writes them."""
    weights = timm_kit.network("test_resnet").state_dict()
    content: dict[str, Any] = {"model": weights, "model_ema": {k: v * 1.0 for k, v in weights.items()}}
    if change is not None:
        content = change(dict(weights))
    torch.save(content, folder / "own.pth")
    path = folder / "model.toml"
    path.write_text(text)
    return path


TOML = 'timm = "test_resnet"\nweights = "own.pth"\ninput_size = [64, 64]\nclasses = ["a", "b"]\n'


def without(weights: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in weights.items() if key not in keys}


@pytest.mark.parametrize(
    ("text", "change", "words"),
    [
        (TOML, None, r"own\.pth holds 2 networks: model and model_ema\. Say which"),
        (TOML.replace('["a", "b"]', '["a"]'), dict, r"own\.pth has 2 logits, but 1 classes were named: a; give one"),
        (
            TOML,
            lambda w: without(w, "fc.weight"),
            r"own\.pth holds no classification layer of test_resnet \(fc\.weight",
        ),
        (TOML, lambda w: without(w, "layer1.0.conv1.weight"), "does not fit test_resnet .*1 weights missing"),
        (
            TOML,
            lambda w: w | {"layer9.weight": torch.ones(1)},
            r"0 weights missing \[\], 1 unknown \['layer9\.weight'\]",
        ),
        (TOML, lambda w: w | {"conv1.0.weight": torch.ones(2, 3, 3, 3)}, r"conv1\.0\.weight has shape \(2, 3, 3, 3\)"),
        (TOML, lambda w: w | {"bn1.weight": w["bn1.weight"] * float("nan")}, "not finite; the file is damaged"),
        (TOML, lambda w: {"other": torch.ones(2)}, r"own\.pth holds no classification layer"),
        (
            TOML.replace("test_resnet", "test_resnett"),
            dict,
            "timm has no network 'test_resnett'; did you mean test_resnet",
        ),
        (TOML.replace("test_resnet", "hf-hub:some/one"), dict, "timm has no network 'hf-hub:some/one'"),
        (TOML.replace("timm =", "torchvision ="), dict, "torchvision = 'test_resnet' is not read here"),
        (
            TOML.replace("test_resnet", "test_vit").replace("[64, 64]", "[60, 60]"),
            dict,
            "choose another input size|no ",
        ),
        (TOML + "layer = 'blocks.9'", dict, "no layer 'blocks.9'; there are 'head' and 'blocks.0' to 'blocks.3'"),
        (TOML + "[input]\nchannels = 1", dict, r"in 1 channels|has shape"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(text: str, change: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text, change=change)
    with pytest.raises((ModelError, CheckpointError), match=words) as caught:
        load_model(path, device="cpu").width  # noqa: B018
    said = str(caught.value)
    assert "\n" not in said
    assert str(tmp_path) not in said
    assert len(said) <= 300


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("crossvit_tiny_240", (240, 240), "the last layer of crossvit_tiny_240 is not a grid of cells"),
        ("pit_ti_224", (64, 64), "the last layer of pit_ti_224 is not a grid of cells"),
        ("halonet26t", (96, 96), "halonet26t takes no 96 x 96 pixels .* choose another input size"),
    ],
)
def test_networks_without_a_grid(name: str, size: tuple[int, int], words: str) -> None:
    fixed = timm_kit.takes(name, size)
    with pytest.raises(ModelError, match=words) as caught:
        NetworkBackbone(timm_kit.network(name, **fixed), name, "timm", 3, size, fixed=bool(fixed))
    assert "\n" not in str(caught.value)


def test_a_size_that_a_small_image_does_not_stand_for() -> None:
    network = timm_kit.network("halonet26t")
    assert NetworkBackbone(network, "halonet26t", "timm", 3, (256, 256), fixed=False).tail == "mean"


def test_a_network_whose_head_was_never_trained() -> None:
    network = import_timm().create_model("mixer_s32_224", num_classes=2, img_size=(64, 64))
    assert not network.head.weight.any()
    backbone = NetworkBackbone(network, "mixer_s32_224", "timm", 3, (64, 64), fixed=True)
    assert backbone.tail == "mean"


def test_one_of_several_in_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, TOML + "[keys]\nclassifier = 'model_ema'")
    plain, averaged = (load_model(path, device="cpu", keys={"classifier": key}) for key in ("model", "model_ema"))
    assert plain.model_sha256 != averaged.model_sha256
    assert load_model(path, device="cpu").model_sha256 == averaged.model_sha256


def test_features_without_a_prediction(tmp_path: Path) -> None:
    text = TOML.replace("weights", "backbone").replace('classes = ["a", "b"]\n', "")
    model = load_model(written(tmp_path, text, change=dict), device="cpu")
    assert (model.classes, model.backbone.tail, model.width) == ((), "mean", 96)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = timm_kit.network("test_resnet").forward_features(x)
    np.testing.assert_allclose(model.features(x), expected, atol=1e-6)

"""Published models by their files: Mammo-FM's image side, mammoscreen's ensemble, MedCLIP's ResNet."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import timm_kit
import tiny
from napari_mammosae.core.anatomy.regions import REGIONS
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.backbone import EfficientNetBackbone
from napari_mammosae.core.models.files.model_files import read_model_file
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.weights.released import _RELEASED_ENDS, _RELEASED_LAYERS
from napari_mammosae.core.runs.making.decode import Decoder
from napari_mammosae.core.runs.sources import read_sources

ENDS = {ours: theirs for theirs, ours in _RELEASED_ENDS.items()}
LAYERS = {kind: {ours: theirs for theirs, ours in names.items()} for kind, names in _RELEASED_LAYERS.items()}


def released_name(key: str, expanding: set[str]) -> str:
    """What Mammo-CLIP's training code, and Mammo-FM's, calls a weight."""
    parts = key.split(".")
    if parts[0] != "blocks":
        return ".".join([ENDS[parts[0]], *parts[1:]])
    kind = "expanding" if parts[1] in expanding else "plain"
    layer = ".".join(parts[2:4]) if parts[2] == "se" else parts[2]
    rest = parts[4:] if parts[2] == "se" else parts[3:]
    return ".".join(["_blocks", parts[1], LAYERS[kind][layer], *rest])


def test_the_image_side_of_mammo_fm(tmp_path: Path) -> None:
    """Its file holds the encoders of images and of texts, a ModernBERT, and a projection of each."""
    torch.manual_seed(0)
    network = EfficientNetBackbone("phantom-b0").eval()
    network.bn2.weight.data *= 1000
    expanding = {key.split(".")[1] for key in network.state_dict() if ".conv_pwl." in key}
    image = {f"image_encoder.{released_name(k, expanding)}": v for k, v in network.state_dict().items()}
    text = {
        "text_encoder.text_encoder.embeddings.tok_embeddings.weight": torch.randn(20, 8),
        "text_encoder.text_encoder.embeddings.norm.weight": torch.ones(8),
        "text_encoder.text_encoder.layers.0.attn.Wqkv.weight": torch.randn(24, 8),
        "text_encoder.text_encoder.layers.0.mlp.Wi.weight": torch.randn(16, 8),
        "text_encoder.text_encoder.final_norm.weight": torch.ones(8),
        "image_projection.projection.weight": torch.randn(4, 256),
        "text_projection.projection.weight": torch.randn(4, 8),
        "logit_scale": torch.tensor(2.0),
    }
    assert "image_encoder._blocks.1._expand_conv.weight" in image
    torch.save({"model": {**image, **text}, "epoch": 9, "config": {"tokenizer": "ModernBERT"}}, tmp_path / "fm.tar")
    toml = tmp_path / "model.toml"
    toml.write_text("backbone = 'fm.tar'\ninput_size = [190, 114]\n")
    model = load_model(toml, device="cpu", engine="torch")
    x = torch.randn(1, 3, 190, 114)
    with torch.inference_mode():
        expected = network(x)
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert (model.backbone.adapter, model.backbone.tail, model.classes) == ("mammo-clip", "mean", ())


CONFIG: dict[str, Any] = {
    "architectures": ["MammoEnsemble"],
    "auto_map": {"AutoConfig": "configuration.MammoConfig", "AutoModel": "modeling.MammoEnsemble"},
    "backbone": "test_efficientnet",
    "dropout": 0.1,
    "feature_dim": 256,
    "image_sizes": [[128, 64], [96, 64], [96, 96]],
    "in_chans": 1,
    "num_classes": 5,
    "num_models": 3,
    "pad_to_aspect_ratio": [True, True, False],
}


def write_mammoscreen(folder: Path, **changed: Any) -> Path:
    weights = {}
    for number in range(3):
        network = timm_kit.network("test_efficientnet", 5, 1)
        for key, value in network.state_dict().items():
            ours = key.replace("classifier.", "linear.") if key.startswith("classifier.") else f"backbone.{key}"
            weights[f"net{number}.{ours}"] = value * (1 + number) if value.is_floating_point() else value.clone()
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | changed))
    (folder / "modeling.py").write_text("raise SystemExit('code from the hub was run')")
    path = folder / "model.toml"
    path.write_text("weights = 'model.safetensors'\n[backbone]\nkind = 'mammoscreen'\nmember = 1\n")
    return path


def test_one_network_of_mammoscreen(tmp_path: Path) -> None:
    path = write_mammoscreen(tmp_path)
    model = load_model(path, device="cpu")
    assert model.preprocessing.size == (96, 64)
    assert (model.preprocessing.fit, model.preprocessing.channels) == ("crop-pad", 1)
    assert [(head.name, head.task, head.classes) for head in model.heads] == [
        ("cancer", "binary", ("cancer",)),
        ("density", "multiclass", ("density_a", "density_b", "density_c", "density_d")),
    ]
    x = torch.randn(1, 1, 96, 64)
    network = timm_kit.network("test_efficientnet", 5, 1)
    network.load_state_dict({k: v * 2 if v.is_floating_point() else v for k, v in network.state_dict().items()})
    with torch.inference_mode():
        expected = network(x).numpy()
    np.testing.assert_allclose(model.logits(model.features(x)), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert model.backbone.tail == "mean"
    path.write_text(path.read_text().replace("member = 1", "member = 2"))
    other = load_model(path, device="cpu")
    assert other.preprocessing.size == (96, 96)
    assert other.preprocessing.fit == "crop"
    assert other.model_sha256 != model.model_sha256


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image_sizes": [[96, 64]], "pad_to_aspect_ratio": [True], "num_models": 1}, "describes 1 networks"),
        ({"image_sizes": [[96, 64]] * 2, "pad_to_aspect_ratio": [True] * 2, "num_models": 2}, "holds 3 networks"),
        ({"image_sizes": "large"}, "does not describe mammoscreen"),
        ({"num_models": 4}, "does not describe mammoscreen"),
        ({"num_classes": 7}, "holds no classification layer of 7 x 256"),
        ({"backbone": "some/model"}, "timm has no network 'some/model'"),
        ({"in_chans": 3}, "has shape"),
    ],
)
def test_settings_of_another_ensemble(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((ModelError, CheckpointError), match=words):
        load_model(write_mammoscreen(tmp_path, **changed), device="cpu")


def test_mammoscreen_without_its_settings(tmp_path: Path) -> None:
    path = write_mammoscreen(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json: no such file beside the weights"):
        load_model(path, device="cpu")


def write_medclip(folder: Path, network: torch.nn.Module | None = None) -> Path:
    network = network or torch.nn.Linear(1, 1)  # where nothing but the model.toml is read
    image = {f"vision_model.model.{key}": value for key, value in network.state_dict().items()}
    text = {"text_model.model.embeddings.word_embeddings.weight": torch.randn(9, 4), "logit_scale": torch.tensor(1.0)}
    fc = {"vision_model.model.fc.weight": torch.randn(512, 2048)}
    torch.save(image | fc | text, folder / "pytorch_model.bin")
    path = folder / "model.toml"
    path.write_text("[files]\nbackbone = 'pytorch_model.bin'\n[backbone]\nkind = 'medclip'\n")
    return path


def test_medclip_is_for_chests(tmp_path: Path) -> None:
    network = timm_kit.network("resnet50", 0)
    path = write_medclip(tmp_path, network)
    files = read_model_file(path)
    assert (files.domain.modality, files.domain.body_part) == ("chest radiography", "chest")
    assert (files.preprocessing.size, files.preprocessing.fit, files.preprocessing.breast) == ((224, 224), "pad", False)
    model = load_model(path, device="cpu")
    assert (model.width, model.grid, model.classes, model.backbone.tail) == (2048, (7, 7), (), "mean")
    chest = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)
    x = read_mammogram(chest).to_input(model.preprocessing)
    assert x.shape == (1, 3, 224, 224)
    pad = (0 - 0.5862785803043838) / 0.27950088968644304
    np.testing.assert_allclose(x[0, :, :, :30], pad, rtol=1e-5)  # a sixth of the width is padding on either side
    np.testing.assert_allclose(x[0, 0], x[0, 2])
    with torch.inference_mode():
        expected = network.forward_features(x)
    np.testing.assert_allclose(model.features(x), expected, atol=1e-5 * float(expected.abs().max()))


def test_no_breast_is_looked_for_where_there_is_none(tmp_path: Path) -> None:
    path = write_medclip(tmp_path)
    files = read_model_file(path)
    tiny.write_image(tmp_path / "images" / "chest.png")
    entry = read_sources(tmp_path / "images").entries[0]
    decoded = Decoder(files.preprocessing, (7, 7))(entry)
    shares = dict(zip(REGIONS, decoded.regions, strict=True))
    assert (shares["breast"] == 1).all()
    assert not any(shares[name].any() for name in ("skin", "pectoral", "marker"))
    assert (decoded.breast_parts == np.iinfo(np.uint64).max).all()
    assert decoded.frame.crop == (0, -50, 400, 350)

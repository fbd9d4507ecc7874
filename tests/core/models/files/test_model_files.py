"""`model.toml`: what it may say, and the one line that says what is wrong with it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.base.files import sha256_file
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.models.facts import Domain
from napari_mammosae.core.models.files.model_files import HeadSource, embedded_models, find_model, read_model_file
from napari_mammosae.core.models.files.model_schema import MOVED
from napari_mammosae.core.models.loading import load_model

WHOLE = """
name = "whole"
layer = "head"
engine = "compiled"
[files]
classifier = "classifier.safetensors"
sae = { path = "sae.safetensors", sha256 = "HASH" }
[backbone]
kind = "mammo-clip"
[input]
size = [190, 114]
crop = false
mean = 0
std = 0.5
channels = 3
[sae]
kind = "relu"
[[head]]
name = "own"
classes = ["mass", "suspicious_calcification"]
task = "multilabel"
[[head]]
name = "density"
classes = ["low", "high", "extreme"]
task = "multiclass"
file = "density.safetensors"
[domain]
modality = "tomosynthesis"
body_part = "breast"
words = ["synthetic"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write_model(tmp_path).parent


def write(folder: Path, text: str) -> Path:
    path = folder / "model.toml"
    path.write_text(text)
    return path


def write_whole(folder: Path) -> Path:
    save_file({"weight": torch.randn(3, 256), "bias": torch.tensor([1.0, 2.0, 3.0])}, folder / "density.safetensors")
    return write(folder, WHOLE.replace("HASH", sha256_file(folder / "sae.safetensors")))


def test_every_key(folder: Path):
    files = read_model_file(write_whole(folder))
    assert (files.name, files.layer, files.engine) == ("whole", "head", "compiled")
    assert (files.classifier, files.sae) == (folder / "classifier.safetensors", folder / "sae.safetensors")
    assert files.backbone is None
    assert files.preprocessing == Preprocessing((190, 114), 0.0, 0.5, crop=False)
    assert files.head == HeadSource("own", ("mass", "suspicious_calcification"), "multilabel")
    assert files.extra_heads == (
        HeadSource("density", ("low", "high", "extreme"), "multiclass", folder / "density.safetensors"),
    )
    assert files.hashes == {"sae": sha256_file(folder / "sae.safetensors")}
    assert files.domain == Domain("tomosynthesis", "breast", ("synthetic",))


def test_a_model_with_two_heads_from_files(folder: Path):
    model = load_model(write_whole(folder), device="cpu", engine="torch")
    assert [head.name for head in model.heads] == ["own", "density"]
    assert model.classes == ("mass", "suspicious_calcification", "low", "high", "extreme")
    assert (model.engine, model.domain.modality) == ("torch", "tomosynthesis")
    np.testing.assert_array_equal(model.constant[2:] - model.heads[1].weight @ model.sae.tied_bias.numpy(), [1, 2, 3])
    stored = load_file(folder / "density.safetensors")["weight"].double().numpy()
    np.testing.assert_array_equal(model.heads[1].weight, stored)
    assert model.model_sha256 == sha256_file(folder / "classifier.safetensors")


def test_short_spellings_mean_the_same(folder: Path):
    short = read_model_file(write(folder, tiny.TOML))
    long = read_model_file(
        write(
            folder,
            'name = "tiny"\n[files]\nclassifier = "classifier.safetensors"\nsae = "sae.safetensors"\n'
            "[input]\nsize = [190, 114]\n"
            '[[head]]\nclasses = ["mass", "suspicious_calcification"]\ntask = "multilabel"\n',
        )
    )
    assert short == long
    assert short.preprocessing.size == (190, 114)


def test_what_is_left_out(folder: Path):
    files = read_model_file(write(folder, "[files]\nbackbone = 'classifier.safetensors'"))
    assert (files.name, files.layer, files.engine) == (folder.name, "head", "auto")
    assert files.preprocessing == Preprocessing()
    assert (files.head, files.extra_heads, files.domain) == (HeadSource(), (), Domain())


def test_arguments_go_before_the_file(folder: Path):
    model = load_model(
        write_whole(folder), classes=["a", "b"], input_size=(64, 96), engine="auto", device="cpu", precision="bfloat16"
    )
    assert model.classes[:2] == ("a", "b")
    assert model.heads[0].task == "multilabel"
    assert model.preprocessing == Preprocessing((64, 96), 0.0, 0.5, crop=False)
    assert (model.engine, model.precision) == ("torch", "bfloat16")


def test_the_demo_is_known_to_be_synthetic():
    files = find_model("demo")
    assert "synthetic" in files.domain.modality
    assert files.head.classes == ("mass", "suspicious_calcification")
    assert embedded_models()["demo"].is_file()


NAMED = "classifier = 'classifier.safetensors'\n"
UNKNOWN = [
    ("classifer = 'a'", "unknown key classifer; did you mean classifier?"),
    ("[file]\nsae = 'a'", "unknown key file; did you mean files?"),
    ("[files]\nclasifier = 'a'", "unknown key files.clasifier; did you mean classifier?"),
    ("[input]\nsise = [1, 2]", "unknown key input.sise; did you mean size?"),
    ("size = [64, 64]", "unknown key size; did you mean input.size?"),
    ("[[head]]\nname = 'a'\n[[head]]\ntaks = 'binary'", "unknown key head.2.taks; did you mean task?"),
    ("[domain]\nbodypart = 'a'", "unknown key domain.bodypart; did you mean body_part?"),
    ("zzz = 1", "unknown key zzz; known are name, layer, engine, files"),
    ("[backbone]\nwidth = 3", "unknown key backbone.width; known are kind"),
]
WRONG = [
    ("classifier = 3", "classifier is 3; expected a file name"),
    ("layer = ['head']", "layer is ['head']; expected text"),
    ("input_size = [1520]", "input_size is [1520]; expected [height, width] in pixels, at least 32"),
    ("[input]\nsize = [64, 31]", "input.size is [64, 31]; expected [height, width]"),
    ("[input]\nsize = [64.5, 64]", "input.size is [64.5, 64]; expected [height, width]"),
    ("[input]\nstd = 0", "input.std is 0; expected a positive number"),
    ("[input]\nmean = nan", "input.mean is nan; expected a number"),
    ("[input]\ncrop = 'no'", "input.crop is 'no'; expected true or false"),
    ("classes = ['a', 2]", "classes is ['a', 2]; expected a list of names"),
    ("[[head]]\ntask = 'ranking'", "head.1.task is 'ranking'; expected binary or multilabel or multiclass"),
    ("[files.sae]\nsha256 = 'a'", "files.sae.path is missing; expected a file name"),
    ("[files]\nsae = { path = 'a', sha256 = '1f' }", "files.sae.sha256 is '1f'; expected 64 hexadecimal digits"),
    ("head = 3", "head is 3; expected tables, each beginning with [[head]]"),
    ("files = '/home/someone/weights'", "files is 'weights'; expected a table"),
    (f"{NAMED}engine = 'warp'", "engine 'warp' is not known; choose auto, torch, compiled or openvino"),
    ("classes = ['a']\n[[head]]\nname = 'b'", "classes belongs in a [[head]]; move it there"),
    ("sae = 'a'\n[files]\nsae = 'a'", "sae and files.sae are both given; keep one of them"),
    ("weights = 'a'\nclassifier = 'b'", "weights and classifier are both given; keep one of them"),
    (
        f"{NAMED}[[head]]\nname = 'a'\n[[head]]\nname = 'b'",
        "2 [[head]] without a file; only the classifier's",
    ),
    (f"{NAMED}sae = 'hf://a/b.pt'", "sae = 'hf://a/b.pt' is not an address of a file; expected hf://owner/"),
    (
        f"{NAMED}sae = 'hf://a/b/c.pt'",
        "sae = 'hf://a/b/c.pt', which is not downloaded; run `napari-mammosae models",
    ),
    (f"{NAMED}[[head]]\nname = 'a'\nfile = '/home/someone/gone.pth'", "head.1.file = 'gone.pth', which does not exist"),
]
LATER = [
    ("[backbone]\nkind = 'timm'\narchitecture = 'resnet50'", "unknown key backbone.architecture"),
    ("[backbone]\nkind = 'timm'", "backbone.kind is 'timm' without a name; write timm = 'resnet50'"),
    ("[backbone]\nkind = 'keras'", "backbone.kind is 'keras'; expected one of mammo-clip, timm"),
    ("timm = 'resnet50'\ntorchvision = 'resnet50'", "backbone names several networks; keep one"),
    ("timm = 'resnet50'\n[backbone]\nkind = 'medclip'", "backbone names several networks; keep one"),
    ("timm = 'resnet50'\n[backbone]\nmember = 1", "backbone.member is for kind 'mammoscreen' alone"),
    ("[input]\nfit = 'stretch'", "input.fit is 'stretch'; expected one of crop, crop-pad, resize, pad"),
    ("[input]\nmean = [0.1, 0.2]", "input.mean has 2 numbers for 3 channels; give one a channel"),
    ("[input]\nstd = [0.1, 0.2, -0.3]", "expected a positive number, or a list of one a channel"),
    ("[sae]\nkind = 'other'", "sae.kind is 'other'; expected one of relu, topk"),
    ("[sae]\nk = 0", "sae.k is 0; expected a whole number of at least 1"),
    ("[sae]\nscale = -1.0", "sae.scale is -1.0; expected a positive number"),
    ("[input]\nchannels = 1", "input.channels is 1; this backbone reads 3"),
    ("timm = 'resnet50'\n[input]\nchannels = 2", "input.channels is 2; expected 1 or 3"),
    ("[keys]\nclassifier = 3", "keys is {'classifier': 3}; expected a table of texts"),
]


@pytest.mark.parametrize(("text", "words"), UNKNOWN + WRONG + LATER)
def test_what_is_wrong_is_said_in_one_line(folder: Path, text: str, words: str):
    with pytest.raises(ModelError, match=re.escape(words)) as caught:
        read_model_file(write(folder, text))
    said = str(caught.value)
    assert said.startswith("model.toml")
    assert "\n" not in said
    assert "/home" not in said
    assert str(folder) not in said


@pytest.mark.parametrize("key", sorted(MOVED))
def test_errors_name_the_key_that_was_written(folder: Path, key: str):
    """Each short spelling: with a value of another kind, a file that is not there, and beside the long one."""
    place = MOVED[key]
    long = f"[[head]]\n{place[2]} = " if place[0] == "head" else f"[{place[0]}]\n{place[1]} = "
    said = {}
    for name, text in {
        "wrong": f"{key} = 3.5",
        "gone": f"{key} = 'gone.pth'",
        "twice": f"{key} = 'a'\n{long}'a'",
    }.items():
        with pytest.raises(ModelError) as caught:
            read_model_file(write(folder, text))
        said[name] = str(caught.value)
    assert re.match(rf"model\.toml: {key} is 3\.5; expected ", said["wrong"])
    assert re.search(rf"\b(?<!\.){key}\b", said["twice"])
    if place[0] == "files":
        assert said["gone"].startswith(f"model.toml names {key} = 'gone.pth', which does not exist")
        (folder / "base.toml").write_text(NAMED)
        with pytest.raises(ModelError, match=f"model.toml: {key} is that of its base"):
            read_model_file(write(folder, f"base = 'base.toml'\n{key} = 'a'"))


def test_a_head_without_a_classifier(folder: Path):
    with pytest.raises(ModelError, match=r"describes a classifier's head \(classes\) but names none"):
        read_model_file(write(folder, "backbone = 'classifier.safetensors'\nclasses = ['a']"))


def test_another_file_than_the_one_meant(folder: Path):
    path = write(folder, WHOLE.replace("HASH", "0" * 64).partition("[[head]]")[0])
    with pytest.raises(CheckpointError, match=r"sae\.safetensors has the SHA-256 \w{12}…, and 0{12}… is expected"):
        load_model(path, device="cpu", classes=tiny.CLASSES)


def test_heads_that_are_not_heads(folder: Path):
    path = write_whole(folder)
    save_file({"weight": torch.randn(3, 9), "bias": torch.zeros(3)}, folder / "density.safetensors")
    with pytest.raises(CheckpointError, match=r"density\.safetensors: the classification layer reads 9 features"):
        load_model(path, device="cpu")
    save_file({"weight": torch.randn(2, 256), "bias": torch.zeros(2)}, folder / "density.safetensors")
    with pytest.raises(ModelError, match=r"density\.safetensors has 2 logits, but 3 classes were named: low, high"):
        load_model(path, device="cpu")
    save_file({"vector": torch.zeros(3)}, folder / "density.safetensors")
    with pytest.raises(CheckpointError, match=r"density\.safetensors holds no weight; found vector"):
        load_model(path, device="cpu")
    (folder / "density.safetensors").write_bytes((folder / "classifier.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"a head has a weight and a bias. Name a downstream checkpoint"):
        load_model(path, device="cpu")

"""Checkpoints as they lie on disks: wrapped in any way, with averaged weights beside plain ones, or something else."""

import gzip
import json
import re
import shutil
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from napari_mammosae.core.base.errors import CheckpointError, ModelError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.weights.checkpoints import read_head, read_sae_weights
from napari_mammosae.core.models.weights.file_kinds import check_weights_file

HEAD = "classifier.classification_head."
X = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).sin()


@pytest.fixture(scope="module")
def weights(tiny_model):
    """The tiny model's weights, and others: the same network, every convolution of its stem and its head doubled."""
    plain = load_file(tiny_model.parent / "classifier.safetensors")
    other = {k: v * 2 if k.startswith("classifier.") or "conv_head" in k else v for k, v in plain.items()}
    return plain, other


def load(path, **more):
    return load_model(
        classifier=path, classes=tiny.CLASSES, task="multilabel", input_size=(64, 64), device="cpu", **more
    )


def logits(model):
    return model.logits(model.features(X)).numpy()


@pytest.fixture(scope="module")
def expected(weights, tmp_path_factory):
    found = []
    for one in weights:
        path = tmp_path_factory.mktemp("plain") / "c.safetensors"
        save_file({k: v.contiguous() for k, v in one.items()}, path)
        found.append(logits(load(path)))
    assert np.abs(found[0] - found[1]).max() > 0.01
    return found


def prefixed(weights, prefix):
    return OrderedDict((f"{prefix}{key}", value) for key, value in weights.items())


WRAPPED = {
    "bare": lambda w: w,
    "model": lambda w: {"model": w, "epoch": 3, "predictions": np.zeros(3)},
    "state_dict": lambda w: {"state_dict": w, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "model_state_dict": lambda w: {"model_state_dict": w},
    "module.": lambda w: {"state_dict": prefixed(w, "module.")},
    "module.model.": lambda w: prefixed(w, "module.model."),
    "parameters": lambda w: {
        "model": {k: torch.nn.Parameter(v, v.is_floating_point() and False) for k, v in w.items()}
    },
    "averaged alone": lambda w: {"n_averaged": torch.tensor(7), **prefixed(w, "module.")},
    "in two dictionaries": lambda w: {
        part: {k.removeprefix(f"{part}."): v for k, v in w.items() if k.startswith(part)}
        for part in ("image_encoder", "classifier")
    },
    "deep": lambda w: {"trainer": {"net": {"state_dict": prefixed(w, "_orig_mod.")}}},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_checkpoints_are_read(tmp_path, weights, expected, wrap):
    torch.save(wrap(weights[0]), tmp_path / "c.pth")
    np.testing.assert_array_equal(logits(load(tmp_path / "c.pth")), expected[0])


TWO_WAYS = {
    "model_ema": (lambda a, b: {"model": a, "model_ema": b}, "model", "model_ema"),
    "ema_state_dict": (lambda a, b: {"state_dict": a, "ema_state_dict": b}, "state_dict", "ema_state_dict"),
    "swa": (lambda a, b: {"model": a, "swa_model": prefixed(b, "module.")}, "model", "swa_model.module"),
    "prefixes": (
        lambda a, b: {"state_dict": prefixed(a, "model.") | prefixed(b, "model_ema.")},
        "state_dict.model", "state_dict.model_ema",
    ),
    "at the top": (lambda a, b: {**a, "ema": b}, ".", "ema"),
    "a prefix inside": (lambda a, b: a | prefixed(b, "ema_model."), ".", "ema_model"),
    "deep": (lambda a, b: {"net": {"plain": a}, "avg": {"weights": {"net": b}}}, "net.plain", "avg.weights.net"),
}  # fmt: skip


@pytest.mark.parametrize(("wrap", "first", "second"), TWO_WAYS.values(), ids=TWO_WAYS)
def test_averaged_weights_beside_plain_ones_are_refused_unless_told_which(
    tmp_path, weights, expected, wrap, first, second
):
    path = tmp_path / "c.pth"
    torch.save(wrap(*weights), path)
    with pytest.raises(CheckpointError, match=r"c\.pth holds 2 image encoders: ") as error:
        load(path)
    for name in (first, second):
        assert re.search(rf"(: |and ){re.escape(name)}( and|\. )", str(error.value)), error.value
    assert "keys={'classifier': " in str(error.value)
    assert len(str(error.value)) <= 300
    hashes = set()
    for name, known in ((first, expected[0]), (second, expected[1])):
        model = load(path, keys={"classifier": name})
        np.testing.assert_array_equal(logits(model), known)
        hashes.add(model.model_sha256)
        (tmp_path / "model.toml").write_text(
            f"classifier = 'c.pth'\nclasses = {json.dumps(tiny.CLASSES)}\ntask = 'multilabel'\ninput_size = [64, 64]\n"
            f"[keys]\nclassifier = '{name}'\n"
        )
        described = load_model(tmp_path / "model.toml", device="cpu")
        np.testing.assert_array_equal(logits(described), known)
        assert described.model_sha256 == model.model_sha256
    assert len(hashes) == 2  # runs and verdicts of the one are not those of the other


def test_a_key_that_leads_nowhere_is_refused(tmp_path, weights):
    torch.save({"model": weights[0], "model_ema": weights[1]}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"nothing|no weights under the key 'emma'; it has model and model_ema"):
        load(tmp_path / "c.pth", keys={"classifier": "emma"})
    with pytest.raises(ModelError, match=r"keys has 'clasifier'; expected one of backbone, classifier, sae"):
        load(tmp_path / "c.pth", keys={"clasifier": "model"})


def test_two_heads_over_one_encoder(tmp_path, weights, expected):
    plain, other = weights
    two = {k: v for k, v in plain.items() if not k.startswith("classifier.")}
    for name, source in (("mass", plain), ("density", other)):
        two |= {f"{name}.classification_head.{part}": source[HEAD + part] for part in ("weight", "bias")}
    torch.save({"model": two}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"holds 2 classification layers: model\.mass and model\.density\. Say"):
        load(tmp_path / "c.pth")
    np.testing.assert_array_equal(logits(load(tmp_path / "c.pth", keys={"classifier": "mass"})), expected[0])
    found = load(tmp_path / "c.pth", keys={"classifier": "density"})
    np.testing.assert_array_equal(found.head_weight, 2 * plain[HEAD + "weight"].double().numpy())
    assert found.model_sha256 == load(tmp_path / "c.pth", keys={"classifier": "mass"}).model_sha256  # one backbone


def test_two_backbones_and_two_autoencoders(tmp_path, tiny_model, weights):
    encoders = [{k: v for k, v in one.items() if k.startswith("image_encoder.")} for one in weights]
    torch.save({"model": encoders[0], "teacher": encoders[1]}, tmp_path / "b.tar")
    sae = load_file(tiny_model.parent / "sae.safetensors")
    torch.save({"state_dict": sae, "ema": {k: v * 3 for k, v in sae.items()}}, tmp_path / "sae.pt")
    common = {"backbone": tmp_path / "b.tar", "sae": tmp_path / "sae.pt", "input_size": (64, 64), "device": "cpu"}
    with pytest.raises(CheckpointError, match=r"b\.tar holds 2 image encoders: model and teacher"):
        load_model(**common)
    with pytest.raises(CheckpointError, match=r"sae\.pt holds 2 autoencoders: state_dict and ema\..*'sae': 'state_d"):
        load_model(**common, keys={"backbone": "model"})
    one, two = (load_model(**common, keys={"backbone": "teacher", "sae": name}) for name in ("state_dict", "ema"))
    torch.testing.assert_close(two.sae.decoder_weight, 3 * one.sae.decoder_weight)
    assert one.sae_sha256 != two.sae_sha256
    assert one.model_sha256 == two.model_sha256
    np.testing.assert_array_equal(
        read_sae_weights(tmp_path / "sae.pt", "ema").tensors["tied_bias"], 3 * sae["tied_bias"]
    )


def test_a_head_of_its_own_in_two_ways(tmp_path):
    layer = {"fc.weight": torch.ones(1, 4), "fc.bias": torch.zeros(1)}
    torch.save({"state_dict": layer, "ema": {k: v + 1 for k, v in layer.items()}}, tmp_path / "h.pt")
    with pytest.raises(CheckpointError, match=r"h\.pt holds 2 heads: state_dict and ema\..*keys={'mass': "):
        read_head(tmp_path / "h.pt", name="mass")
    assert read_head(tmp_path / "h.pt", "ema")[0].tolist() == [[2.0] * 4]
    assert read_head(tmp_path / "h.pt", "state_dict")[1].tolist() == [0.0]


def _page(path):
    path.write_text("\n <!DOCTYPE html>\n<html><body>Sign in</body></html>")


def _pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 849000000\n")


def _safetensors(path):
    save_file({"w": torch.ones(2)}, path)


def _zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("release/fine_tune/mass.pth", b"x")
        archive.writestr("release/readme.txt", b"x")


def _tar(path):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(__file__, "weights.pth")


KINDS = {
    "an HTML page": (_page, "c.pth is an HTML page, not weights"),
    "another HTML page": (lambda p: p.write_bytes(b"\xef\xbb\xbf<HTML lang=en>"), "is an HTML page"),
    "an XML reply": (lambda p: p.write_text("<?xml version='1.0'?><Error/>"), "is an XML document"),
    "a Git LFS pointer": (_pointer, "c.pth is a Git LFS pointer, which stands for the weights; run `git lfs pull`"),
    "safetensors": (_safetensors, "c.pth is a safetensors file; rename it to c.safetensors"),
    "a zip": (_zip, "c.pth is a zip archive of 2 files, such as mass.pth; unpack it"),
    "a folder": (lambda p: p.mkdir(), "c.pth is a folder; name the weights file in it"),
    "a tar": (_tar, "c.pth is a tar archive"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"weights" * 99)), "c.pth is a gzip archive"),
    "numpy": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00"), "c.pth is a numpy array"),
    "HDF5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n"), "c.pth is an HDF5 file"),
    "nothing": (lambda p: None, "c.pth: no such file"),
    "empty": (lambda p: p.write_bytes(b""), "c.pth is empty"),
}


@pytest.mark.parametrize(("make", "message"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("role", ["classifier", "sae", "model.toml"])
def test_what_is_no_weights_file_is_named(tmp_path, tiny_model, make, message, role):
    path = tmp_path / "c.pth"
    make(path)
    if role == "model.toml":
        if not path.exists():
            message = "names classifier = 'c.pth', which does not exist"
        (tmp_path / "model.toml").write_text("classifier = 'c.pth'\n")
        given = {"name": tmp_path / "model.toml"}
    else:
        given = {"classifier": tiny_model.parent / "classifier.safetensors", role: path}
        if role == "sae" and path.is_dir():  # tools write an SAE as a folder
            message = "the folder c.pth holds no weights of an SAE"
    with pytest.raises((CheckpointError, ModelError), match=re.escape(message)) as error:
        load_model(**given, device="cpu")
    assert str(tmp_path) not in str(error.value)


def test_a_pickle_called_safetensors_is_named(tmp_path, tiny_model):
    torch.save({"w": torch.ones(2)}, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match=r"c\.safetensors is a file of torch\.save.*rename it to c\.pth"):
        load(tmp_path / "c.safetensors")


def test_a_safetensors_file_is_one_whatever_its_length_looks_like(tmp_path):
    for extra in range(0, 256, 8):  # the first byte is the length of its description, which starts a pickle for 0x80
        save_file({"encoder": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"n": "x" * extra})
        check_weights_file(tmp_path / "a.safetensors")


def test_a_file_that_changed_is_read_again(tmp_path, tiny_model):
    folder = shutil.copytree(tiny_model.parent, tmp_path / "model")
    first = load_model(folder / "model.toml", device="cpu")
    weights = load_file(folder / "classifier.safetensors")
    weights[HEAD + "bias"] += 5
    save_file(weights, folder / "classifier.safetensors")
    second = load_model(folder / "model.toml", device="cpu")
    np.testing.assert_allclose(second.head_bias, first.head_bias + 5, rtol=1e-6)
    assert second.model_sha256 != first.model_sha256

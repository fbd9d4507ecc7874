import json
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

import recipe
from hostile_pickles import CODE, COSTLY, NUMPY, array, dtype, name, pickled, push, write_old, write_zip
from napari_mammosae.core.base.errors import CheckpointError, UnsafeCheckpointError
from napari_mammosae.core.models.weights.checkpoints import load_tensors, read_classifier, read_sae_weights

_CHILD = """
import json, sys
from pathlib import Path
from napari_mammosae.core.base.errors import CheckpointError
from napari_mammosae.core.models.weights.checkpoints import load_tensors
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        found = ["loaded", repr(type(load_tensors(path)[0]))]
    except CheckpointError as error:
        found = [type(error).__name__, str(error)]
    print(json.dumps([path.name, *found]), flush=True)
"""


def test_hostile_pickles_are_refused_by_name_and_do_nothing(tmp_path: Path) -> None:
    wanted = {}
    for number, (body, words) in enumerate([*NUMPY.values(), *CODE.values(), *COSTLY.values()]):
        data = pickled(body)
        for kind, write in (("zip", write_zip), ("old", write_old), ("bare", Path.write_bytes)):
            wanted[f"{number:02}-{kind}.pt"] = words
            write(tmp_path / f"{number:02}-{kind}.pt", data)
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert child.returncode == 0, child.stderr
    found = {file: (kind, message) for file, kind, message in map(json.loads, child.stdout.splitlines())}
    assert found.keys() == wanted.keys()
    for file, (kind, message) in found.items():
        costly = int(file[:2]) >= len(NUMPY) + len(CODE)
        assert kind == ("CheckpointError" if costly else "UnsafeCheckpointError"), (file, message)
        assert wanted[file] in message, (file, message)
        assert file in message
        assert len(message) <= 300
        assert "\n" not in message
        assert str(tmp_path) not in message


def test_what_honest_programs_keep_beside_weights_is_read(tmp_path: Path) -> None:
    shared = torch.arange(12, dtype=torch.float32)
    content = {
        "state_dict": OrderedDict(a=shared.reshape(3, 4).T, b=torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))),
        "view": shared[4:8],
        "hyper_parameters": {
            "lr": np.float64(0.5),
            "steps": np.int64(7),
            "name": np.str_("b5"),
            "flag": np.bool_(True),
        },
        "arrays": [
            np.arange(6, dtype=">i2").reshape(2, 3),
            np.array(["a", "bc"]),
            np.asfortranarray(np.eye(3)),
            np.array(3j),
        ],
        "nothing": np.zeros((0, 4)),
        "others": [torch.Size((2, 3)), torch.float16, torch.device("cpu"), {1, 2}, b"\0\xff", (None, True), 2**70, 1j],
        "classes": {np.int64(3): "mass", np.str_("a"): 1, (1, "b"): 2},
        "milestones": Counter({3: 1}),
        "empty": torch.zeros(0, 3),
        "truth": torch.tensor([True, False]),
        "cells": torch.tensor([1, 2], dtype=torch.uint16),
    }
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.ckpt"
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        found = load_tensors(path)[0]
        assert torch.equal(found["state_dict"]["a"], content["state_dict"]["a"])
        assert torch.equal(found["state_dict"]["b"], torch.ones(2, dtype=torch.bfloat16))
        assert torch.equal(found["view"], torch.tensor([4.0, 5, 6, 7]))
        assert found["hyper_parameters"] == content["hyper_parameters"]
        for one, other in zip(found["arrays"], content["arrays"], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert found["nothing"].shape == (0, 4)
        assert found["others"] == content["others"]
        assert found["classes"] == content["classes"]
        assert found["milestones"] == {3: 1}
        assert found["empty"].shape == (0, 3)
        assert found["truth"].tolist() == [True, False]
        assert found["cells"].tolist() == [1, 2]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_released_formats_load(tmp_path: Path, legacy: bool) -> None:
    head = recipe.head_weights(16)
    path = recipe.write_classifier(tmp_path / "a.pth", {"_conv_stem.weight": torch.ones(2, 3, 3, 3)}, head)
    torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=not legacy)
    assert torch.equal(read_classifier(path).head_weight, head[recipe.HEAD + "weight"])
    sae = tmp_path / "sparse_autoencoder_final.pt"
    torch.save(recipe.sae_weights(8, 16), sae, _use_new_zipfile_serialization=not legacy)
    assert set(read_sae_weights(sae).tensors) == set(recipe.sae_weights(8, 16))


def _storage(count: int) -> bytes:
    return b"(" + push("storage") + name("torch", "FloatStorage") + push("0") + push("cpu") + push(count) + b"tQ"


@pytest.mark.parametrize(
    ("count", "offset", "size", "stride"),
    [
        (1 << 40, 0, (4,), (1,)),
        (4, 0, (5,), (1,)),
        (4, 1, (4,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, 0, (1 << 40,), (0,)),
        (4, -1, (2,), (1,)),
        (4, 0, (2,), (-1,)),
        (4, 0, (-2,), (1,)),
        (4, 0, (2, 2), (1,)),
        (4, 0, (1 << 31, 1 << 31, 1 << 31), (0, 0, 0)),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, count: int, offset: int, size, stride) -> None:
    body = name("torch._utils", "_rebuild_tensor_v2") + b"(" + _storage(count) + push(offset) + push(size)
    body += push(stride) + push(False) + name("collections", "OrderedDict") + b")RtR"
    write_zip(tmp_path / "a.pt", pickled(body))
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr("archive/data/0", bytes(16))
    with pytest.raises(CheckpointError, match=r"a\.pt cannot be read"):
        load_tensors(tmp_path / "a.pt")


def test_many_views_of_one_storage_are_bounded(tmp_path: Path) -> None:
    """A pickle of a few kilobytes could make any number of large tensors out of one storage."""
    weights = torch.ones(5_000_000)
    torch.save({str(number): weights[1:] for number in range(10)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="far more than the file holds"):
        load_tensors(tmp_path / "a.pt")


def test_a_zip_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled(b"N"))
        archive.writestr("archive/data/0", bytes(100_000_000))
    with pytest.raises(CheckpointError, match=r"bomb\.pt: .* that unpack to 100\.0 MB, above 20 times as much"):
        load_tensors(path)


def test_the_limits_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": list(range(100))}, path)
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_PICKLE_STEPS", "50")
    with pytest.raises(CheckpointError, match=r"a\.pt .* NAPARI_MAMMOSAE_MAX_PICKLE_STEPS higher"):
        load_tensors(path)
    monkeypatch.delenv("NAPARI_MAMMOSAE_MAX_PICKLE_STEPS")
    torch.save([[[1]]], path)
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_DEPTH", "2")
    with pytest.raises(CheckpointError, match=r"a\.pt .* NAPARI_MAMMOSAE_MAX_DEPTH higher"):
        load_tensors(path)


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    wrong = name("_codecs", "encode") + push(("\xff\xff\xff\xff", "latin1")) + b"R"
    write_zip(tmp_path / "a.pt", pickled(array((1,), dtype("U1", (3, "<", None, None, None, 4, 4, 8)), wrong)))
    with pytest.raises(CheckpointError, match="not Unicode"):
        load_tensors(tmp_path / "a.pt")


def test_a_class_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(UnsafeCheckpointError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        load_tensors(tmp_path / "module.pt")

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import recipe
from napari_mammosae.core.base.errors import CheckpointError, UnsafeCheckpointError
from napari_mammosae.core.models.weights.checkpoints import (
    load_tensors,
    read_backbone,
    read_classifier,
    read_sae_weights,
)


class Payload:
    """Creates a file when it is unpickled by a reader that runs what it reads."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return shutil.copy, (__file__, self.trace)


class Shell:
    def __reduce__(self) -> tuple:
        import os

        return os.system, ("true",)


def test_everything_the_released_files_hold_is_read(tmp_path: Path) -> None:
    head = recipe.head_weights(2048)
    path = recipe.write_classifier(tmp_path / "a.pth", {"_conv_stem.weight": torch.ones(2, 3, 3, 3)}, head)
    content, metadata = load_tensors(path)
    assert metadata == {}
    assert content["auroc"] == np.float64(0.91)
    np.testing.assert_array_equal(content["predictions"], np.linspace(0, 1, 7, dtype=np.float32))
    assert content["image_ids"].tolist() == ["a", "b"]
    weights = read_classifier(path)
    assert weights.encoder.released
    assert list(weights.encoder.tensors) == ["_conv_stem.weight"]
    assert torch.equal(weights.head_weight, head[recipe.HEAD + "weight"])
    assert torch.equal(weights.head_bias, head[recipe.HEAD + "bias"])


def test_names_of_numpy_1_are_read_too(tmp_path: Path) -> None:
    """Files made with numpy 1 name `numpy.core.multiarray`, which numpy 2 only keeps as an alias."""
    torch.save({"model": {"w": torch.ones(1)}, "auroc": np.float64(0.5)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as old, zipfile.ZipFile(tmp_path / "old.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert load_tensors(tmp_path / "old.pt")[0]["auroc"] == 0.5


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_hostile_pickle_is_refused_by_name_without_running_it(tmp_path: Path, legacy: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    content = {"model": {"w": torch.ones(1)}, "extra": Payload(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        UnsafeCheckpointError, match=r"evil\.pth was not loaded: its pickle asks for shutil\.copy"
    ) as error:
        load_tensors(path)
    assert not trace.exists()
    assert "nothing of it was run" in str(error.value)


def test_a_bare_hostile_pickle_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Shell()))
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        load_tensors(path)
    torch.save(Shell(), path)
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system|nt\.system"):
        load_tensors(path)


def _no_file(path: Path) -> None:
    pass


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("these are no weights\n" * 10)


def _truncated(path: Path) -> None:
    torch.save({"w": torch.ones(10_000)}, path)
    path.write_bytes(path.read_bytes()[:9_000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_file, "no such file"),
        (_empty, r"empty \(0 bytes\)"),
        (_text, "weights file|torch.save"),
        (_truncated, "truncated"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".tar"])
def test_damaged_files_are_named(tmp_path: Path, damage, message: str, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    damage(path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_tensors(path)
    assert path.name in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_a_damaged_safetensors_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be read as safetensors"):
        load_tensors(path)


def test_safetensors_keep_their_metadata(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"seed": "1"})
    weights, metadata = load_tensors(tmp_path / "a.safetensors")
    assert torch.equal(weights["w"], torch.ones(2))
    assert metadata == {"seed": "1"}


def test_a_pretraining_checkpoint_as_classifier_says_where_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "pretrained.tar"
    torch.save({"model": {"image_encoder._conv_stem.weight": torch.ones(2)}, "config": {}}, path)
    with pytest.raises(CheckpointError, match=r"pretrained\.tar holds no classification layer.*`backbone`"):
        read_classifier(path)
    assert list(read_backbone(path).tensors) == ["_conv_stem.weight"]


def test_weights_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pt"
    torch.save({"layer1.0.conv1.weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match=r"no EfficientNet image encoder; found keys such as layer1"):
        read_backbone(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="holds a list"):
        read_sae_weights(path)
    torch.save({"a": 1}, path)
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_sae_weights(path)

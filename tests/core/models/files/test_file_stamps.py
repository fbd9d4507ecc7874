"""Whether the files of a model are the ones that were loaded."""

import os
import shutil

import pytest

from napari_mammosae.core.models.files.model_files import file_stamps


def _newer(path):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def _longer(path):
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [_newer, _longer, lambda path: path.unlink()])
@pytest.mark.parametrize("file", ["classifier.safetensors", "sae.safetensors", "model.toml"])
def test_a_file_that_changed_is_another_one(tmp_path, tiny_model, change, file):
    folder = shutil.copytree(tiny_model.parent, tmp_path / "model")
    recipes = [
        {"name": folder / "model.toml"},
        {"classifier": folder / "classifier.safetensors", "sae": folder / "sae.safetensors", "name": None},
    ]
    before = [file_stamps(recipe) for recipe in recipes]
    assert before == [file_stamps(recipe) for recipe in recipes]
    change(folder / file)
    after = [file_stamps(recipe) for recipe in recipes]
    assert before[0] != after[0]
    assert (before[1] != after[1]) == (file != "model.toml")


def test_models_by_name_have_files_too():
    assert [name for name, _, _ in file_stamps({"name": "demo"})] == [
        "classifier.safetensors", "sae.safetensors", "text.safetensors", "vocabulary.txt",
    ]  # fmt: skip
    assert file_stamps({"name": "nonesuch"}) == ()

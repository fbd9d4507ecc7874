"""Bad files on the command line: exit status 1, one line that names the file and says what to do, nothing written."""

from pathlib import Path

import pytest

import tiny
from bad_inputs import IMAGES, MODELS, TABLES
from napari_mammosae.cli import main


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tiny.write_image(tmp_path / "images" / "breast.png")


def refused(capsys: pytest.CaptureFixture[str], folder: Path, image: Path, model: Path, *more: str) -> str:
    """Run `inspect` and return the line that it ends with."""
    words = ["inspect", str(image), "--model", str(model), "--out", str(folder / "out"), "--device", "cpu", *more]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert "Unexpected" not in said.err
    assert str(folder) not in said.err
    assert not (folder / "out").exists()
    return said.err


@pytest.mark.parametrize(("name", "write", "words"), IMAGES, ids=[name for name, *_ in IMAGES])
def test_images(tmp_path: Path, tiny_model: Path, capsys, name: str, write, words: tuple[str, ...]):
    write(tmp_path / name)
    line = refused(capsys, tmp_path, tmp_path / name, tiny_model)
    assert line.startswith(f"Error: {name}: ")
    assert all(word in line for word in words), line


@pytest.mark.parametrize(("name", "write", "words"), TABLES, ids=[name for name, *_ in TABLES])
def test_tables(tmp_path: Path, tiny_model: Path, image: Path, capsys, name: str, write, words: tuple[str, ...]):
    write(tmp_path / name)
    line = refused(capsys, tmp_path, image, tiny_model, "--boxes", str(tmp_path / name))
    assert line.startswith(f"Error: {name}")
    assert all(word in line for word in words), line


@pytest.mark.parametrize(("named", "write", "words"), [case[1:] for case in MODELS], ids=[case[0] for case in MODELS])
def test_models(tmp_path: Path, image: Path, capsys, named: str, write, words: tuple[str, ...]):
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "model.toml"
    write(path)
    line = refused(capsys, tmp_path, image, path)
    assert named in line
    assert all(word in line for word in words), line
    assert not (tmp_path / "model" / "trace").exists(), "a pickle's payload was run"


def test_the_wrong_size_without_cropping(tmp_path: Path, tiny_model: Path, image: Path, capsys):
    line = refused(capsys, tmp_path, image, tiny_model, "--no-crop")
    assert "breast.png: the image has 400 x 300 pixels, and without cropping the model needs exactly 190 x 114" in line
    assert "turn cropping on or resize the image" in line

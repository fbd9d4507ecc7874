"""Images of a run that are odd, not wrong: names that are no text, and what is noted of them."""

import os
import sys

import pandas as pd
import pytest

import tiny
from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.reports.inspection import write_inspection
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_in_latin_1_costs_nothing(tmp_path, model):
    folder = tmp_path / "images"
    for name in (b"m\xe4dchen.png", b"gr\xf6\xdfe/a.png"):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        tiny.write_image(tmp_path / "a.png", 1).rename(path)
    (folder / os.fsdecode(b"b\xe4d.png")).write_bytes(b"no picture")
    labels = tmp_path / "labels.csv"
    labels.write_bytes("image;mass\nmädchen;1\na;0\n".encode("latin-1"))
    write_run(folder, model, tmp_path / "run", labels=labels, workers=0)
    run = open_run(tmp_path / "run")
    assert sorted(run.images["image_id"]) == ["a", "mädchen"]
    assert dict(zip(run.images["image_id"], run.images["label.mass"], strict=True)) == {"a": 0, "mädchen": 1}
    assert list(run.failures["image_id"]) == ["bäd"]
    assert "not an image" in run.failures["reason"].iloc[0]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_an_image_with_a_name_in_latin_1_is_drawn_and_named(tmp_path, model):
    path = tmp_path / os.fsdecode(b"m\xe4dchen.png")
    tiny.write_image(tmp_path / "a.png", 1).rename(path)
    image = read_mammogram(path)
    assert (image.image_id, image.name) == ("mädchen", "mädchen.png")
    assert image.full_name.endswith("/mädchen.png")
    written = write_inspection(tmp_path / "out", model, image, compute_latents(model, image), settings={"image": path})
    assert all(file.stat().st_size for file in written)


def test_notes_on_images_are_counted_by_kind(tmp_path, model):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        breast = breast_image(60, 50, seed=number)
        write_dicom(folder / f"{number}.dcm", breast, bits=10 + (number > 1), PixelRepresentation=None)
    told: list[str] = []
    write_run(folder, model, tmp_path / "run", workers=0, notice=told.append)
    notes = [text for text in told if "images with a note: 3" in text and "FVU" not in text]
    assert len(notes) == 3
    assert any("(first: 0.dcm: the image is enlarged" in text for text in notes)
    assert any("more than the 10 bits" in text for text in notes)
    assert any("Pixel Representation" in text for text in notes)
    assert pd.read_csv(tmp_path / "run" / "failures.csv").empty

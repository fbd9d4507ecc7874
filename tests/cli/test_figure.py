"""`figure` from the command line: an image of a run or a file, beside the latents that were asked for."""

import json

import numpy as np
import pytest
from PIL import Image

import localize_kit
from napari_mammosae.cli import main
from napari_mammosae.core.runs.opening import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return localize_kit.write_localized_run(tmp_path_factory.mktemp("figure"), tiny_model)


def figure(source, out, *options):
    return main(["figure", str(source), "--out", str(out), *map(str, options)])


def record_of(path):
    return json.loads(path.with_name(path.name + ".json").read_text())


@pytest.mark.slow
def test_a_run_s_image_in_the_order_of_a_label(folder, tmp_path, capsys):
    run = open_run(folder / "run")
    out = tmp_path / "row.png"
    assert figure(folder / "run", out, "--image", "image-003", "--label", "mass", "--top", 4,
                  "--boxes", folder / "boxes.csv") == 0  # fmt: skip
    mean, labels = run.pooled("mean").toarray(), run.label("mass")
    gain = mean[labels == 1].mean(0) - mean[labels == 0].mean(0)
    record = record_of(out)
    shown = record["settings"]["latents"]
    np.testing.assert_allclose(gain[shown], np.sort(gain)[::-1][:4], rtol=1e-9)
    assert record["settings"]["order"] == "mass, class 1, by diff"
    assert record["made_with"]["model_sha256"] == run.info["model_sha256"]
    with Image.open(out) as picture:
        assert picture.size[0] > 600
    assert str(folder) not in json.dumps(record)


def test_without_a_label_the_image_s_own_means(folder, tmp_path):
    assert figure(folder / "run", tmp_path / "row.svg", "--image", "image-000", "--top", 3) == 0
    maps = open_run(folder / "run").latents("image-000")
    shown = record_of(tmp_path / "row.svg")["settings"]["latents"]
    np.testing.assert_allclose(maps.pooled_mean[shown], np.sort(maps.pooled_mean)[::-1][:3])
    text = (tmp_path / "row.svg").read_text()
    assert all(f"latent {latent}" in text for latent in shown)


def test_a_file_and_latents_by_number(folder, tiny_model, tmp_path, capsys):
    peak = open_run(folder / "run").latents("image-001").pooled_max
    loud, silent = int(peak.argmax()), int(peak.argmin())
    image = folder / "images" / next(path.name for path in (folder / "images").iterdir() if "001" in path.name)
    assert figure(image, tmp_path / "row.pdf", "--model", tiny_model, "--latents", f"{loud},{silent}") == 0
    assert record_of(tmp_path / "row.pdf")["settings"]["latents"] == [loud, silent]
    assert f"silent on this image: 1 of 2 latents (first: {silent})" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 2, "Name one of the run's images"),
        (["--image", "nobody"], 1, "run has no image 'nobody'"),
        (["--image", "image-000", "--order", "auroc"], 1, "needs a run and a label"),
        (["--image", "image-000", "--order", "loudest", "--label", "mass"], 1, "'loudest' is unknown"),
        (["--image", "image-000", "--latents", "1,x"], 2, "not a list of numbers"),
        (["--image", "image-000", "--latents", "999999"], 1, "latent 999999 does not exist"),
        (["--image", "image-000", "--images", "."], 1, "was not found in"),
    ],
)
def test_what_cannot_be_drawn_is_said(folder, tmp_path, capsys, monkeypatch, options, status, said):
    monkeypatch.chdir(tmp_path)
    assert figure(folder / "run", tmp_path / "row.png", *options) == status
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_file_needs_a_model_and_a_figure_a_known_format(folder, tmp_path, capsys):
    image = next((folder / "images").iterdir())
    assert figure(image, tmp_path / "row.png") == 2
    assert figure(folder / "run", tmp_path / "row.bmp", "--image", "image-000") == 2
    assert "row.bmp ends with none of png, pdf, svg" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_an_image_that_changed_since_the_run_is_refused(folder, tmp_path, capsys):
    run = open_run(folder / "run")
    name = str(run.images["path"].iloc[0])
    (tmp_path / "images").mkdir()
    Image.fromarray((np.arange(1200) % 200).astype(np.uint8).reshape(40, 30)).save(tmp_path / "images" / name)
    assert figure(folder / "run", tmp_path / "row.png", "--image", run.images["image_id"].iloc[0],
                  "--images", tmp_path / "images") == 1  # fmt: skip
    assert "has 40 x 30 pixels, it had" in capsys.readouterr().err

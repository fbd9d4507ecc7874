import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

import tiny
from fakes import model_facts
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.images.mammogram import Mammogram, read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.latents import LatentMaps
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.model import MammoSAE
from napari_mammosae.core.reports.inspection import latent_table, map_arrays, prediction, write_inspection
from napari_mammosae.core.reports.latents_figure import BOX, latents_figure, save_figure

Example = tuple[MammoSAE, Mammogram, LatentMaps]


@pytest.fixture(scope="module")
def example(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Example:
    model = load_model(tiny_model, device="cpu")
    image = read_mammogram(tiny.write_image(tmp_path_factory.mktemp("images") / "breast.png"))
    return model, image, compute_latents(model, image)


def boxes(*edges: tuple[float, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(edges, columns=["row_min", "col_min", "row_max", "col_max"])


def test_contributions_add_up_to_the_logit_of_the_reconstruction(example: Example):
    model, _, maps = example
    table = latent_table(model, maps)
    assert list(table["latent"]) == list(range(tiny.LATENTS))
    for index, name in enumerate(tiny.CLASSES):
        total = model.constant[index] + table[f"contribution.{name}"].sum()
        assert total == pytest.approx(maps.logits_sae[index], rel=1e-5)
        np.testing.assert_array_equal(table[f"attribution.{name}"], model.attribution[index])


@pytest.mark.parametrize(("linear", "classes"), [(False, tiny.CLASSES), (True, ())])
def test_without_a_classifier_or_a_linear_tail_nothing_is_attributed(example: Example, linear: bool, classes: tuple):
    facts = model_facts(classes, layer="head" if linear else "blocks.3")
    model = SimpleNamespace(facts=facts, classes=classes)
    assert list(latent_table(model, example[2]).columns) == ["latent", "mean", "max", "active_cells"]


def _fields(maps: LatentMaps) -> dict:
    return {name: getattr(maps, name) for name in maps.__slots__}


def test_files_hold_what_the_library_computes(example: Example, tmp_path: Path):
    model, image, maps = example
    settings = {"model": "/secret/place/model.toml"}
    written = write_inspection(tmp_path / "out", model, image, maps, settings=settings)
    assert [path.name for path in written] == ["latents.csv", "maps.npz", "prediction.json", "figure.png"]
    assert sorted(written) == sorted((tmp_path / "out").iterdir()), "nothing else is left behind"

    table = pd.read_csv(written[0])
    pd.testing.assert_frame_equal(table, latent_table(model, maps), check_dtype=False, check_exact=True)

    with np.load(written[1]) as arrays:
        for name, array in map_arrays(maps).items():
            np.testing.assert_array_equal(arrays[name], array)
        row, col, _ = arrays["cell_to_source"] @ [2, 1, 1]
    (rows, cols), (row0, col0, row1, col1) = model.grid, maps.frame.crop
    assert (row + 0.5 - row0) / (row1 - row0) == pytest.approx(2.5 / rows)
    assert (col + 0.5 - col0) / (col1 - col0) == pytest.approx(1.5 / cols)

    record = json.loads(written[2].read_text())
    assert [record["logit"][name] for name in tiny.CLASSES] == list(maps.logits)
    expected = 1 / (1 + np.exp(-maps.logits_sae))
    assert [record["probability_sae"][name] for name in tiny.CLASSES] == pytest.approx(list(expected))
    assert record["live_latents"] == len(maps.latents)
    assert record["provenance"]["model"]["sae_sha256"] == model.sae_sha256
    assert "secret" not in written[2].read_text()


def test_prediction_of_an_array_has_no_file_to_hash(example: Example):
    model, image, _ = example
    bare = read_mammogram(image.pixels, image_id="mine")
    record = prediction(model, bare, compute_latents(model, bare))
    assert record["image_sha256"] is None
    assert record["image_id"] == "mine"


def test_figure_shows_the_strongest_latents_and_the_boxes_where_they_are(example: Example):
    _, image, maps = example
    figure = latents_figure(image, maps, boxes=boxes((40, 30, 140, 90)), top=3)
    shown = [axis for axis in figure.axes if axis.get_images()]
    titles = [axis.get_title() for axis in shown]
    order = np.argsort(-maps.pooled_mean, kind="stable")[:3]
    assert titles[0] == "image"
    assert [int(re.match(r"latent (\d+)\n", title).group(1)) for title in titles[1:]] == list(order)
    for axis in shown:
        (box,) = axis.patches
        assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (29.5, 39.5, 60, 100)
        row0, col0, row1, col1 = maps.frame.crop
        assert axis.get_images()[0].get_extent() == [col0 - 0.5, col1 - 0.5, row1 - 0.5, row0 - 0.5]


def test_silent_latents_are_not_drawn(example: Example):
    _, image, maps = example
    figure = latents_figure(image, maps, top=1000)
    assert len([axis for axis in figure.axes if axis.get_images()]) == 1 + len(maps.latents)


def test_a_box_lands_on_its_pixels(example: Example, tmp_path: Path):
    """Rendered: the outline of a box is found around the cell that is lit, through crop and resize."""
    _, image, maps = example
    rows, cols = maps.shape[1:]
    values = np.zeros((1, rows, cols), np.float32)
    values[0, 3, 1] = 1
    lit = LatentMaps(**{**_fields(maps), "latents": np.array([5], np.int32), "values": values,
                        "pooled_mean": np.eye(1, tiny.LATENTS, 5, dtype=np.float32)[0],
                        "pooled_max": np.eye(1, tiny.LATENTS, 5, dtype=np.float32)[0]})  # fmt: skip
    row0, col0, row1, col1 = maps.frame.crop
    high, wide = (row1 - row0) / rows, (col1 - col0) / cols
    around = boxes((row0 + 3 * high, col0 + wide, row0 + 4 * high, col0 + 2 * wide))
    save_figure(latents_figure(image, lit, boxes=around), tmp_path / "figure.png")
    picture = cv2.imread(str(tmp_path / "figure.png")).astype(int)
    panel = picture[:, picture.shape[1] // 2 :]
    red, green, blue = (int(BOX[i : i + 2], 16) for i in (1, 3, 5))
    outline = np.argwhere(np.abs(panel - [blue, green, red]).max(-1) < 40)
    heat = panel[..., 2] - panel[..., 0]  # the middle of the colormap is red and yellow, the image grey
    hottest = np.argwhere(heat > 0.9 * heat.max())
    assert np.abs(outline.mean(0) - hottest.mean(0)).max() < 6


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_figure_formats(example: Example, tmp_path: Path, suffix: str):
    _, image, maps = example
    path = tmp_path / f"figure.{suffix}"
    save_figure(latents_figure(image, maps, top=2), path)
    start = path.read_bytes()[:200]
    assert {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix] in start


def test_other_formats_are_refused(example: Example, tmp_path: Path):
    _, image, maps = example
    with pytest.raises(SettingsError, match=r"figure\.bmp: a figure can be saved as png, pdf, svg"):
        save_figure(latents_figure(image, maps, top=1), tmp_path / "figure.bmp")
    assert not list(tmp_path.iterdir())


def test_decisions_that_the_latents_do_not_explain_are_written_down(example: Example, tmp_path: Path):
    model, image, maps = example
    flipped = replace(maps, logits=np.array([1.0, -1.0]), logits_sae=np.array([-1.0, -2.0]))
    write_inspection(tmp_path / "out", model, image, flipped)
    said = json.loads((tmp_path / "out" / "prediction.json").read_text())["disagreements"]
    assert len(said) == 1
    assert "disagree on mass" in said[0]
    assert prediction(model, image, replace(flipped, logits_sae=flipped.logits))["disagreements"] == []

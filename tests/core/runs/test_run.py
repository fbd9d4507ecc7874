"""A run: what it leaves on disk, and how it is read back."""

import csv
import json
import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import runs_kit
import tiny
from napari_mammosae.core.base.errors import ImageError, ModelError, RunError
from napari_mammosae.core.base.files import sha256_file
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

COUNT = 11


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return runs_kit.write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model, images):
    """A run with maps in blocks of 4, decoded by two worker processes."""
    out = tmp_path_factory.mktemp("runs") / "run"
    summary = write_run(images, model, out, maps=True, block=4, workers=2)
    assert (summary.path, summary.images, summary.failed, summary.computed) == (out, COUNT, 0, COUNT)
    return out


@pytest.fixture(scope="module")
def expected(model, images):
    """What inspecting each image alone gives."""
    return [compute_latents(model, read_mammogram(path)) for path in sorted(images.glob("*.png"))]


def test_pooled_values_are_those_of_one_image_at_a_time(finished, expected):
    run = open_run(finished)
    for kind, name in (("mean", "pooled_mean"), ("max", "pooled_max"), ("active_cells", "active_cells")):
        pooled = run.pooled(kind)
        assert pooled.dtype == np.float64
        np.testing.assert_array_equal(pooled.toarray(), np.stack([getattr(maps, name) for maps in expected]))
        assert pooled.nnz == sum(len(maps.latents) for maps in expected)
    np.testing.assert_array_equal(run.logits, np.stack([maps.logits for maps in expected]))
    np.testing.assert_array_equal(run.logits_sae, np.stack([maps.logits_sae for maps in expected]))
    np.testing.assert_array_equal(run.images["error_norm"], [maps.error_norm for maps in expected])
    np.testing.assert_array_equal(run.images["fvu"], [maps.fvu for maps in expected])


def test_the_layout_is_the_published_one(finished, model):
    names = sorted(path.name for path in finished.iterdir() if not path.name.startswith("."))
    assert names == ["failures.csv", "features", "images", "images.parquet", "maps", "pooled", "regions", "run.json"]
    assert [path.name for path in sorted((finished / "pooled").iterdir())] == [
        f"part-{i:05d}.parquet" for i in range(3)
    ]
    info = json.loads((finished / "run.json").read_text())
    assert info["grid"] == list(model.grid)
    assert (info["latents"], info["classes"], info["task"]) == (tiny.LATENTS, list(tiny.CLASSES), "multilabel")
    assert (info["layer"], info["images"], info["complete"], info["failed"]) == ("head", COUNT, True, 0)
    assert (info["model_sha256"], info["sae_sha256"]) == (model.model_sha256, model.sae_sha256)
    assert info["preprocessing"]["size"] == list(tiny.SIZE)
    assert info["patient_from"] == {"image_id": COUNT}
    schema = {field.name: str(field.type) for field in pq.read_schema(finished / "pooled" / "part-00000.parquet")}
    assert schema == {"image": "int32", "latent": "int32", "mean": "float", "max": "float", "active_cells": "int32"}
    schema = {field.name: str(field.type) for field in pq.read_schema(finished / "maps" / "part-00000.parquet")}
    assert schema == {"latent": "int32", "image": "int32", "cell": "int32", "value": "halffloat", "scale": "float"}
    assert pq.read_schema(finished / "regions" / "part-00000.parquet").names == [
        *("image", "cell", "breast", "skin", "pectoral", "border", "marker", "breast_parts")
    ]
    text = (finished / "run.json").read_text() + (finished / "images.parquet").read_bytes().decode("latin-1")
    assert str(finished.parent) not in text


def test_the_table_of_images(finished, images):
    table = open_run(finished).images
    paths = sorted(images.glob("*.png"))
    assert list(table["image"]) == list(range(COUNT))
    assert list(table["image_id"]) == [path.stem for path in paths]
    assert list(table["path"]) == [path.name for path in paths]
    assert list(table["sha256"]) == [sha256_file(path) for path in paths]
    assert list(table["patient"]) == list(table["image_id"])
    frame = open_run(finished).frame(0)
    assert frame == read_mammogram(paths[0]).frame_for(load_preprocessing(finished))
    assert list(table.columns) == [
        *("image", "image_id", "path", "sha256", "patient", "laterality", "view", "split"),
        *(f"logit.{name}" for name in tiny.CLASSES),
        *(f"logit_sae.{name}" for name in tiny.CLASSES),
        *("error_norm", "fvu", "source_rows", "source_cols", "crop_row0", "crop_col0", "crop_row1", "crop_col1"),
    ]


def load_preprocessing(run):
    from napari_mammosae.core.images.preprocessing import Preprocessing

    stored = open_run(run).info["preprocessing"]
    return Preprocessing(**stored | {"size": tuple(stored["size"])})


def test_maps_of_one_latent_and_of_one_image(finished, expected, model):
    run = open_run(finished)
    cells = model.grid[0] * model.grid[1]
    for latent in range(tiny.LATENTS):
        image, cell, value = run.maps(latent)
        dense = np.zeros((COUNT, cells), np.float32)
        dense[image, cell] = value
        known = np.stack([maps[latent].ravel() for maps in expected])
        np.testing.assert_allclose(dense, known, rtol=2.0**-11, err_msg=str(latent))
        assert dense.max() == known.max()
    for number, maps in enumerate(expected):
        found = run.latents(number)
        np.testing.assert_array_equal(found.latents, maps.latents)
        np.testing.assert_allclose(found.values, maps.values, rtol=2.0**-11)
        assert (found.rounded, maps.rounded) == (True, False)
        np.testing.assert_array_equal(found.pooled_mean, maps.pooled_mean)
        np.testing.assert_array_equal(found.logits, maps.logits)
        assert (found.shape, found.frame, found.error_norm) == (maps.shape, maps.frame, maps.error_norm)
        assert found.fvu == maps.fvu


def test_parts_stream_block_by_block_and_are_sorted(finished, expected):
    run = open_run(finished)
    seen = []
    for maps, regions in zip(run.map_parts(), run.regions(), strict=True):
        assert set(maps.image) <= set(regions.image.tolist())
        assert all(share.shape == (len(regions.image), *run.grid) for share in regions.shares.values())
        order = np.lexsort((maps.cell, maps.image, maps.latent))
        np.testing.assert_array_equal(order, np.arange(len(order)))
        seen += regions.image.tolist()
        assert (maps.value > 0).all()
    assert seen == list(range(COUNT))
    assert sum(len(part.cell) for part in run.map_parts()) == sum(int(m.active_cells.sum()) for m in expected)


def test_reading_one_latent_skips_row_groups(tmp_path, model, images, monkeypatch):
    from napari_mammosae.core.runs.making import part_files

    monkeypatch.setattr(part_files, "MAP_ROWS_PER_GROUP", 50)
    write_run(images, model, tmp_path / "run", maps=True, workers=0)
    part = pq.ParquetFile(tmp_path / "run" / "maps" / "part-00000.parquet")
    assert part.num_row_groups > 10
    ranges = [part.metadata.row_group(i).column(0).statistics for i in range(part.num_row_groups)]
    assert all(a.max <= b.min for a, b in pairwise(ranges))
    latent = ranges[5].min
    assert (
        len(open_run(tmp_path / "run").maps(latent)[0])
        == open_run(tmp_path / "run").pooled("active_cells")[:, [latent]].sum()
    )


def test_pooled_channels_give_the_logits(finished, model, images):
    run = open_run(finished)
    means, maxima = run.features(), run.features("max")
    assert means.shape == maxima.shape == (COUNT, model.width)
    head = model.heads[0]
    np.testing.assert_allclose(means @ head.weight.T + head.bias, run.logits, rtol=1e-5, atol=1e-5)
    image = read_mammogram(sorted(images.glob("*.png"))[3])
    features = model.features(image.to_input(model.preprocessing))[0].flatten(1).double().numpy()
    np.testing.assert_allclose(means[3], features.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maxima[3], features.max(1), rtol=1e-6)
    with pytest.raises(RunError, match=r"no pooling 'layer_mean' of channels; choose one of mean, max\."):
        run.features("layer_mean")


def test_pooled_channels_of_an_inner_layer_come_beside_those_of_the_last(tmp_path, tiny_model, images):
    weights = load_file(tiny_model.parent / "sae.safetensors")
    width = load_model(tiny_model, device="cpu", layer=None).backbone.block_channels(1)
    weights["encoder_weight"] = weights["encoder_weight"][:, :width]
    for name in ("decoder_weight", "tied_bias"):
        weights[name] = weights[name][:width]
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "sae.safetensors")
    inner = load_model(
        classifier=tiny_model.parent / "classifier.safetensors", sae=tmp_path / "sae.safetensors", layer="blocks.1",
        classes=tiny.CLASSES, task="multilabel", input_size=tiny.SIZE, device="cpu",
    )  # fmt: skip
    write_run(f"{images}/image-00[0-2].png", inner, tmp_path / "run", workers=0)
    run = open_run(tmp_path / "run")
    assert run.features("layer_max").shape == (3, width)
    head = inner.heads[0]
    np.testing.assert_allclose(run.features() @ head.weight.T + head.bias, run.logits, rtol=1e-5, atol=1e-5)
    image = read_mammogram(sorted(images.glob("*.png"))[2])
    features = inner.features(image.to_input(inner.preprocessing))[0].flatten(1).double().numpy()
    np.testing.assert_allclose(run.features("layer_mean")[2], features.mean(1), rtol=1e-5, atol=1e-6)


def test_a_run_that_an_earlier_version_began_is_not_resumed(tmp_path, model, images):
    write_run(images, model, tmp_path / "run", block=4, workers=0)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(info | {"format": 1, "complete": False}))
    with pytest.raises(RunError, match=r"run was started by another version, in run format 1 \(this one writes 3\)"):
        write_run(images, model, tmp_path / "run", block=4, workers=0)


def test_workers_batches_and_blocks_do_not_change_a_row(tmp_path, finished, model, images):
    write_run(images, model, tmp_path / "thread", maps=True, block=4, workers=0)
    runs_kit.assert_same(finished, tmp_path / "thread")
    write_run(images, model, tmp_path / "batch", maps=True, block=5, batch=3, workers=0)
    a, b = open_run(finished), open_run(tmp_path / "batch")
    np.testing.assert_allclose(a.pooled().toarray(), b.pooled().toarray(), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(a.numbers, b.numbers)


def test_a_complete_run_is_left_alone(tmp_path, finished, model, images):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    told: list[tuple[str, int, int]] = []
    summary = write_run(images, model, finished, maps=True, progress=lambda *state: told.append(state))
    assert (summary.computed, told) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_run_is_resumed_with_its_engine_only(tmp_path, finished, model, images):
    root = Path(shutil.copytree(finished, tmp_path / "run"))
    info = json.loads((root / "run.json").read_text())
    assert info["engine"] == "torch"
    (root / "run.json").write_text(json.dumps(info | {"engine": "openvino"}))
    assert write_run(images, model, root, maps=True).computed == 0  # finished: nothing is computed
    (root / "run.json").write_text(json.dumps(info | {"engine": "openvino", "complete": False}))
    with pytest.raises(RunError, match=r"engine \(\"openvino\" then, \"torch\" now\)"):
        write_run(images, model, root, maps=True)


def test_other_settings_are_refused_by_name(tmp_path, finished, model, images, tmp_path_factory):
    with pytest.raises(RunError, match=r"run was started with other settings: maps \(true then, false now\)"):
        write_run(images, model, finished)
    other = load_model(tiny.write_model(tmp_path / "other", seed=1), device="cpu")
    with pytest.raises(RunError, match=r"model_sha256 \(\w{8} then, \w{8} now\), sae_sha256"):
        write_run(images, other, finished, maps=True)
    more = runs_kit.write_images(tmp_path / "more", COUNT + 1)
    with pytest.raises(RunError, match=r"images \(11 then, 12 now\), list_sha256"):
        write_run(more, model, finished, maps=True)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mass\nimage-000,1\n")
    with pytest.raises(RunError, match=r"labels_sha256 \(\"\" then"):
        write_run(images, model, finished, maps=True, labels=labels)
    with pytest.raises(RunError, match="preprocessing"):
        write_run(images, model, finished, maps=True, crop=False)


def test_folders_that_are_no_place_for_a_run(tmp_path, model, images):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="full holds other files, not a run"):
        write_run(images, model, tmp_path / "full", workers=0)
    with pytest.raises(RunError, match=r"thesis.txt is a file"):
        write_run(images, model, tmp_path / "full" / "thesis.txt", workers=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no images in this folder"):
        write_run(tmp_path / "empty", model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_without_sae_is_refused(tmp_path, tiny_model, images):
    bare = load_model(
        classifier=tiny_model.parent / "classifier.safetensors",
        classes=tiny.CLASSES,
        input_size=tiny.SIZE,
        device="cpu",
    )
    with pytest.raises(ModelError, match="without a sparse autoencoder"):
        write_run(images, bare, tmp_path / "run", workers=0)


def test_every_way_to_name_the_model(tmp_path, tiny_model, images, finished):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "image-000.png").write_bytes((images / "image-000.png").read_bytes())
    for number, spec in enumerate(
        [
            tiny_model,
            str(tiny_model),
            {"name": tiny_model, "device": "cpu"},
            lambda: load_model(tiny_model, device="cpu"),
        ]
    ):
        write_run(tmp_path / "one", spec, tmp_path / str(number), maps=True, workers=0)
        open_run(tmp_path / str(number), load_model(tiny_model, device="cpu"))


BAD = {
    "constant.png": "every pixel has the value 9",
    "empty.png": "the file is empty",
    "photo.png": "colour",
    "small.png": "without cropping the model needs exactly 190 x 114",
    "text.dcm": "not a DICOM file",
    "truncated.png": "",
}


def write_bad(folder: Path) -> None:
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "constant.png"), np.full(tiny.SIZE, 9, np.uint8))
    (folder / "empty.png").write_bytes(b"")
    cv2.imwrite(str(folder / "photo.png"), rng.integers(0, 255, (*tiny.SIZE, 3), np.uint8))
    tiny.write_image(folder / "small.png", 3, (60, 50))
    (folder / "text.dcm").write_text("Dear colleague, the images are on the other disk.")
    whole = tiny.write_image(folder / "truncated.png", 4, tiny.SIZE).read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_images_are_listed_with_their_reasons_and_the_others_done(tmp_path, model, workers):
    folder = tmp_path / "images"
    for i in range(5):
        tiny.write_image(folder / f"good-{i}.png", i, tiny.SIZE)
    write_bad(folder)
    told: list[tuple[str, int, int]] = []
    summary = write_run(
        folder,
        model,
        tmp_path / "run",
        crop=False,
        block=3,
        workers=workers,
        progress=lambda *state: told.append(state),
    )
    assert (summary.images, summary.failed) == (11, 6)
    run = open_run(tmp_path / "run")
    assert sorted(run.images["image_id"]) == [f"good-{i}" for i in range(5)]
    with (tmp_path / "run" / "failures.csv").open(newline="", encoding="utf-8") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons.keys() == BAD.keys()
    for name, part in BAD.items():
        assert reasons[name].startswith(f"{name}: ")
        assert part in reasons[name]
        assert str(tmp_path) not in reasons[name]
    assert list(run.failures["image_id"]) == [Path(name).stem for name in sorted(BAD)]
    assert set(run.numbers) | set(run.failures["image"]) == set(range(11))  # gaps where images failed
    assert told[-1] == ("Computing latents, 6 failed", 11, 11)
    assert run.pooled().shape == (5, tiny.LATENTS)
    with pytest.raises(RunError, match=r"6 of 11 images could not be used; run/failures.csv lists the reasons"):
        write_run(folder, model, tmp_path / "run", crop=False, strict=True, workers=0)
    write_run(folder, model, tmp_path / "maps", crop=False, maps=True, workers=0)
    with pytest.raises(RunError, match="no image number 1"):
        open_run(tmp_path / "maps").latents(1)


def test_a_folder_of_bad_images_only(tmp_path, model):
    (tmp_path / "images").mkdir()
    write_bad(tmp_path / "images")
    write_run(tmp_path / "images", model, tmp_path / "run", crop=False, maps=True, workers=0)
    run = open_run(tmp_path / "run")
    assert (len(run), len(run.failures), run.logits.shape) == (0, 6, (0, 2))
    assert run.pooled().shape == (0, tiny.LATENTS)
    assert len(run.maps(0)[0]) == 0
    assert [len(part.image) for part in run.regions()] == [0]


def test_every_image_is_reported(tmp_path, model, images):
    told: list[tuple[str, int, int]] = []
    write_run(images, model, tmp_path / "run", workers=0, progress=lambda *state: told.append(state))
    assert told == [("Computing latents", done, COUNT) for done in range(COUNT + 1)]


def test_a_run_of_the_format_before_the_first_number_is_read(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "old")
    info = json.loads((finished / "run.json").read_text())
    assert info.pop("format") == 3
    (tmp_path / "old" / "run.json").write_text(json.dumps(info))
    old = pq.read_table(finished / "images.parquet").drop_columns(["fvu"])
    pq.write_table(old, tmp_path / "old" / "images.parquet", write_page_checksum=True)
    run = open_run(tmp_path / "old")
    assert run.info["format"] == 0
    pd.testing.assert_frame_equal(run.images, open_run(finished).images.drop(columns="fvu"))
    del info["grid"], info["block"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(info))
    with pytest.raises(RunError, match=r"old/run.json does not describe a run: it lacks grid, block\."):
        open_run(tmp_path / "old")


def test_opening_what_is_no_complete_run(tmp_path, finished, model, tiny_model, images):
    with pytest.raises(RunError, match=r"nowhere is not a run: it has no run.json"):
        open_run(tmp_path / "nowhere")

    def copy(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        info = json.loads((finished / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(info | changes))
        return folder

    with pytest.raises(RunError, match=r"half is not complete \(0 of 3 blocks done\)"):
        open_run(copy("half", complete=False))
    later = r"newer has run format 4; this napari-mammosae reads formats up to 3\. Update napari-mammosae"
    with pytest.raises(RunError, match=later):
        open_run(copy("newer", format=4))
    with pytest.raises(RunError, match=later):
        write_run(images, tiny_model, tmp_path / "newer", workers=0)
    with pytest.raises(RunError, match=r"odd has run format 'one'"):
        open_run(copy("odd", format="one"))
    (tmp_path / "newer" / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"newer/run.json cannot be read"):
        open_run(tmp_path / "newer")
    (tmp_path / "newer" / "run.json").write_text("[1]")
    with pytest.raises(RunError, match="does not describe a run"):
        open_run(tmp_path / "newer")
    holey = open_run(copy("holey"))
    with pytest.raises(RunError, match=r"holey lacks images.parquet"):
        len(holey)
    (tmp_path / "holey" / "images.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(RunError, match=r"holey/images.parquet is damaged"):
        len(holey)


def test_reading_checks_what_is_asked_for(tmp_path, finished, model, images):
    run = open_run(finished, model)
    with pytest.raises(RunError, match="has latents 0 to 63, not 64"):
        run.maps(64)
    with pytest.raises(RunError, match="no label 'mass'; it has none"):
        run.label("mass")
    with pytest.raises(RunError, match="no pooling 'sum'; choose one of mean, max, active_cells"):
        run.pooled("sum")
    other = load_model(tiny.write_model(tmp_path / "other", seed=1), device="cpu")
    with pytest.raises(RunError, match="made with another model and another SAE than the loaded tiny"):
        open_run(finished, other)
    write_run(images, model, tmp_path / "pooled", workers=0)
    with pytest.raises(RunError, match="pooled keeps pooled values only; make a run with maps"):
        open_run(tmp_path / "pooled").maps(0)
    assert not (tmp_path / "pooled" / "maps").exists()


def test_other_tools_read_the_parts(finished):
    import pyarrow.dataset as ds

    table = ds.dataset(finished / "pooled").to_table().to_pandas()
    sums = table.groupby("latent")["mean"].sum()
    pooled = open_run(finished).pooled()
    np.testing.assert_allclose(np.asarray(pooled.sum(axis=0)).ravel()[sums.index], sums, rtol=1e-6)
    assert isinstance(pd.read_parquet(finished / "images.parquet"), pd.DataFrame)

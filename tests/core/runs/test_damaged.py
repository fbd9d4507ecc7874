"""Runs whose files do not say what they should: each is refused by name, and nothing else is raised."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import runs_kit
from napari_mammosae.core.base.errors import RunError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.run import Run


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("runs")
    images = runs_kit.write_images(folder / "images", 3)
    (folder / "labels.csv").write_text("image,mass\nimage-000,1\nimage-001,0\nimage-001,1\nimage-002,0\n")
    model = load_model(tiny_model, device="cpu")
    write_run(images, model, folder / "run", labels=folder / "labels.csv", maps=True, block=2, workers=0)
    return folder / "run"


@pytest.fixture
def run(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "run"))


def read_all(folder: Path) -> Run:
    run = open_run(folder)
    assert len(run.logits) == len(run) == len(run.images)
    for row in range(len(run)):
        run.frame(row)
    assert run.rows is not None
    run.pooled("mean")
    run.pooled("active_cells")
    list(run.regions())
    run.features("mean")
    run.features("max")
    list(run.map_parts())
    for number in run.numbers:
        run.latents(int(number))
    assert list(run.failures) == ["image", "image_id", "path", "reason"]
    return run


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(RunError) as error:
        read_all(folder)
    message = str(error.value)
    assert all(word in message for word in ("run/", *words)), message
    assert len(message) <= 300
    assert "\n" not in message
    assert str(folder.parent) not in message


def test_a_whole_run_is_read(run):
    assert len(read_all(run)) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grid", [6]),
        ("grid", "6x4"),
        ("grid", [6, 10**400]),
        ("grid", [0, 4]),
        ("grid", [1 << 40, 4]),
        ("latents", "64"),
        ("latents", -1),
        ("latents", 64.5),
        ("latents", 10**18),
        ("latents", True),
        ("classes", "mass"),
        ("classes", [1, 2]),
        ("classes", {"a": 1}),
        ("task", None),
        ("layer", []),
        ("model_sha256", 7),
        ("sae_sha256", None),
        ("preprocessing", None),
        ("preprocessing", {}),
        ("preprocessing", {"size": [190]}),
        ("maps", "yes"),
        ("block", 0),
        ("block", -2),
        ("block", None),
        ("images", -1),
        ("images", 10**15),
        ("images", "3"),
        ("complete", 1),
        ("categories", [1]),
        ("categories", {"a": 3}),
        ("model", 3),
        ("labels_sha256", {"x" * 5000: 1}),
    ],
)
def test_a_wrong_value_in_run_json(run, key, value):
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {key: value}))
    refused(run, "run/run.json does not describe a run", f"{key} is", "expected")


@pytest.mark.parametrize(
    "key",
    ["grid", "latents", "classes", "task", "layer", "model_sha256", "sae_sha256", "preprocessing", "maps", "block"],
)
def test_a_missing_key_in_run_json(run, key):
    info = json.loads((run / "run.json").read_text())
    del info[key]
    (run / "run.json").write_text(json.dumps(info))
    refused(run, f"it lacks {key}.")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", "[" * 100_000, '{"format": ' + "9" * 10_000 + "}", '{"a": "\\ud800"}', "\0" * 100, "\xff"],
)
def test_what_is_no_run_json(run, text):
    (run / "run.json").write_text(text, encoding="latin-1")
    refused(run, "run/run.json")


def change(column: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    """Another value in one row of a column."""

    def changed(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        at = table.column_names.index(column)
        return table.set_column(at, column, pa.array(values, table[column].type))

    return changed


def retype(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(column), column, pc.cast(table[column], kind))

    return changed


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("pooled/part-00000.parquet", change("latent", 64), "a latent beyond the run's 64"),
        ("pooled/part-00000.parquet", change("latent", -1), "a latent beyond"),
        ("pooled/part-00000.parquet", change("latent", 2**31 - 1), "a latent beyond"),
        ("pooled/part-00000.parquet", change("image", 9), "an image that the run does not have"),
        ("pooled/part-00000.parquet", change("image", -1), "an image that the run does not have"),
        ("pooled/part-00000.parquet", change("mean", None), "the column mean has gaps"),
        ("pooled/part-00000.parquet", retype("latent", pa.string()), "the column latent holds string, expected int32"),
        ("pooled/part-00000.parquet", lambda table: table.drop_columns(["active_cells"]), "active_cells"),
        ("maps/part-00001.parquet", change("latent", 64), "a latent beyond"),
        ("maps/part-00001.parquet", change("cell", 24), "a cell beyond the run's 24"),
        ("maps/part-00001.parquet", change("cell", -1), "a cell beyond"),
        ("maps/part-00001.parquet", change("image", 7), "an image that the run does not have"),
        ("maps/part-00000.parquet", change("scale", 0.0), "a scale that is not a positive number"),
        ("maps/part-00000.parquet", change("scale", float("nan")), "a scale that is not a positive number"),
        ("maps/part-00000.parquet", lambda table: table.drop_columns(["scale"]), "it lacks the column scale"),
        ("features/part-00000.parquet", change("image", 1), "its images are not those of the run"),
        ("features/part-00001.parquet", change("image", 9), "an image that the run does not have"),
        ("features/part-00000.parquet", change("mean", [1.0]), "its rows are of different lengths"),
        ("features/part-00000.parquet", change("max", None), "the column max has gaps"),
        ("features/part-00000.parquet", change("max", [None]), "different lengths or have gaps"),
        ("features/part-00001.parquet", lambda table: table.drop_columns(["mean"]), "mean"),
        ("regions/part-00000.parquet", change("cell", 10_000), "a cell beyond"),
        ("regions/part-00000.parquet", change("image", 10_000), "an image that"),
        ("images.parquet", change("image", 2), "not numbered in order"),
        ("images.parquet", change("image", -5), "not numbered in order"),
        ("images.parquet", change("image", 2**31 - 1, 2), "not numbered in order"),
        ("images.parquet", change("crop_row1", 10**6), "a crop reaches beyond its image"),
        ("images.parquet", change("crop_col0", -1), "a crop reaches beyond its image"),
        ("images.parquet", change("source_rows", 0), "a crop reaches beyond its image"),
        ("images.parquet", change("error_norm", None), "the column error_norm has gaps"),
        ("images.parquet", lambda table: table.drop_columns(["logit.mass"]), "it lacks the column logit.mass"),
        ("images.parquet", lambda table: table.drop_columns(["image_id"]), "it lacks the column image_id"),
        ("rows.parquet", change("image", 50), "an image that the run does not have"),
        ("rows.parquet", lambda table: table.drop_columns(["image"]), "it lacks the column image"),
    ],
)
def test_a_table_that_says_what_cannot_be(run, name, changed, words):
    table = pq.read_table(run / name)
    pq.write_table(changed(table), run / name)
    refused(run, words)


@pytest.mark.parametrize("name", ["images.parquet", "pooled/part-00000.parquet", "maps/part-00001.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(4096), b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_what_is_no_parquet(run, name, content):
    (run / name).write_bytes(content)
    refused(run, name)


def test_a_table_that_unpacks_to_more_than_it_may(run, monkeypatch):
    monkeypatch.setenv("NAPARI_MAMMOSAE_MAX_DECODED_BYTES", "10")
    refused(run, "images.parquet", "unpacked, above the limit of 10 bytes", "NAPARI_MAMMOSAE_MAX_DECODED_BYTES")


_HEADER = "image,image_id,path,reason\n"


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", _HEADER + "x,a,b,c\n", _HEADER + '1,"a\n', "\0" * 50, "x" * 300_000]
)
def test_damaged_failures(run, text):
    (run / "failures.csv").write_text(text)
    refused(run, "run/failures.csv")


def test_a_changed_byte_of_a_page_is_noticed(run):
    """What the compression lets pass, the checksum of the page does not."""
    path = run / "pooled" / "part-00000.parquet"
    whole = path.read_bytes()
    before = _pooled(run)
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # where the pages end and the footer begins
    noticed = 0
    for at in np.linspace(4, end - 1, 100).astype(int):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            found = _pooled(run)
        except RunError:
            noticed += 1
        else:
            np.testing.assert_array_equal(found, before)
    assert noticed > 90


def _pooled(folder: Path) -> np.ndarray:
    run = open_run(folder)
    return np.stack([run.pooled(kind).toarray() for kind in ("mean", "max", "active_cells")])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["run.json", "images.parquet", "pooled/part-00000.parquet", "failures.csv"])
def test_a_pipe_is_not_waited_for(run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    refused(run, name, "not an ordinary file")

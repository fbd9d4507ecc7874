import json
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_mammosae
from napari_mammosae.core.base.errors import WriteError
from napari_mammosae.core.base.provenance import plain, provenance, write_json, write_table
from napari_mammosae.core.models.loading import load_model


def test_record_says_what_ran(tiny_model: Path):
    model = load_model(tiny_model, device="cpu")
    record = provenance("rank", {"label": "mass", "k": [0, 1], "seed": 0}, model)
    assert record["version"] == napari_mammosae.__version__
    assert record["command"] == "rank"
    assert record["settings"] == {"label": "mass", "k": [0, 1], "seed": 0}
    assert record["model"]["model_sha256"] == model.model_sha256
    assert record["model"]["sae_sha256"] == model.sae_sha256
    assert record["model"]["name"] == "tiny"
    assert record["notice"] == "research use only, not for diagnosis"
    assert datetime.fromisoformat(record["created"]).utcoffset() == timedelta(0)


def test_no_folder_gets_into_it():
    settings = {
        "image": Path("/home/jane/patients/jane doe/a.dcm"),
        "model": "/home/jane/model.toml",
        "images": "C:\\Users\\jane\\*.png",
        "many": [Path("/home/jane/x.csv"), {"deep": "/home/jane/y.csv"}],
        "threshold": "quantile:0.95",
    }
    record = provenance("inspect", settings)
    assert "jane" not in json.dumps(record)
    assert record["settings"]["model"] == "model.toml"
    assert record["settings"]["threshold"] == "quantile:0.95"
    assert "model" not in record


def test_written_beside_the_output_at_full_precision(tmp_path: Path):
    value = 0.1 + 0.2
    write_table(tmp_path / "rank.csv", pd.DataFrame({"latent": [1]}), {"value": np.float64(value)})
    assert json.loads((tmp_path / "rank.csv.json").read_text()) == {"value": value}


def test_what_json_does_not_know_becomes_what_it_does():
    class Mode(Enum):
        KEEP = "keep"

    content = {"a": np.arange(3), "b": (np.float32(0.5), np.int32(2)), "c": Mode.KEEP, 4: {1}, "d": float("nan")}
    assert plain(content) == {"a": [0, 1, 2], "b": [0.5, 2], "c": "keep", "4": [1], "d": None}


def test_half_a_file_is_never_left(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_and_its_provenance_come_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, table = tmp_path / "rank.csv", pd.DataFrame({"latent": [1, 2], "score": [0.1, 1 / 3]})
    write_table(path, table, provenance("rank", {"label": "mass"}))
    assert path.read_text() == "latent,score\n1,0.1\n2,0.3333333333333333\n"
    assert json.loads((tmp_path / "rank.csv.json").read_text())["settings"] == {"label": "mass"}
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # the second of the two
    with pytest.raises(WriteError, match=r"The disk is full: rank.csv was not written"):
        write_table(path, table.head(1), provenance("rank", {"label": "other"}))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before

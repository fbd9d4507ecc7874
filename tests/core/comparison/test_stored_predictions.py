"""A run against the predictions its checkpoint stores: rows in the order of the table, on the scale that was stored."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import CheckpointError, RunError
from napari_mammosae.core.base.files import sha256_file
from napari_mammosae.core.comparison.stored_predictions import check_predictions

LOGITS = np.array([[-2.0], [0.5], [3.0], [1.0]])
IMAGES = np.array([0, 1, 3, 4])  # image 2 failed
SPLITS = ["test", "training", "test", "test"]
ROWS = [(0, 4, "test"), (1, 0, "test"), (2, 1, "training"), (3, 3, "test"), (4, 4, "test")]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def made(folder: Path, predictions: object, *, by_rows: bool = True) -> tuple[SimpleNamespace, Path]:
    """A run over four images, and the model.toml of its model."""
    file = folder / "classifier.pth"
    torch.save({"model": {}} if predictions is None else {"model": {}, "predictions": predictions}, file)
    toml = folder / "model.toml"
    toml.write_text("classifier = 'classifier.pth'\n")
    rows = pd.DataFrame(ROWS[::-1], columns=["row", "image", "split"]) if by_rows else None
    images = pd.DataFrame({"image": IMAGES, "split": SPLITS})
    info = {"model_sha256": sha256_file(file), "model": "mass"}
    run = SimpleNamespace(
        path=folder / "run", info=info, task="binary", logits=LOGITS, rows=rows, images=images, numbers=IMAGES
    )
    return run, toml


BY_ROWS, BY_IMAGES = LOGITS[[3, 0, 2, 3], 0], LOGITS[[0, 2, 3], 0]


@pytest.mark.parametrize(
    ("stored", "by_rows", "scale"),
    [
        (sigmoid(BY_ROWS), True, "probabilities"),
        (sigmoid(BY_ROWS)[:, None].astype(np.float32), True, "probabilities"),
        (BY_ROWS, True, "logits"),
        (sigmoid(BY_IMAGES), False, "probabilities"),
    ],
)
def test_the_same_predictions(tmp_path: Path, stored: np.ndarray, by_rows: bool, scale: str):
    run, toml = made(tmp_path, stored, by_rows=by_rows)
    found = check_predictions(run, toml)
    assert (found.scale, found.far, found.file) == (scale, 0, "classifier.pth")
    np.testing.assert_allclose(found.differences, np.zeros((len(stored), 1)), atol=1e-7)


def test_rows_in_another_order_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    stored = sigmoid(BY_ROWS)[::-1].copy()
    run, toml = made(tmp_path, stored)
    monkeypatch.setattr("napari_mammosae.core.runs.opening.open_run", lambda path: run)
    assert main(["models", "check", str(tmp_path), "--model", str(toml)]) == 0
    shown = capsys.readouterr()
    most = np.abs(sigmoid(BY_ROWS) - stored).max()
    assert shown.out.startswith(f"classifier.pth: 4 test rows compared, probabilities differ by {most:.2g} at most")
    assert shown.out.endswith("rows that differ by more than 0.01: 2\n")
    assert shown.err.startswith("Note: the images, their preparation or the order of the rows")


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.zeros(3), r"stores 3 predictions of 1, the run has 4 test rows of 1"),
        (np.zeros((4, 2)), r"stores 4 predictions of 2"),
        (None, "stores no predictions"),
        (np.array([0.0, np.nan, 0.0, 0.0]), "are not finite numbers, one for each test row"),
    ],
)
def test_what_cannot_be_compared(tmp_path: Path, stored: object, words: str):
    run, toml = made(tmp_path, stored)
    with pytest.raises(CheckpointError, match=words):
        check_predictions(run, toml)


def test_another_model_and_a_run_without_test_rows(tmp_path: Path):
    run, toml = made(tmp_path, sigmoid(BY_ROWS))
    with pytest.raises(RunError, match=r"its model is none of those that are ready\. Give its model\.toml"):
        check_predictions(run)
    run.rows["split"] = "training"
    with pytest.raises(RunError, match="no rows whose split is test"):
        check_predictions(run, toml)
    run.info["model_sha256"] = "0" * 64
    with pytest.raises(RunError, match=r"SHA-256 0{12}…; model\.toml is not its model"):
        check_predictions(run, toml)

"""`train-head`: heads of a run's labels, and the model that has them."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import runs_kit
from head_kit import PHANTOM_RUN
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.training.heads import logistic

COUNT = 24


@pytest.fixture(autouse=True)
def _few_strengths(monkeypatch):
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A run whose model has no name, with two labels, and a table of two more."""
    folder = tmp_path_factory.mktemp("train-head")
    runs_kit.write_images(folder / "images", COUNT)
    names = {"image": [f"image-{i:03d}" for i in range(COUNT)]}
    own = names | {"patient": [f"p{i // 2}" for i in range(COUNT)], "clip": np.arange(COUNT) % 2, "rare": 0}
    pd.DataFrame(own).to_csv(folder / "labels.csv", index=False)
    table = names | {"birads": np.arange(COUNT) % 4 + 1, "scar": (np.arange(COUNT) % 3 == 0) * 1}
    pd.DataFrame(table).to_csv(folder / "more.csv", index=False)
    write_run(folder / "images", tiny_model, folder / "run", labels=folder / "labels.csv", workers=0)
    return folder


def train(*words):
    return main(["train-head", *map(str, words)])


def test_phantoms(tmp_path, capsys):
    run = shutil.copytree(PHANTOM_RUN, tmp_path / "run")
    assert train(run, "--label", "nipple", "--label", "marker", "--folds", 3) == 0
    said = capsys.readouterr().out
    truth = pd.read_parquet(PHANTOM_RUN / "images.parquet")["label.nipple"]
    assert f"{truth.sum():.0f} of 160 images are positive" in said
    assert "wrote" in said.splitlines()[-1]
    model = load_model(run / "heads" / "model.toml", device="cpu")
    assert model.classes == ("mass", "suspicious_calcification", "nipple", "marker")
    table = pd.read_csv(run / "heads" / "heads.csv").set_index("label")
    assert 0.5 < table.loc["nipple", "auroc_lo"] < table.loc["nipple", "auroc"] < table.loc["nipple", "auroc_hi"] < 1
    record = json.loads((run / "heads" / "heads.json").read_text())
    assert record["heads"]["nipple"]["provenance"]["settings"]["folds"] == 3
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.slow
def test_a_head_is_used_as_a_released_one(folder, tmp_path, tiny_model, capsys):
    """Ranking, curve, edit and inspection, each against the weights in the file."""
    out, run = tmp_path / "heads", open_run(folder / "run")
    words = (folder / "run", "--label", "scar", "--labels", folder / "more.csv", "--model", tiny_model, "--out", out)
    assert train(*words, "-q") == 0
    model = load_model(out / "model.toml", device="cpu")
    head = model.heads[-1]
    scores = run.features().astype(float) @ head.weight[0] + head.bias[0]
    adds = head.weight[0] @ model.sae.decoder_weight.double().numpy() * run.pooled("mean").toarray()
    given = ("--model", str(out / "model.toml"), "-q", "--csv", str(tmp_path / "out.csv"))
    # the run has no such label: over all images
    assert main(["rank", str(folder / "run"), "--logit", "scar", *given]) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(table["score"], np.sort(adds.mean(axis=0))[::-1], atol=1e-9)
    words = ["intervene", str(folder / "run"), "--label", "clip", "--class", "scar", "--k", "0,2", "--form", "delta"]
    assert main([*words, "--mode", "zero", *given]) == 0
    curve = pd.read_csv(tmp_path / "out.csv").set_index("k")["auroc"]
    clip = run.label("clip")
    assert curve[0] == pytest.approx(roc_auc_score(clip, scores), abs=1e-12)
    image = str(folder / "images" / "image-003.png")
    assert main(["inspect", image, "--model", str(out / "model.toml"), "--out", str(tmp_path / "one"), "-q"]) == 0
    found = json.loads((tmp_path / "one" / "prediction.json").read_text())
    assert found["logit"]["scar"] == pytest.approx(scores[3], abs=1e-4)
    latents = pd.read_csv(tmp_path / "one" / "latents.csv")
    ledger = latents["contribution.scar"].sum() + model.constant[-1]
    assert ledger == pytest.approx(found["logit_sae"]["scar"], rel=1e-6)  # means have single precision
    assert capsys.readouterr().err == ""


def test_all_labels_leave_out_those_that_cannot_be_learned(folder, tmp_path, capsys):
    words = (folder / "run", "--all-labels", "--labels", folder / "more.csv", "--out", tmp_path / "heads")
    assert train(*words) == 0
    told = capsys.readouterr()
    assert "birads: one softmax over 4 classes, each measured against the rest" in told.out
    assert "scar: AUROC" in told.out
    assert "--model names the run's model (tiny); without it there is no model.toml" in told.err
    assert not (tmp_path / "heads" / "model.toml").exists()
    assert train(folder / "run", "--all-labels", "--out", tmp_path / "others", "--folds", 20) == 1
    assert "too few patients with an image without 'clip' (12; at least 20 needed)" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["birads>=3", "birads=at least 3", ">=3"])
def test_a_threshold(folder, tmp_path, capsys, word):
    words = ("--labels", folder / "more.csv", "--label", "birads", "--positive", word, "--out", tmp_path / "heads")
    assert train(folder / "run", *words) == 0
    told = capsys.readouterr()
    assert "birads_at_least_3: AUROC" in told.out
    assert "12 of 24 images are positive" in told.out
    assert "counts 'at least 3' as positive, all else as negative" in told.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "name a label, or give --all-labels"),
        (("--label", "scar"), 1, "run has no label 'scar'; there are clip, rare"),
        (("--label", "rare"), 1, "too few patients with an image with 'rare'"),
        (("--label", "clip", "--split", "test"), 1, "has no split 'test'"),
        (("--label", "clip", "--model", "demmo"), 1, "did you mean demo"),
        (("--label", "clip", "--folds", "1"), 2, "--folds"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(folder, tmp_path, capsys, words, code, said):
    assert train(folder / "run", *words, "--out", tmp_path / "heads") == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "heads").exists()


def test_files_of_others_are_not_replaced(folder, tmp_path, capsys):
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads" / "model.toml").write_text("mine")
    assert train(folder / "run", "--label", "clip", "--out", tmp_path / "heads") == 1
    assert "model.toml exists and has no record" in capsys.readouterr().err
    assert (tmp_path / "heads" / "model.toml").read_text() == "mine"

"""Labels given as texts, from the table to the measure: the logit is scored against the positive text."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.intervention.of_run import intervene
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.classes import class_number, predictions_of
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

COUNT = 16
TRUTH = np.arange(COUNT) % 3 == 0
TEXTS = {
    "pathology": ("Normal", "Malignant"),
    "shape": ("oval", "round"),
    "turned": ("round", "oval"),
    "coded": ("2", "1"),
    "three": ("benign", "malignant"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs `finding` and `calcification` of models of one class, and the notes of the first."""
    folder = tmp_path_factory.mktemp("positive")
    runs_kit.write_images(folder / "images", COUNT)
    table = pd.DataFrame({"image": [f"image-{i:03d}" for i in range(COUNT)], "mass": TRUTH.astype(int)})
    for name, texts in TEXTS.items():
        table[name] = [texts[int(value)] for value in TRUTH]
    table.loc[~TRUTH & (np.arange(COUNT) > 8), "three"] = "normal"
    table.to_csv(folder / "labels.csv", index=False)
    for name, called in (("finding", "finding"), ("calcification", "suspicious_calcification")):
        toml = tiny.write_model(folder / "models" / name)
        tiny.keep_class(toml, called)
        notes = []
        write_run(folder / "images", load_model(toml, device="cpu"), folder / name, labels=folder / "labels.csv",
                  workers=0, notice=notes.append)  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(notes))
    return folder


def measured(folder, tmp_path, capsys, label, *more, run="finding"):
    """AUROC of all latents kept, and what was said."""
    out = tmp_path / "curve.csv"
    words = ["intervene", str(folder / run), "--model", str(folder / "models" / run / "model.toml"), "--label", label]
    assert main([*words, "--k", "64", "--mode", "keep", "--csv", str(out), *more]) == 0
    table = pd.read_csv(out)
    return table["auroc"].iloc[-1], capsys.readouterr()


def expected(folder, run="finding"):
    return roc_auc_score(TRUTH, open_run(folder / run).logits_sae[:, 0])


@pytest.mark.parametrize(
    ("label", "more"),
    [("mass", ()), ("pathology", ()), ("shape", ("--positive", "round")), ("turned", ("--positive", "Oval")),
     ("coded", ("--positive", "coded=1")), ("three", ("--positive", "malignant")),
     ("pathology", ("--positive", "shape=oval"))],
)  # fmt: skip
def test_the_logit_is_scored_against_the_positive_text(folder, tmp_path, capsys, label, more):
    assert abs(expected(folder) - 0.5) > 0.01  # or the wrong class would go unseen
    found, said = measured(folder, tmp_path, capsys, label, *more)
    assert found == pytest.approx(expected(folder), abs=1e-9)
    assert f"the model does not name its class; its logit is scored against {label!r}" in said.err
    notes = json.loads((folder / "finding.json").read_text())
    assert any("pathology counts 'malignant' as positive, 'normal' as negative" in note for note in notes)


def test_the_named_text_turns_the_measure(folder, tmp_path, capsys):
    found, _ = measured(folder, tmp_path, capsys, "pathology", "--positive", "normal")
    assert found == pytest.approx(1 - expected(folder), abs=1e-9)


@pytest.mark.parametrize("command", ["intervene", "compare"])
@pytest.mark.parametrize("label", ["shape", "three"])
def test_nothing_is_guessed(folder, tmp_path, capsys, command, label):
    run, model = str(folder / "finding"), str(folder / "models" / "finding" / "model.toml")
    words = {"intervene": ["intervene", run, "--model", model], "compare": ["compare", run, run]}[command]
    out = ["--out", str(tmp_path / "out")] if command == "compare" else []
    assert main([*words, *out, "--label", label]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--positive VALUE" in error or "choose one of them" in error


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [(["square"], 1, "no image has the shape 'square'; the values are oval, round"),
     (["nothing=x"], 1, "no label 'nothing'"), (["round", "shape=oval"], 2, "one LABEL=VALUE")],
)  # fmt: skip
def test_values_that_do_not_occur(folder, capsys, given, status, reason):
    words = [word for value in given for word in ("--positive", value)]
    assert main(["rank", str(folder / "finding"), "--label", "shape", *words]) == status
    assert reason in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_ranking_takes_the_positive_text(folder, tmp_path):
    tables = []
    for label, *more in (["mass"], ["pathology"], ["shape", "--positive", "round"]):
        out = tmp_path / f"{label}.csv"
        assert main(["rank", str(folder / "finding"), "--label", label, "--csv", str(out), "-q", *more]) == 0
        tables.append(pd.read_csv(out))
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_a_run_made_with_the_value_needs_it_no_more(folder, tmp_path):
    out, model = tmp_path / "run", folder / "models" / "finding" / "model.toml"
    words = ["run", str(folder / "images"), "--model", str(model), "--labels", str(folder / "labels.csv")]
    assert main([*words, "--out", str(out), "--positive", "shape=round", "--device", "cpu", "-q"]) == 0
    np.testing.assert_array_equal(open_run(out).label("shape"), TRUTH)
    assert predictions_of(open_run(out), "shape").tolist() == (open_run(out).logits[:, 0] >= 0).tolist()
    assert main([*words, "--out", str(out), "--device", "cpu", "-q"]) == 1  # other labels, another run


def test_runs_that_number_a_known_pair_by_the_alphabet(folder, tmp_path):
    shutil.copytree(folder / "finding", tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["categories"]["pathology"] = ["malignant", "normal"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    path = tmp_path / "run" / "images.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("label.pathology")
    turned = pc.subtract(1.0, table.column(at))
    pq.write_table(table.set_column(at, "label.pathology", turned), path, write_page_checksum=True)
    run = open_run(tmp_path / "run")
    np.testing.assert_array_equal(run.label("pathology"), TRUTH)
    assert class_number(run, "pathology") == class_number(run, "pathology", "malignant") == 1


def test_python_takes_the_positive_value_too(folder):
    run = open_run(folder / "finding", positive={"shape": "round"})
    np.testing.assert_array_equal(run.label("shape"), TRUTH)
    np.testing.assert_array_equal(open_run(folder / "finding", positive="oval").label("turned"), TRUTH)
    model = load_model(folder / "models" / "finding" / "model.toml", device="cpu")
    before = intervene(run, model, [0], "shape").table().set_index("measure").loc["auroc", "before"]
    assert before == pytest.approx(expected(folder), abs=1e-9)
    with pytest.raises(SettingsError, match="no label of the run has the value 'square'"):
        open_run(folder / "finding", positive="square")


def test_a_label_that_the_model_does_not_predict(folder, tmp_path, capsys):
    run, model = folder / "calcification", folder / "models" / "calcification" / "model.toml"
    words = ["intervene", str(run), "--model", str(model), "--label", "mass"]
    assert main(words) == 1
    assert "suspicious_calcification, which cannot be scored against the label 'mass'" in capsys.readouterr().err
    assert main([*words, "--class", "nipple"]) == 1
    assert "no class 'nipple'; it predicts suspicious_calcification" in capsys.readouterr().err
    more = ("--class", "Suspicious Calcification")
    found, said = measured(folder, tmp_path, capsys, "mass", *more, run="calcification")
    assert found == pytest.approx(expected(folder, "calcification"), abs=1e-9)
    assert "does not name its class" not in said.err
    record = json.loads((tmp_path / "curve.csv.json").read_text())
    assert record["settings"]["logits"] == ["suspicious_calcification"]

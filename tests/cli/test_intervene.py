"""`intervene` on small runs: what its tables hold, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.core.verdicts.store import Subject, VerdictStore

COUNT = 24
MASS = np.arange(COUNT) % 3 == 0


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, model):
    """A run with a label, a split and patients of two images each; `lonely` has two positives, `none` none."""
    folder = tmp_path_factory.mktemp("intervene")
    runs_kit.write_images(folder / "images", COUNT)
    pd.DataFrame(
        {
            "image_id": [f"image-{i:03d}" for i in range(COUNT)],
            "patient": [f"p{i // 2}" for i in range(COUNT)],
            "split": np.where(np.arange(COUNT) < 12, "training", "test"),
            "mass": MASS.astype(int),
            "suspicious_calcification": np.isin(np.arange(COUNT), (4, 5)).astype(int),
            "other": 1,
        }
    ).to_csv(folder / "labels.csv", index=False)
    write_run(folder / "images", model, folder / "run", labels=folder / "labels.csv", block=8, workers=0)
    return folder / "run"


def intervene(run_path, tiny_model, *more):
    return main(["intervene", str(run_path), "--model", str(tiny_model), "--label", "mass", *map(str, more)])


def masked(run, model, mask, mode):
    """Logits of mass by the definition: set latents to zero, pool, decode, classify."""
    z = run.pooled("mean").toarray() * (mask if mode == "keep" else ~mask)
    return z @ model.attribution[0] + model.constant[0]


def test_every_row_is_what_masking_gives(run_path, tiny_model, model, tmp_path, capsys):
    out = tmp_path / "curve.csv"
    assert intervene(run_path, tiny_model, "--csv", out, "--k", "0,1,5,64", "--plot", tmp_path / "curve.svg") == 0
    said = capsys.readouterr()
    assert "ranked and scored on the same images" in said.out
    run, table = open_run(run_path), pd.read_csv(out)
    assert list(table.columns[:10]) == [
        "mode", "form", "k", "union_size", "auroc", "auprc", "accuracy", "precision", "recall", "f1",
    ]  # fmt: skip
    assert list(table["mode"]) == ["keep"] * 4 + ["zero"] * 4
    z = run.pooled("mean").toarray()
    diff = z[MASS].mean(0) - z[~MASS].mean(0)
    for _, row in table.iterrows():
        k, mask = row["k"], np.zeros(64, bool)
        for score in (diff, -diff):
            mask[np.lexsort((np.arange(64), -score))[:k]] = True
        assert row["union_size"] == mask.sum()
        assert row["auroc"] == pytest.approx(auroc(MASS, masked(run, model, mask, row["mode"]).round(9)), abs=1e-12)
        assert row["auroc_lo"] <= row["auroc"] <= row["auroc_hi"]
    assert table.query("mode == 'zero' and k == 64")["auroc"].item() == 0.5
    record = json.loads((tmp_path / "curve.csv.json").read_text())
    assert record["model"]["sae_sha256"] == model.sae_sha256
    assert record["settings"]["run"] == "run"
    assert record["settings"]["ranked_and_scored_on_the_same_images"] is True
    assert "not for diagnosis" in record["notice"]
    assert "AUROC" in (tmp_path / "curve.svg").read_text() or (tmp_path / "curve.svg").stat().st_size > 1000


def test_ranking_on_one_split_and_scoring_on_another(run_path, tiny_model, tmp_path):
    out = tmp_path / "curve.csv"
    splits = ("--rank-split", "training", "--eval-split", "test")
    assert intervene(run_path, tiny_model, *splits, "--csv", out, "--k", "3", "--mode", "keep", "--compat", "-q") == 0
    run, (row,) = open_run(run_path), pd.read_csv(out).to_dict("records")
    z, train = run.pooled("mean").toarray(), np.arange(COUNT) < 12
    diff = z[MASS & train].mean(0) - z[~MASS & train].mean(0)
    mask = np.zeros(64, bool)
    for score in (diff, -diff):
        mask[np.lexsort((np.arange(64), -score))[:3]] = True
    scores = 1 / (1 + np.exp(-masked(run, load_model(tiny_model), mask, "keep")[~train].astype(np.float32)))
    assert row["auroc"] == pytest.approx(auroc(MASS[~train], scores), abs=1e-6)
    assert row["lost_ranks"] == 0
    assert "too few patients" in row["note"]
    assert np.isnan(row["auroc_lo"])
    settings = json.loads((tmp_path / "curve.csv.json").read_text())["settings"]
    assert settings["ranked_and_scored_on_the_same_images"] is False
    assert (settings["images"], settings["positives"]) == (12, 4)


@pytest.mark.filterwarnings("always::UserWarning")
def test_ranks_lost_to_saturation_are_said_in_the_figure_too(run_path, tmp_path, capsys):
    weights = load_file(tiny.write_model(tmp_path / "model").parent / "classifier.safetensors")
    weights["classifier.classification_head.bias"] += 1000  # every probability is 1 in single precision
    save_file(weights, tmp_path / "model" / "classifier.safetensors")
    model = tmp_path / "model" / "model.toml"
    folder = run_path.parent
    write_run(folder / "images", str(model), tmp_path / "run", labels=folder / "labels.csv", workers=0)
    capsys.readouterr()
    note = f"float32 sigmoids lose up to {COUNT - 1} of {COUNT} ranks"
    for compat in ((), ("--compat",)):
        plot = tmp_path / f"curve{len(compat)}.svg"
        assert intervene(tmp_path / "run", model, "--k", "0,3", "--mode", "zero", "--plot", plot, *compat) == 0
        assert (note in " ".join(capsys.readouterr().err.split())) == bool(compat)
        assert ("float32 sigmoids lose up to" in plot.read_text()) == bool(compat)


def test_random_sets_that_cannot_be_drawn_are_said(run_path, tiny_model, model, tmp_path, capsys):
    live = np.flatnonzero(open_run(run_path).pooled("mean").sum(axis=0))
    database = tmp_path / "mine.sqlite"
    with VerdictStore(database, "reader") as store:
        for latent in live[1:]:
            store.decide(Subject(model.model_sha256, model.sae_sha256), int(latent), "spurious")
    assert intervene(run_path, tiny_model, "--verdict", "spurious", "--verdicts", database, "--null", 3) == 0
    said = capsys.readouterr().out
    assert "equal activation: left out; the latents outside the set have an activation of" in said
    assert "equal count: 0." in said


def test_hand_made_masks_before_and_after(run_path, tiny_model, model, tmp_path, capsys):
    live = np.flatnonzero(open_run(run_path).pooled("mean").sum(axis=0))[:3]
    database = tmp_path / "mine.sqlite"
    with VerdictStore(database, "reader") as store:
        for latent in live:
            store.decide(Subject(model.model_sha256, model.sae_sha256), int(latent), "spurious")
        store.decide(Subject(model.model_sha256, "another"), 63, "spurious")
    out = tmp_path / "effect.csv"
    options = ("--verdict", "spurious", "--verdicts", database, "--csv", out, "--null", 20)
    assert intervene(run_path, tiny_model, *options, "--plot", tmp_path / "effect.png") == 0
    said = capsys.readouterr().out
    assert "3 spurious latents" in said
    assert re.search(r"equal activation: 0\.\d+ on average \(activation [\d.e-]+ to [\d.e-]+, median", said)
    run, table = open_run(run_path), pd.read_csv(out).set_index("measure")
    mask = np.zeros(64, bool)
    mask[live] = True
    assert table.loc["auroc", "before"] == pytest.approx(auroc(MASS, run.logits_sae[:, 0]))
    assert table.loc["auroc", "after"] == pytest.approx(auroc(MASS, masked(run, model, mask, "zero")))
    change = table.loc["auroc"]
    assert change["change_lo"] <= change["change"] <= change["change_hi"]
    record = json.loads((tmp_path / "effect.csv.json").read_text())
    assert record["edit"]["latents"] == live.tolist()
    assert record["null_count"]["auroc"]["observed"] == pytest.approx(change["after"])

    assert intervene(run_path, tiny_model, *options[:-2], "--form", "delta", "-q") == 0
    delta = pd.read_csv(out).set_index("measure")
    assert delta.loc["auroc", "before"] == pytest.approx(auroc(MASS, run.logits[:, 0]))


def test_wrong_sets_and_labels_are_one_line(run_path, tiny_model, tmp_path, capsys):
    def reason(*more, label="mass"):
        options = ["intervene", str(run_path), "--model", str(tiny_model), "--label", label, *map(str, more)]
        assert main(options) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    assert "64" in reason("--k", "65")
    assert "no split 'holdout'; it has test, training" in reason("--eval-split", "holdout")
    assert "no label 'cancer'" in reason(label="cancer")
    assert "predicts mass, suspicious_calcification" in reason(label="other")
    assert "finding rows" in reason("--unit", "row")
    assert "does not exist" in reason("--verdict", "spurious")
    assert "not a folder of published rankings" in reason("--order", f"published:{tmp_path / 'gone'}")
    with VerdictStore(run_path / "verdicts.sqlite", "reader"):
        pass
    assert "no latent has the verdict 'spurious'" in reason("--verdict", "spurious")
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--k", "many", "whole numbers"),
        ("--order", "nonsense", "order 'nonsense' is unknown"),
        ("--verdict", "bad", "verdict 'bad' is unknown"),
        ("--plot", "a.jpeg", "written as .png, .pdf, .svg"),
    ],
)
def test_values_that_no_run_could_use_are_wrong_usage(run_path, tiny_model, tmp_path, capsys, option, value, reason):
    options = ["--csv", str(tmp_path / "out.csv"), "--label", "mass", option, value]
    assert main(["intervene", str(run_path), "--model", str(tiny_model), *options]) == 2
    said = capsys.readouterr().err
    assert f"Invalid value for '{option}'" in said
    assert reason in said
    assert list(tmp_path.iterdir()) == []


def test_one_class_only_and_too_few_positives(run_path, tiny_model, model, tmp_path, capsys):
    images = pd.read_parquet(run_path / "images.parquet")
    assert images["label.suspicious_calcification"].sum() == 2
    out = tmp_path / "few.csv"
    options = ["intervene", str(run_path), "--model", str(tiny_model), "--label", "suspicious_calcification"]
    assert main([*options, "--k", "2", "--csv", str(out)]) == 0
    assert "no intervals: too few patients" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert table["auroc"].notna().all()
    assert table["auroc_lo"].isna().all()
    assert main([*options, "--eval-split", "test"]) == 1
    assert "12 images hold 1 class; at least two are needed" in capsys.readouterr().err


def test_another_model_than_the_run_s(run_path, tmp_path, capsys):
    other = tiny.write_model(tmp_path / "other", seed=1)
    assert main(["intervene", str(run_path), "--label", "mass", "--model", str(other)]) == 1
    assert "another model and another SAE" in capsys.readouterr().err
    assert main(["intervene", str(run_path), "--label", "mass"]) == 1
    assert "needs --model here: its model.toml says what it is, name that file" in capsys.readouterr().err


def test_the_published_protocol_by_finding_row(tiny_model, model, tmp_path):
    """Rows of findings count, and the published lists give the order."""
    runs_kit.write_images(tmp_path / "images", 6)
    rows = [(i, "Mass" if i < 3 else "No Finding") for i in range(6)] + [(0, "Mass"), (0, "Skin Thickening")]
    pd.DataFrame(
        {
            "study_id": [f"s{i}" for i, _ in rows],
            "series_id": "x",
            "image_id": [f"image-{i:03d}" for i, _ in rows],
            "laterality": "L",
            "view_position": "CC",
            "height": 400,
            "width": 300,
            "breast_birads": "BI-RADS 4",
            "breast_density": "DENSITY C",
            "finding_categories": [f"['{name}']" for _, name in rows],
            "finding_birads": "",
            "xmin": [10 if name != "No Finding" else np.nan for _, name in rows],
            "ymin": [10 if name != "No Finding" else np.nan for _, name in rows],
            "xmax": [50 if name != "No Finding" else np.nan for _, name in rows],
            "ymax": [50 if name != "No Finding" else np.nan for _, name in rows],
            "split": "test",
        }
    ).to_csv(tmp_path / "finding_annotations.csv", index=False)
    run_path = tmp_path / "run"
    write_run(tmp_path / "images", model, run_path, labels=tmp_path / "finding_annotations.csv", workers=0)
    run = open_run(run_path)
    assert len(run.rows) == 8
    order = np.random.default_rng(0).permutation(64)
    for name, latents in (("class=0", order), ("class=1", order[::-1])):
        entries = [{"rank": i, "index": int(latent), "importance": 1.0} for i, latent in enumerate(latents)]
        (tmp_path / "lists" / name).mkdir(parents=True)
        (tmp_path / "lists" / name / "ranking.json").write_text(json.dumps(entries))
    out = tmp_path / "rows.csv"
    more = ("--order", f"published:{tmp_path / 'lists'}", "--unit", "row", "--k", "4", "--mode", "keep", "--csv", out)
    assert intervene(run_path, tiny_model, *more, "-q") == 0
    (row,) = pd.read_csv(out).to_dict("records")
    mask = np.zeros(64, bool)
    mask[order[:4]] = mask[order[-4:]] = True
    place = run.rows["image"].to_numpy()
    expected = auroc(run.rows["label.mass"], masked(run, model, mask, "keep")[place])
    assert row["auroc"] == pytest.approx(expected)
    assert json.loads(Path(f"{out}.json").read_text())["settings"]["images"] == 8

"""Evaluating a run: labels, what is left out, shortcuts, baselines, pairs, and the report."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

import runs_kit
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import CheckpointError, RunError, SettingsError, WriteError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.sae.stand_ins import with_stand_in
from napari_mammosae.core.naming.of_run import evaluate
from napari_mammosae.core.reports.concepts import write_report
from napari_mammosae.core.runs.make import make_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.events import Subject
from napari_mammosae.core.verdicts.store import VerdictStore
from napari_mammosae.core.verdicts.suggestions import Suggestion

COUNT = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A run over 64 images of 16 patients, and labels of which `vendor` follows latent 5 and `mass` the prediction."""
    folder = tmp_path_factory.mktemp("concepts")
    runs_kit.write_images(folder / "images", COUNT)
    table = pd.DataFrame({"image": [f"image-{i:03d}" for i in range(COUNT)]})
    table["patient"] = [f"p{i // 4}" for i in range(COUNT)]
    table["laterality"] = ["L", "L", "R", "R"] * (COUNT // 4)
    table["view"] = ["CC", "MLO"] * (COUNT // 2)
    table["mass"] = np.arange(COUNT) // 2 % 2
    table.to_csv(folder / "labels.csv", index=False)
    run = make_run(folder / "images", tiny_model, folder / "run", labels=folder / "labels.csv")
    pooled = run.pooled("mean").toarray()
    latent = int(pooled.std(axis=0).argmax())
    table["vendor"] = np.where(pooled[:, latent] > np.median(pooled[:, latent]), "A<b>", "B")
    noisy = run.logits[:, 0] + np.random.default_rng(0).normal(0, 1, COUNT) * run.logits[:, 0].std()
    table["mass"] = (noisy > np.median(noisy)) * 1
    table = table.astype(object)
    table.loc[60:, ["mass", "vendor", "laterality", "view"]] = ""
    table.to_csv(folder / "more.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return open_run(folder / "run")


@pytest.fixture(scope="module")
def named(run):
    """Latents of which a method names two, one of them by chance, and a person another one."""
    sure, chance, own = np.argsort(-run.pooled("mean").toarray().std(axis=0))[:3].tolist()
    subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])
    with VerdictStore(run.path / "verdicts.sqlite", "anna") as store:
        offered = [
            Suggestion(sure, "a <mark>", "text", 0.5, 0.2, 0.01, {}),
            Suggestion(chance, "luck", "text", 0.2, 0.2, 0.9, {}),
        ]
        store.suggest(subject, offered)
        store.decide(subject, own, concept="nipple & skin")
    return sure, chance, own


@pytest.fixture(scope="module")
def found(folder, run, named, tiny_model):
    return evaluate(run, folder / "more.csv", model=load_model(tiny_model, device="cpu"), permutations=40)


def test_a_confounder_is_found_and_flagged(found, run):
    pooled = run.pooled("mean").toarray()
    latent = int(pooled.std(axis=0).argmax())
    row = found.table().set_index("latent").loc[latent]
    assert row["accepted"]
    assert row["concept"] == "vendor b"
    assert row["confounder"]
    assert row["p_family"] == pytest.approx(1 / 41)
    vendor = pd.read_csv(run.path.parent / "more.csv")["vendor"].eq("B").to_numpy(float)
    r = {kind: pearsonr(run.pooled(kind).toarray()[:60, latent], vendor[:60])[0] for kind in ("mean", "max")}
    assert row["r"] == pytest.approx(r[row["pool"]], abs=1e-9)
    chosen = run.pooled(row["pool"]).toarray()[:60, latent]
    assert row["auroc"] == pytest.approx(roc_auc_score(vendor[:60], chosen), abs=1e-12)
    assert row["auroc_lo"] < row["auroc"] < row["auroc_hi"] or np.isnan(row["auroc_lo"])


def test_tables_and_page_say_what_latents_are_called(found, named, tmp_path):
    sure, chance, own = named
    page = write_report(tmp_path / "named", found)
    read = pd.read_csv(tmp_path / "named" / "latents.csv", keep_default_na=False)
    for table in (found.table(), read):
        table = table.set_index("latent")
        assert table.loc[[sure, chance, own], "name"].tolist() == ["a <mark>", "luck", ""]
        assert table.loc[[sure, chance, own], "verdict_concept"].tolist() == ["", "", "nipple & skin"]
        assert table.loc[sure, ["name_method", "name_score", "name_null", "name_q_value"]].astype(str).tolist() == [
            "text", "0.5", "0.2", "0.01",
        ]  # fmt: skip
        assert (table["concept"] != "nipple & skin").all()  # that of the labels stays
    text = page.read_text(encoding="utf-8")
    assert "<td>a &lt;mark&gt;? (text: score 0.5, chance 0.2, q 0.01)</td>" in text
    assert "<td><span class=weak>luck? no better than chance (text: score 0.2, chance 0.2, q 0.9)</span></td>" in text
    assert "<td>nipple &amp; skin</td>" in text
    assert found.shortcuts["latent"].eq(sure).any()
    assert f"<td>{sure} (a &lt;mark&gt;?)</td>" in text


def test_a_result_says_what_it_rests_on(found):
    assert found.basis == "60 of 64 images used, 4 left out: 4 without any label; 15 patients"
    table = found.concepts().set_index("concept")
    assert table.loc["mass", "images"] == 60
    assert table.loc["view MLO", "confounder"]
    assert found.provenance["used"]["patients"] == 15
    assert found.provenance["settings"]["labels"] == ["more.csv"]


def test_shortcuts_are_listed_with_the_area_without_them(found, run, tiny_model):
    model = load_model(tiny_model, device="cpu")
    table = found.shortcuts.dropna(subset=["latent"])
    assert len(table)
    one = table[table["class"] == "mass"].iloc[0]
    truth = found.latents.concepts.values[:, found.latents.concepts.named("mass")]
    known = ~np.isnan(truth)
    latent = int(one["latent"])
    part = run.pooled("mean").toarray()[:, latent] * model.attribution[0, latent]
    assert one["auroc"] == pytest.approx(roc_auc_score(truth[known], run.logits[:60][known, 0]))
    assert one["auroc_without"] == pytest.approx(roc_auc_score(truth[known], (run.logits[:, 0] - part)[:60][known]))


def test_baselines_are_measured_by_the_same_code(found, run):
    table = found.comparison()
    assert table["units"].tolist() == ["latents", "raw channels", "untrained SAE", "PCA"]
    assert table["count"].iloc[1] == run.features("mean").shape[1]
    assert table["count"].iloc[2] == table["count"].iloc[0]
    channels = found.baselines[0]
    place = channels.concepts.named("view_mlo")
    truth = channels.concepts.values[:, place]
    known = ~np.isnan(truth)
    expected = pearsonr(run.features("max")[:60][known, 3], truth[known])[0]
    assert channels.r[1, 3, place] == pytest.approx(expected, abs=1e-6)


def test_an_untrained_run_takes_the_place_of_random_directions(folder, run, tiny_model):
    model = load_model(tiny_model, device="cpu")
    bare = with_stand_in(model, "untrained")
    assert bare.n_latents == model.n_latents
    assert bare.sae_sha256 != model.sae_sha256
    assert model.sae.tied_bias.abs().sum() == 0
    other = make_run(folder / "images", bare, folder / "untrained")
    found = evaluate(run, untrained=other, permutations=20, intervals=False)
    pooled = other.pooled("max").toarray()
    numbers = found.baselines[1].units.numbers
    np.testing.assert_allclose(found.baselines[1].units.pools["max"].toarray(), pooled[:, numbers])
    assert not any("pooled channels" in note for note in found.notes)


def test_images_without_a_label_and_of_other_splits_are_left_out(folder, run):
    table = pd.read_csv(folder / "more.csv")
    table["split"] = ["training"] * 40 + ["test"] * 24
    table.iloc[:44].to_csv(folder / "fewer.csv", index=False)
    with pytest.raises(SettingsError, match="no split 'validation'; it has test, training"):
        evaluate(run, folder / "fewer.csv", split="validation", permutations=20)
    with pytest.raises(SettingsError, match="no split 'training'; it has none"):
        evaluate(run, split="training", permutations=20)
    found = evaluate(run, folder / "fewer.csv", split="training", permutations=20, intervals=False, shortcuts=False)
    assert found.basis.startswith("40 of 64 images used, 24 left out: 24 not of split training")
    place = found.latents.concepts.named("mass")
    np.testing.assert_array_equal(found.latents.concepts.values[:, place], table["mass"][:40].to_numpy(float))
    pd.DataFrame({"image": ["other"], "mass": [1]}).to_csv(folder / "none.csv", index=False)
    with pytest.raises(RunError, match="names none of the 64 images"):
        evaluate(run, folder / "none.csv")
    with pytest.raises(SettingsError, match="at least 20"):
        evaluate(run, permutations=5)


class Page(HTMLParser):
    """Collects what a page shows and asks for."""

    def __init__(self):
        super().__init__()
        self.text, self.tags, self.links = "", [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_is_one_page_and_its_tables(found, tmp_path):
    page = write_report(tmp_path / "out", found)
    read = Page()
    read.feed(page.read_text(encoding="utf-8"))
    assert not read.links
    assert "script" not in read.tags
    assert "b" not in read.tags[read.tags.index("table") :]  # a vendor called A<b> is text
    assert "esearch use only, not for diagnosis" in read.text
    assert "60 of 64 images used" in read.text
    assert "confounder" in read.text
    latents = pd.read_csv(tmp_path / "out" / "latents.csv")
    assert latents["latent"].tolist() == found.table()["latent"].tolist()
    assert len(pd.read_csv(tmp_path / "out" / "correlations.csv")) == found.latents.r.size
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["threshold"] == found.latents.threshold
    assert str(tmp_path) not in (tmp_path / "out" / "evaluation.json").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "latents.csv").write_text("mine")
    with pytest.raises(WriteError, match=r"latents\.csv exists"):
        write_report(tmp_path / "mine", found)


def test_the_command_writes_into_the_run_and_measures_pairs(folder, tiny_model, capsys):
    pairs = pd.DataFrame(
        {
            "thing": ["mass"] * 6 + ["marker"] * 6,
            "patient": [f"p{i}" for i in range(12)],
            "present": [f"image-{2 * i:03d}" for i in range(12)],
            "absent": [f"image-{2 * i + 1:03d}" for i in range(12)],
        }
    )
    pairs.to_csv(folder / "images" / "pairs.csv", index=False)
    command = ["evaluate", str(folder / "run"), "--labels", str(folder / "more.csv"), "--model", str(tiny_model)]
    assert main([*command, "--permutations", "20", "--pairs", str(folder / "images"), "--no-intervals"]) == 0
    said = capsys.readouterr().out
    assert "60 of 64 images used" in said
    table = pd.read_csv(folder / "run" / "concepts" / "pairs.csv")
    assert table["units"].tolist() == ["trained SAE"] * 2 + ["untrained SAE"] * 2
    assert table["pairs"].tolist() == [6] * 4
    values = open_run(folder / "run").pooled(table["pool"][0]).toarray()[:24, int(table["latent"][0])]
    there, absent = values[0:12:2], values[1:12:2]
    assert table["auroc"][0] == pytest.approx(roc_auc_score([1] * 6 + [0] * 6, [*there, *absent]))
    moved = [np.abs(values[0:12:2] - values[1:12:2]).mean(), np.abs(values[12::2] - values[13::2]).mean()]
    assert table["selectivity"][0] == pytest.approx(moved[0] / sum(moved), abs=1e-6)
    assert main([*command, "--pool", "median"]) == 2
    assert main(["evaluate", str(folder / "images"), "--permutations", "20"]) == 1


def test_an_untrained_sae_is_asked_for_by_name(folder, tiny_model, monkeypatch, tmp_path):
    arguments = ["run", str(folder / "images"), "--model", str(tiny_model), "--device", "cpu"]
    assert main([*arguments, "--sae", "untrained", "--out", str(folder / "by-name")]) == 0
    made, bare = open_run(folder / "by-name"), with_stand_in(load_model(tiny_model, device="cpu"), "untrained")
    assert made.info["sae_sha256"] == bare.sae_sha256
    other = make_run(folder / "images", bare, folder / "by-hand")
    np.testing.assert_allclose(made.pooled("max").toarray(), other.pooled("max").toarray(), rtol=1e-3, atol=1e-5)
    again = load_model(**load_model(tiny_model, device="cpu", sae="untrained").recipe)
    assert again.sae_sha256 == bare.sae_sha256
    monkeypatch.chdir(tmp_path)
    (tmp_path / "untrained").write_text("not an SAE")
    with pytest.raises(CheckpointError, match="untrained"):  # a file of that name is read
        load_model(tiny_model, device="cpu", sae="untrained")

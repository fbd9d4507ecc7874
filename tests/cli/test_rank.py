"""`rank`: tables against formulas of their own, classes, comparisons."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run

COUNT = 16
MASS = np.arange(COUNT) % 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """Runs `a` and `b` of two classifiers with one SAE, `c` with another SAE."""
    folder = tmp_path_factory.mktemp("rank")
    runs_kit.write_images(folder / "images", COUNT)
    table = pd.DataFrame({"image_id": [f"image-{i:03d}" for i in range(COUNT)], "mass": MASS})
    table["density"] = list("ABCD") * 4
    table["split"] = ["training"] * 12 + ["test"] * 4
    table["patient"] = [f"p{i // 2}" for i in range(COUNT)]
    table.to_csv(folder / "labels.csv", index=False)
    other = tiny.write_model(folder / "other", seed=3)
    mixed = tiny.write_model(folder / "mixed", seed=4)
    shutil.copy(tiny_model.parent / "sae.safetensors", mixed.parent)
    for name, model in (("a", tiny_model), ("b", mixed), ("c", other)):
        write_run(
            folder / "images", load_model(model, device="cpu"), folder / name, labels=folder / "labels.csv", workers=0
        )
    return folder


def rank(run, *more, label="mass"):
    return main(["rank", str(run), "--label", label, *map(str, more)])


def ranked(run, tmp_path, *more, label="mass"):
    assert rank(run, "--csv", tmp_path / "rank.csv", "-q", *more, label=label) == 0
    return pd.read_csv(tmp_path / "rank.csv", keep_default_na=False, na_values=[""])


@pytest.mark.parametrize(("top", "lines"), [((), 10), (("--top", 3), 3), (("--top", 40), 40), (("--top", "all"), 64)])
def test_any_number_of_latents_is_printed(folder, capsys, top, lines):
    assert rank(folder / "a", *top) == 0
    assert (
        sum(line.split()[0].isdigit() for line in capsys.readouterr().out.splitlines()) == lines + 1
    )  # and the images


@pytest.mark.parametrize("top", ["0", "-3", "ten"])
def test_a_number_of_latents_without_meaning_is_wrong_usage(folder, capsys, top):
    assert rank(folder / "a", "--top", top) == 2
    assert "is not a whole number above zero, or 'all'" in " ".join(capsys.readouterr().err.split())


def test_one_row_a_latent_with_the_scores_of_class_1(folder, tmp_path, capsys):
    table = ranked(folder / "a", tmp_path)
    assert capsys.readouterr() == ("", "")
    assert list(table.columns[:4]) == ["rank", "latent", "score", "auroc"]
    assert list(table["rank"]) == list(range(1, tiny.LATENTS + 1))
    assert sorted(table["latent"]) == list(range(tiny.LATENTS))
    pooled = open_run(folder / "a").pooled("mean").toarray()[:, table["latent"]]
    diff = pooled[MASS == 1].mean(0) - pooled[MASS == 0].mean(0)
    np.testing.assert_allclose(table["score"], diff, atol=1e-12)
    assert list(table["latent"]) == list(table.sort_values(["score", "latent"], ascending=[False, True])["latent"])
    np.testing.assert_allclose(table["auroc"], [roc_auc_score(MASS, column) for column in pooled.T], atol=1e-12)
    assert table.loc[~table["live"], "score"].eq(0).all()
    record = json.loads((tmp_path / "rank.csv.json").read_text())
    assert record["settings"]["class"] == 1
    assert record["made_with"]["sae_sha256"] == open_run(folder / "a").info["sae_sha256"]
    assert record["notice"] == "research use only, not for diagnosis"
    assert str(folder) not in (tmp_path / "rank.csv.json").read_text()


def test_the_summary_names_the_best(folder, tmp_path, capsys):
    assert rank(folder / "a", "--csv", tmp_path / "rank.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    best = pd.read_csv(tmp_path / "rank.csv").iloc[0]
    assert lines[0].startswith("mass, class 1: ")
    assert lines[2].split()[:2] == ["1", str(best["latent"])]
    assert lines[-1].startswith("wrote")


@pytest.mark.parametrize("given", ["c", "2"])
def test_a_category_by_name_or_number(folder, tmp_path, given):
    table = ranked(folder / "a", tmp_path, "--class", given, label="density")
    pooled = open_run(folder / "a").pooled("mean").toarray()[:, table["latent"]]
    own = np.arange(COUNT) % 4 == 2
    np.testing.assert_allclose(table["score"], pooled[own].mean(0) - pooled[~own].mean(0), atol=1e-12)


def test_a_split_and_a_plain_score(folder, tmp_path):
    table = ranked(folder / "a", tmp_path, "--split", "training", "--score", "mean", "--contrast", "class")
    pooled = open_run(folder / "a").pooled("mean").toarray()[:12, table["latent"]]
    np.testing.assert_allclose(table["score"], pooled[MASS[:12] == 1].mean(0), atol=1e-12)


@pytest.mark.parametrize(("given", "sign"), [("1", 1), ("0", -1)])
def test_attribution_takes_the_logit_of_the_class(folder, tmp_path, tiny_model, given, sign):
    options = ("--score", "attribution", "--model", tiny_model, "--class", given)
    table = ranked(folder / "a", tmp_path, *options)
    model = load_model(tiny_model, device="cpu")
    pooled = open_run(folder / "a").pooled("mean").toarray()[int(given) == MASS].mean(0)
    expected = sign * pooled * model.attribution[model.classes.index("mass")]
    np.testing.assert_allclose(table["score"], expected[table["latent"]], atol=1e-12)


def test_against_another_run(folder, tmp_path, capsys):
    assert rank(folder / "b", "--against", folder / "a", "--csv", tmp_path / "b.csv") == 0
    said = capsys.readouterr().out
    assert "Spearman" in said
    table = pd.read_csv(tmp_path / "b.csv")
    other = ranked(folder / "a", tmp_path).set_index("latent")["score"]
    scored = table["place"].notna()
    np.testing.assert_allclose(table.loc[scored, "score_against"], other[table.loc[scored, "latent"]])
    np.testing.assert_array_equal(
        table.loc[scored, "places_gained"], table.loc[scored, "place_against"] - table.loc[scored, "place"]
    )
    assert list(table.loc[scored, "place"]) == list(range(1, scored.sum() + 1))
    record = json.loads((tmp_path / "b.csv.json").read_text())["comparison"]
    live = table.loc[scored]
    expected = live["score"].corr(live["score_against"], method="spearman")
    assert record["spearman"] == pytest.approx(expected, abs=1e-12)
    assert [step["k"] for step in record["overlap"]] == [1, 5, 10, 20, 50]
    best = [set(t["latent"][:10]) for t in (table, ranked(folder / "a", tmp_path))]
    assert record["overlap"][2]["shared"] == len(best[0] & best[1])


def test_against_its_own_table_and_a_published_list(folder, tmp_path):
    table = ranked(folder / "a", tmp_path)
    shutil.copy(tmp_path / "rank.csv", tmp_path / "own.csv")
    (tmp_path / "list.json").write_text(
        json.dumps(
            [
                {"rank": int(row["rank"]) - 1, "index": int(row["latent"]), "importance": row["score"]}
                for _, row in table.iterrows()
            ]
        )
    )
    for name in ("own.csv", "list.json"):
        again = ranked(folder / "a", tmp_path, "--against", tmp_path / name)
        assert again["places_gained"].dropna().eq(0).all()
        assert json.loads((tmp_path / "rank.csv.json").read_text())["comparison"]["spearman"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--class", "2"], "no class '2'"),
        (["--split", "none"], "no split 'none'"),
        (["--against", "{}/c"], "different SAEs"),
        (["--against", "{}/gone.csv"], "gone.csv: no such file"),
    ],
)
def test_what_cannot_be_ranked(folder, tmp_path, capsys, more, reason):
    more = [word.format(folder) for word in more]
    assert rank(folder / "a", "--csv", tmp_path / "rank.csv", *more) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert not (tmp_path / "rank.csv").exists()


def test_an_unknown_score_is_wrong_usage(folder, tmp_path, capsys):
    assert rank(folder / "a", "--csv", tmp_path / "rank.csv", "--score", "best") == 2
    said = capsys.readouterr().err
    assert said.startswith("Usage: napari-mammosae rank")
    assert "'--score': the score 'best' is unknown; choose one of diff, mean" in said
    assert not (tmp_path / "rank.csv").exists()


def test_several_classes_need_a_choice(folder, capsys):
    assert rank(folder / "a", label="density") == 1
    assert "0 (a), 1 (b), 2 (c), 3 (d)" in capsys.readouterr().err
    assert rank(folder / "a", label="birads") == 1

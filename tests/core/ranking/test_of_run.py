"""Rankings of a run from objects: columns, provenance, what they are compared with."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import tiny
from napari_mammosae.core.base.errors import RunError, SettingsError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.ranking.compare import compare_with
from napari_mammosae.core.ranking.of_run import rank, rank_classes
from napari_mammosae.core.ranking.orders import Ranking
from napari_mammosae.core.runs.opening import open_run


@pytest.fixture(scope="module")
def run(run_path):
    return open_run(run_path)


def test_a_ranking_has_the_columns_others_rely_on_and_its_provenance(run):
    table = rank(run, "mass", score="auroc", intervals=0)
    assert list(table.columns[:4]) == ["rank", "latent", "score", "auroc"]
    pooled, truth = run.pooled("mean").toarray(), run.label("mass")
    expected = [roc_auc_score(truth, pooled[:, latent]) for latent in table["latent"]]
    np.testing.assert_allclose(table["score"], expected, atol=1e-12)
    record = table.attrs["provenance"]
    assert record["settings"] == {
        "run": "run", "label": "mass", "class": 1, "score": "auroc", "contrast": None, "split": None, "unit": "image",
        "intervals": 0,
    }  # fmt: skip
    assert record["made_with"]["sae_sha256"] == run.info["sae_sha256"]


def test_without_a_label_all_images_count(run):
    table = rank(run, score="std")
    np.testing.assert_allclose(table["score"], run.pooled("mean").toarray().std(axis=0)[table["latent"]], atol=1e-12)
    with pytest.raises(SettingsError, match="compares classes of a label"):
        rank(run, score="auroc")


def test_every_class_against_the_rest(run):
    pooled, density = run.pooled("mean").toarray(), run.label("density")
    rankings = rank_classes(run, "density", "diff")
    assert list(rankings) == [0, 1]
    for number, ranking in rankings.items():
        diff = pooled[density == number].mean(0) - pooled[density != number].mean(0)
        np.testing.assert_allclose(ranking.scores, diff, atol=1e-12)
    with pytest.raises(SettingsError, match="needs the model"):
        rank_classes(run, "mass", "attribution")


def test_the_model_must_be_the_runs(run, tmp_path):
    other = load_model(tiny.write_model(tmp_path, seed=8), device="cpu")
    with pytest.raises(RunError, match="another model"):
        rank(run, "mass", model=other)


def test_a_ranking_against_itself_moves_nothing(run, tmp_path):
    table = rank(run, "mass", intervals=0)
    found = compare_with(table, run, run, "mass")
    assert found.spearman == pytest.approx(1)
    moved = found.with_moves(table)
    assert moved["places_gained"].dropna().eq(0).all()
    assert moved["latent"].tolist() == table["latent"].tolist()
    table.to_csv(tmp_path / "own.csv", index=False)
    assert compare_with(table, run, tmp_path / "own.csv", "mass").kendall == pytest.approx(1)


def test_a_table_is_a_ranking_when_it_holds_every_latent_once():
    table = pd.DataFrame({"latent": [2, 0, 1], "score": [0.5, 0.4, 0.3]})
    ranking = Ranking.of_table(table)
    assert ranking.order.tolist() == [2, 0, 1]
    assert ranking.scores.tolist() == [0.4, 0.3, 0.5]
    with pytest.raises(SettingsError, match="each latent once"):
        Ranking.of_table(table.head(2))

import numpy as np
import pytest
import scipy.sparse
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.comparison.models import ModelSide, compare_models, separation_of
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.effects import curve_table
from napari_mammosae.core.ranking.scores import LabelledPool
from napari_mammosae.core.reports.comparison_figures import plot_class_means, plot_performance
from napari_mammosae.core.reports.intervention_figures import plot_curves


def side_of(name, strength, seed=0, silent=(), n=80, h=12, labels=None):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n).astype(float) if labels is None else labels
    dense = np.maximum(rng.normal(0, 1, (n, h)), 0)
    dense[:, 3] += strength * (y == 1)
    dense[:, list(silent)] = 0
    logits = dense[:, 3] - strength / 2
    return ModelSide.of(name, LabelledPool(scipy.sparse.csc_array(dense), y), logits, logits + 0.1), dense, y


def test_each_latent_is_set_beside_itself():
    a, dense_a, y_a = side_of("pretrained", 0.1, silent=[0, 5])
    b, dense_b, y_b = side_of("finetuned", 3.0, 1, silent=[0, 6], n=100)
    found = compare_models(a, b)
    table = found.latents.set_index("latent")
    assert sorted(table.index) == [i for i in range(12) if i != 0]
    assert table.loc[5, "state"] == "gained"
    assert table.loc[6, "state"] == "lost"
    assert (table.drop(index=[5, 6])["state"] == "both").all()
    for suffix, dense, y in (("a", dense_a, y_a), ("b", dense_b, y_b)):
        for latent in table.index:
            column = dense[:, latent]
            assert table.loc[latent, f"mean_class_{suffix}"] == pytest.approx(column[y == 1].mean())
            assert table.loc[latent, f"mean_rest_{suffix}"] == pytest.approx(column[y == 0].mean())
            assert table.loc[latent, f"auroc_{suffix}"] == pytest.approx(roc_auc_score(y, column))
    assert (table["change"] == table["diff_b"] - table["diff_a"]).all()
    assert table["change"].abs().is_monotonic_decreasing
    assert table.index[0] == 3


def test_separation_is_that_of_the_mean_vectors():
    a, dense, y = side_of("a", 2.0)
    own, rest = dense[y == 1].mean(0), dense[y == 0].mean(0)
    found = separation_of(a)
    assert found["distance"] == pytest.approx(np.linalg.norm(own - rest))
    assert found["relative"] == pytest.approx(
        2 * np.linalg.norm(own - rest) / (np.linalg.norm(own) + np.linalg.norm(rest))
    )
    assert found["cosine"] == pytest.approx(own @ rest / np.linalg.norm(own) / np.linalg.norm(rest))
    assert found["largest_latent"] == 3
    assert found["largest"] == pytest.approx((own - rest)[3])
    silent = side_of("silent", 0.0, silent=range(12))[0]
    assert np.isnan([separation_of(silent)["relative"], separation_of(silent)["cosine"]]).all()


def test_performance_has_both_models_with_and_without_sae():
    a, b = side_of("a", 0.1)[0], side_of("b", 3.0, 1)[0]
    found = compare_models(a, b).performance
    assert found["model"].tolist() == ["a", "a", "b", "b"]
    assert found["prediction"].tolist() == ["without SAE", "with SAE"] * 2
    assert (found["auroc_lo"] <= found["auroc"]).all()
    assert (found["auroc"] <= found["auroc_hi"]).all()
    assert found.loc[0, "auroc"] == pytest.approx(roc_auc_score(a.pool.labels, a.logits[:, 0]))
    without = [ModelSide.of(side.name, side.pool) for side in (a, b)]
    assert compare_models(*without).performance.empty


def test_several_classes_are_compared_one_against_the_rest():
    labels = np.arange(80) % 4
    a, dense, _ = side_of("a", 0.0, labels=labels.astype(float))
    logits = np.eye(4)[labels]
    several = ModelSide.of("a", a.pool, logits, logits)
    found = compare_models(several, several, label=2)
    assert (found.latents["change"] == 0).all()
    row = found.latents.set_index("latent").loc[4]
    assert row["mean_class_a"] == pytest.approx(dense[labels == 2, 4].mean())
    assert found.performance["macro_f1"].tolist() == [1.0] * 4


def test_images_of_unknown_label_are_left_out():
    labels = np.where(np.arange(80) % 5, np.arange(80) % 2, np.nan)
    side = side_of("a", 1.0, labels=labels)[0]
    assert side.pool.mean.shape[0] == side.logits.shape[0] == 64


def test_models_that_cannot_be_compared_say_why():
    a = side_of("a", 1.0)[0]
    with pytest.raises(SettingsError, match="one SAE"):
        compare_models(a, side_of("b", 1.0, h=13)[0])
    with pytest.raises(SettingsError, match="class 5"):
        compare_models(a, a, label=5)
    with pytest.raises(SettingsError, match="contrast needs others"):
        compare_models(a, side_of("b", 1.0, labels=np.ones(80))[0])
    with pytest.raises(SettingsError, match="no labels"):
        ModelSide.of("a", LabelledPool(scipy.sparse.csc_array((4, 3))))
    with pytest.raises(SettingsError, match="3 images and 80 labels"):
        ModelSide.of("a", a.pool, np.zeros(3))


SIGNATURES = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def curves():
    rng = np.random.default_rng(0)
    dense, labels = np.maximum(rng.normal(0, 1, (60, 9)), 0), rng.integers(0, 2, 60).astype(float)
    cohort = Cohort.of(dense, rng.normal(0, 1, 9), 0.1, labels)
    return curve_table(cohort, np.arange(1, 10), [0, 1, 3, 9])


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_figures_are_written_in_each_format_with_their_origin(tmp_path, suffix):
    comparison = compare_models(side_of("pretrained", 0.1)[0], side_of("finetuned", 3.0, 1)[0])
    drawn = {
        "curves": lambda path: plot_curves({"diff": curves()}, path, provenance="model abc123"),
        "means": lambda path: plot_class_means(comparison, path, provenance="model abc123"),
        "auroc": lambda path: plot_performance(comparison, path, provenance="model abc123"),
    }
    for name, draw in drawn.items():
        path = tmp_path / f"{name}{suffix}"
        draw(path)
        assert path.read_bytes().startswith(SIGNATURES[suffix])
        if suffix == ".svg":
            text = path.read_text()
            assert "model abc123" in text
            assert "research use only" in text
        first = path.read_bytes()
        draw(path)
        assert path.read_bytes() == first or suffix == ".svg"  # SVG numbers its parts at random
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}{suffix}" for name in drawn)


def test_figures_that_cannot_be_drawn_say_why(tmp_path):
    with pytest.raises(SettingsError, match=r"curve\.gif"):
        plot_curves({"diff": curves()}, tmp_path / "curve.gif")
    with pytest.raises(SettingsError, match="macro_f1"):
        plot_curves({"diff": curves()}, tmp_path / "curve.png", measure="macro_f1")
    side = side_of("a", 1.0)[0]
    bare = ModelSide.of("a", side.pool)
    plot_performance(compare_models(bare, bare), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


@pytest.mark.parametrize("label", [0, 1])
def test_the_class_in_question_is_measured(label):
    y = (np.arange(80) % 4 == 0).astype(float)
    side, _, _ = side_of("a", 1.0, labels=y)
    side.logits[:3] = 0  # decides for class 1
    found = compare_models(side, side, label).performance.iloc[0]
    truth, logits = y == label, side.logits[:, 0] if label else -side.logits[:, 0]
    decided = (side.logits[:, 0] >= 0) == label
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, logits))
    assert found["auprc"] == pytest.approx(average_precision_score(truth, logits))
    assert found["accuracy"] == pytest.approx((decided == truth).mean())
    assert found["precision"] == pytest.approx(precision_score(truth, decided))
    assert found["recall"] == pytest.approx(recall_score(truth, decided))


def test_means_of_classes_need_no_prediction():
    labels = np.arange(80) % 4 + 1.0
    side, dense, _ = side_of("a", 0.0, labels=labels)
    logits = np.zeros((80, 4))
    found = compare_models(*[ModelSide.of("a", side.pool, logits, logits)] * 2, label=4)
    assert found.performance.empty
    assert "the predictions of a are not measured: a label is not a class number from 0 to 3" in found.notes[0]
    assert found.latents.set_index("latent").loc[4, "mean_class_a"] == pytest.approx(dense[labels == 4, 4].mean())

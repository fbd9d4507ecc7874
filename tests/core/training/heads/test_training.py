"""Heads trained on a run's pooled channels: what they are worth, and that they are exactly linear."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from head_kit import PHANTOM_RUN, write_run_of
from napari_mammosae.core.base.errors import CheckpointError, FindingsError, ModelError, RunError, SettingsError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.phantoms.phantom import make_phantom
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.training.heads import logistic
from napari_mammosae.core.training.heads.files import save_heads
from napari_mammosae.core.training.heads.training import train_head

STRUCTURES = ("nipple", "marker", "clip")
"""What no classifier names."""


@pytest.fixture(autouse=True)
def _few_strengths(monkeypatch):
    """Try few strengths, which is quick; the heads of phantoms are trained before and try all."""
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01, 1.0))


@pytest.fixture(scope="module")
def phantoms():
    return open_run(PHANTOM_RUN)


@pytest.fixture(scope="module")
def trained(phantoms):
    return {label: train_head(phantoms, label, folds=3) for label in STRUCTURES}


@pytest.mark.slow
@pytest.mark.parametrize("label", STRUCTURES)
def test_auroc_of_a_structure_is_that_of_scikit_learn(phantoms, trained, label):
    table = pd.read_parquet(PHANTOM_RUN / "images.parquet")
    truth, row = table[f"label.{label}"].to_numpy(), trained[label].table().iloc[0]
    assert row["auroc"] == pytest.approx(roc_auc_score(truth, trained[label].scores[:, 0]), abs=1e-12)
    assert (row["positives"], row["negatives"]) == (truth.sum(), (1 - truth).sum())
    assert (row["images"], row["patients"]) == (160, 40)
    assert row["positive_patients"] == table["patient"][truth == 1].nunique()
    patients = table["patient"].to_numpy()
    rng, of = np.random.default_rng(7), {name: np.flatnonzero(patients == name) for name in set(patients)}
    drawn = [np.concatenate([of[name] for name in rng.choice(list(of), 40)]) for _ in range(300)]
    areas = [roc_auc_score(truth[rows], trained[label].scores[rows, 0]) for rows in drawn if truth[rows].any()]
    np.testing.assert_allclose([row["auroc_lo"], row["auroc_hi"]], np.quantile(areas, [0.025, 0.975]), atol=0.04)
    assert row["auroc_lo"] < row["auroc"] <= row["auroc_hi"]


def test_scores_and_weights_are_those_of_a_pipeline(phantoms, monkeypatch):
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01,))
    found = train_head(phantoms, "marker", folds=4, seed=3)
    table = pd.read_parquet(PHANTOM_RUN / "images.parquet")
    x, y = phantoms.features().astype(float), table["label.marker"].to_numpy()
    layer = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=3)
    scores = cross_val_predict(layer, x, y, groups=table["patient"], cv=folds, method="decision_function")
    np.testing.assert_allclose(found.scores[:, 0], scores, atol=1e-9)
    assert found.table()["auroc"][0] == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
    np.testing.assert_allclose(phantoms.logits_of(found.head)[:, 0], layer.fit(x, y).decision_function(x), atol=1e-9)


def test_the_strength_has_the_least_log_loss_on_patients_left_out(phantoms, monkeypatch):
    choices = (1e-4, 1e-2, 1.0)
    monkeypatch.setattr(logistic, "STRENGTHS", choices)
    found = train_head(phantoms, "nipple", folds=2)
    table = pd.read_parquet(PHANTOM_RUN / "images.parquet")
    inner = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    losses = [
        -cross_val_score(
            make_pipeline(StandardScaler(), LogisticRegression(C=c)), phantoms.features().astype(float),
            table["label.nipple"], groups=table["patient"], cv=inner, scoring="neg_log_loss",
        ).mean()
        for c in choices
    ]  # fmt: skip
    assert found.strength == choices[int(np.argmin(losses))]


def test_the_ledger_of_a_phantom_is_exact(trained):
    model = load_model("demo", device="cpu")
    image = read_mammogram(make_phantom(42, marker=True, clip=True).pixels, image_id="phantom")
    for one in trained.values():
        model.add_head(one.head)
    maps = compute_latents(model, image)
    means = maps.pooled_mean.astype(np.float64)
    decoder, bias = (getattr(model.sae, name).double().numpy() for name in ("decoder_weight", "tied_bias"))
    attribution, constant = model.linear_tail()
    pooled = model.features(image.to_input(model.preprocessing))[0].double().numpy().mean(axis=(1, 2))
    for label in STRUCTURES:
        place, head = model.classes.index(label), trained[label].head
        ledger = np.sort(attribution[place] * means)
        decoded = head.weight[0] @ (decoder @ means + bias) + head.bias[0]
        assert constant[place] + ledger.sum() == pytest.approx(decoded, abs=1e-9)
        assert maps.logits_sae[place] == pytest.approx(decoded, abs=1e-5)  # of latents before they are rounded
        assert maps.logits[place] == pytest.approx(head.weight[0] @ pooled + head.bias[0], abs=1e-9)


def test_saved_heads_are_heads_of_the_model(trained, tmp_path):
    plain = load_model("demo", device="cpu")
    toml = trained["nipple"].save(tmp_path / "heads")
    assert trained["marker"].save(tmp_path / "heads") == toml
    again = load_model(toml, device="cpu")
    assert again.classes == (*plain.classes, "nipple", "marker")
    assert (again.model_sha256, again.sae_sha256) == (plain.model_sha256, plain.sae_sha256)
    for head in again.heads[1:]:
        np.testing.assert_array_equal(head.weight, trained[head.name].head.weight)
        np.testing.assert_array_equal(head.bias, trained[head.name].head.bias)
    table = pd.read_csv(tmp_path / "heads" / "heads.csv")
    assert table["label"].tolist() == ["nipple", "marker"]
    assert table["auroc"][1] == trained["marker"].table()["auroc"][0]
    save_heads([trained["clip"]], tmp_path / "heads", toml)  # the model with the heads itself is named
    assert load_model(toml, device="cpu").classes[2:] == ("nipple", "marker", "clip")
    with pytest.raises(SettingsError, match="has a head 'clip' already"):
        trained["clip"].save(tmp_path / "more", toml)


def test_a_head_of_another_model_is_refused(trained, tmp_path, tiny_model):
    toml = trained["nipple"].save(tmp_path / "heads")
    shutil.copytree(tiny_model.parent, tmp_path / "tiny")
    toml.write_text(toml.read_text().replace('"demo"', '"../tiny/model.toml"'))
    with pytest.raises(CheckpointError, match=r"nipple\.safetensors|head 'nipple' reads"):
        load_model(toml, device="cpu")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('base = "model.toml"', "names itself as its base"),
        ('base = "demmo"', "did you mean demo"),
        ('base = "demo"\nlayer = "blocks.3"', "layer is that of its base"),
        ('base = "demo"\n[[head]]\nname = "nipple"', "the head 'nipple' has no file"),
    ],
)
def test_a_model_file_with_a_base_says_what_is_wrong(tmp_path, line, said):
    (tmp_path / "model.toml").write_text(line)
    with pytest.raises(ModelError, match=said):
        load_model(tmp_path / "model.toml", device="cpu")


# Labels of other kinds, on channels that are made up


def made_up(folder: Path, n: int = 120, **labels: object):
    """A run of three images a patient; the first two channels tell two things, the others are noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 6))
    features[:, 5] = 3.0  # does not vary
    severity = features[:, 0] + 0.3 * rng.normal(size=n)
    return write_run_of(
        folder, features, [f"p{i // 3}" for i in range(n)],
        {"birads": np.digitize(severity, [-0.8, 0, 0.8, 1.6]) + 1.0} | labels,
    )  # fmt: skip


def test_a_label_of_several_classes_is_one_softmax(tmp_path):
    run = made_up(tmp_path / "run")
    found = train_head(run, "birads")
    assert found.head.classes == tuple(f"birads_{n}" for n in range(1, 6))
    assert found.head.task == "multiclass"
    truth, rows = run.label("birads"), found.table()
    for place, row in rows.iterrows():
        assert row["auroc"] == pytest.approx(roc_auc_score(truth == place + 1, found.scores[:, place]), abs=1e-12)
    assert found.provenance["accuracy"] == accuracy_score(truth, found.scores.argmax(axis=1) + 1)
    np.testing.assert_allclose(np.exp(found.scores).sum(axis=1), 1)
    assert rows["auroc"].min() > 0.7


@pytest.mark.parametrize("word", ["at least 4", "birads>=4", ">=4", "birads = at least 4"])
def test_a_threshold_makes_two_classes(tmp_path, word):
    from napari_mammosae.core.annotations.positives import parse_positive

    made_up(tmp_path / "run")
    plain = open_run(tmp_path / "run")
    run = open_run(tmp_path / "run", positive=parse_positive([word], "birads"))
    np.testing.assert_array_equal(run.label("birads"), plain.label("birads") >= 4)
    found = train_head(run, "birads")
    assert found.head.classes == ("birads_at_least_4",)
    assert found.table()["auroc"][0] == pytest.approx(
        roc_auc_score(plain.label("birads") >= 4, found.scores[:, 0]), abs=1e-12
    )


def test_labels_may_come_from_a_table(tmp_path):
    run = made_up(tmp_path / "run")
    rows = pd.DataFrame({"image": run.images["image_id"], "density": [*"abcd"] * 30, "birads": run.label("birads")})
    rows.iloc[:100].to_csv(tmp_path / "labels.csv", index=False)
    found = train_head(run, "birads", labels=tmp_path / "labels.csv", positive={"birads": "at least 3"})
    assert found.head.classes == ("birads_at_least_3",)
    assert found.table()["images"][0] == 100
    assert found.table()["positives"][0] == (run.label("birads")[:100] >= 3).sum()
    assert train_head(run, "density", labels=tmp_path / "labels.csv").head.classes[2] == "density_c"


def test_patients_are_never_on_both_sides(tmp_path):
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 4)
    marks = rng.normal(size=(40, 30))  # tell patients apart and nothing else
    label = rng.permutation(np.repeat([0.0, 1.0], 20))[patients]
    run = write_run_of(tmp_path / "run", marks[patients], [f"p{i}" for i in patients], {"chance": label})
    found = train_head(run, "chance")
    assert 0.15 < found.table()["auroc"][0] < 0.85  # it would be 1 by folds of images
    assert roc_auc_score(label, run.logits_of(found.head)[:, 0]) > 0.9


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("rare", r"too few patients with an image with 'rare' \(3; at least 5 needed\)"),
        ("always", r"too few patients with an image without 'always' \(0; at least 5 needed\)"),
        ("age", "'age' is a number, not a class"),
        ("grade", "with an image of the class '3' of 'grade'.*Make two classes of it with --positive"),
        ("unheard", "no label 'unheard'; there are birads, rare"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(tmp_path, label, said):
    g = np.arange(120)
    run = made_up(
        tmp_path / "run", rare=(g < 9) * 1.0, always=np.ones(120), age=g + 40.5, grade=np.where(g < 4, 3.0, g % 3)
    )
    with pytest.raises(SettingsError, match=said):
        train_head(run, label)


def test_a_run_without_channels_says_what_to_do(tmp_path):
    run = made_up(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "features")
    with pytest.raises(RunError, match=r"lacks features/part-00000\.parquet.*Make the run again"):
        train_head(run, "birads")
    run.info["format"] = 1
    with pytest.raises(RunError, match="keeps no pooled channels; make the run again"):
        train_head(run, "birads")
    with pytest.raises(FindingsError, match=r"none\.csv"):
        train_head(run, "birads", labels=tmp_path / "none.csv")


def test_a_class_that_the_model_has_gets_another_name(tmp_path):
    run = made_up(tmp_path / "run", mass=np.arange(120) % 2.0)
    assert train_head(run, "mass").head.classes == ("mass_trained",)

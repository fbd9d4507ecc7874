"""Which logit speaks for which class of a label: one rule for the core, the command and the dock."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import runs_kit
import tiny
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import RunError, SettingsError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.ranking.of_run import RankingChoice, attribution_of, rank
from napari_mammosae.core.runs.classes import class_number, logit_of, logits_of_label, predictions_of
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.predictions import decisions, probabilities
from napari_mammosae.viewer.latents import tasks
from napari_mammosae.viewer.runs.image_columns import wrong_predictions

COUNT = 12
TRUTH = {
    "mass": np.arange(COUNT) % 2,
    "suspicious_calcification": (np.arange(COUNT) % 3 == 0).astype(int),
    "density": np.arange(COUNT) % 4,
}
CLASSES = {"mass": (0, 1), "suspicious_calcification": (0, 1), "density": (0, 1, 2, 3)}
DENSITIES = {("density", i): (f"density_{letter}", 1) for i, letter in enumerate("abcd")}


def either_way(label: str, logit: str) -> dict:
    return {(label, 1): (logit, 1), (label, 0): (logit, -1)}


@dataclass
class Case:
    """A model, and by hand: for which (label, class) which logit speaks, with which sign; for the others none."""

    task: str
    classes: tuple[str, ...]
    speaks: dict


CASES = {
    "unnamed": Case("binary", ("finding",), either_way("mass", "finding")
                    | either_way("suspicious_calcification", "finding")),
    "binary": Case("binary", ("mass",), either_way("mass", "mass")),
    "multilabel": Case("multilabel", ("suspicious_calcification", "mass"), either_way("mass", "mass")
                       | either_way("suspicious_calcification", "suspicious_calcification")),
    "categories": Case("multilabel", ("mass", *(f"density_{c}" for c in "abcd")), either_way("mass", "mass")
                       | DENSITIES),
    "multiclass": Case("multiclass", tuple(f"density_{c}" for c in "abcd"), DENSITIES),
    "scrambled": Case("multiclass", tuple(f"density_{c}" for c in "dacb"), DENSITIES),
    "one of several": Case("multiclass", ("normal", "mass"), {("mass", 1): ("mass", 1)}),
}  # fmt: skip
QUESTIONS = [(name, label, number) for name in CASES for label, numbers in CLASSES.items() for number in numbers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run and a model for each case, over the same images."""
    folder = tmp_path_factory.mktemp("classes")
    runs_kit.write_images(folder / "images", COUNT)
    table = pd.DataFrame({"image_id": [f"image-{i:03d}" for i in range(COUNT)]} | TRUTH)
    table["density"] = [list("ABCD")[i] for i in TRUTH["density"]]
    table.to_csv(folder / "labels.csv", index=False)
    for name, case in CASES.items():
        toml = tiny.write_model(folder / "models" / name)
        weights = load_file(toml.parent / "classifier.safetensors")
        head = "classifier.classification_head."
        generator = torch.Generator().manual_seed(len(case.classes))
        width = weights[f"{head}weight"].shape[1]
        weights[f"{head}weight"] = torch.randn(len(case.classes), width, generator=generator)
        weights[f"{head}bias"] = torch.randn(len(case.classes), generator=generator)
        save_file(weights, toml.parent / "classifier.safetensors")
        toml.write_text(
            f'name = "tiny"\nclassifier = "classifier.safetensors"\nsae = "sae.safetensors"\ntask = "{case.task}"\n'
            f"classes = {list(case.classes)}\ninput_size = [190, 114]\n"
        )
        write_run(folder / "images", load_model(toml, device="cpu"), folder / name, labels=folder / "labels.csv",
                 workers=0)  # fmt: skip
    return folder


def contribution(folder: Path, name: str, logit: str) -> np.ndarray:
    """What a unit of each latent adds to a logit, from the weights in the files."""
    files = folder / "models" / name
    head = load_file(files / "classifier.safetensors")["classifier.classification_head.weight"].double().numpy()
    decoder = load_file(files / "sae.safetensors")["decoder_weight"].double().numpy()
    return head[CASES[name].classes.index(logit)] @ decoder


@pytest.mark.parametrize(("name", "label", "number"), QUESTIONS)
def test_command_core_and_dock_agree(folder, tmp_path, capsys, name, label, number):
    run, toml = open_run(folder / name), folder / "models" / name / "model.toml"
    model, choice = load_model(toml, device="cpu"), RankingChoice(label, number, "attribution")
    words = ["rank", str(run.path), "--label", label, "--class", str(number), "--score", "attribution"]
    words += ["--model", str(toml), "--csv", str(tmp_path / "rank.csv"), "-q"]
    if (label, number) not in CASES[name].speaks:
        with pytest.raises(SettingsError, match=label):
            rank(run, label, category=number, score="attribution", model=model)
        assert attribution_of(model, run, choice) is None
        assert main(words) == 1
        assert capsys.readouterr().err.count("\n") == 1
        return
    logit, sign = CASES[name].speaks[label, number]
    rows = TRUTH[label] == number
    expected = sign * contribution(folder, name, logit) * run.pooled("mean").toarray()[rows].mean(axis=0)
    table = rank(run, label, category=number, score="attribution", model=model).set_index("latent")["score"]
    np.testing.assert_allclose(table.sort_index(), expected, atol=1e-9)
    assert main(words) == 0
    written = pd.read_csv(tmp_path / "rank.csv").set_index("latent")["score"]
    np.testing.assert_allclose(written.sort_index(), expected, atol=1e-9)
    columns = tasks.rank(run, choice, attribution_of(model, run, choice), lambda *_: None)
    np.testing.assert_allclose(columns["run.attribution"], expected, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_decisions_are_those_of_the_logits_that_speak(folder, name):
    run, case = open_run(folder / name), CASES[name]
    by_name = dict(zip(case.classes, run.logits.T, strict=True))
    expected = {}
    if "density_a" in by_name:
        expected["density"] = np.stack([by_name[f"density_{c}"] for c in "abcd"]).argmax(axis=0)
    if name == "one of several":
        expected["mass"] = (by_name["mass"] > by_name["normal"]).astype(int)
    elif name == "unnamed":
        expected |= dict.fromkeys(("mass", "suspicious_calcification"), (by_name["finding"] >= 0).astype(int))
    else:
        expected |= {label: (by_name[label] >= 0).astype(int) for label in CLASSES if label in by_name}
    wrong = wrong_predictions(run)
    assert set(wrong) == set(expected)
    for label, decided in expected.items():
        np.testing.assert_array_equal(predictions_of(run, label), decided)
        np.testing.assert_array_equal(wrong[label], decided != TRUTH[label])


def test_logits_are_scored_in_the_order_of_the_classes(folder):
    assert logits_of_label(open_run(folder / "scrambled"), "density").places == (1, 3, 2, 0)
    assert logits_of_label(open_run(folder / "categories"), "density").places == (1, 2, 3, 4)
    assert logits_of_label(open_run(folder / "multilabel"), "mass").places == (1,)
    assert logits_of_label(open_run(folder / "unnamed"), "mass").places == (0,)
    for name, label in (("binary", "suspicious_calcification"), ("unnamed", "density"), ("one of several", "mass")):
        with pytest.raises(SettingsError, match=label):
            logits_of_label(open_run(folder / name), label)
    with pytest.raises(RunError, match="no label 'cancer'"):
        logits_of_label(open_run(folder / "unnamed"), "cancer")


def test_logits_without_a_class_in_the_run_come_last():
    run = SimpleNamespace(
        path=Path("run"), classes=("density_c", "density_b", "density_a"), task="multiclass",
        info={"categories": {"density": ["a", "b"]}}, label=lambda name: np.array([0.0, 1.0, np.nan]),
        logits=np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0], [9.0, 3.0, 2.0]]),
    )  # fmt: skip
    assert logits_of_label(run, "density").places == (2, 1, 0)
    assert predictions_of(run, "density").tolist() == [0, 1, 2]
    run.info = {}  # numbers instead of names: the classes are counted as they stand
    assert logits_of_label(run, "density").places == (0, 1, 2)
    run.label = lambda name: np.array([1.0, 5.0])
    run.classes, run.task = ("finding",), "binary"
    with pytest.raises(SettingsError, match="its classes 1, 5"):
        logits_of_label(run, "birads")


def test_a_category_without_a_logit_is_refused():
    model = SimpleNamespace(classes=("density_a", "density_b"), task="multiclass")
    with pytest.raises(SettingsError, match=r"class 2 \(dense\) of 'density'; the model predicts density_a, density_b"):
        logit_of(model, "density", 2, ["a", "b", "dense"])
    with pytest.raises(SettingsError, match="predicts nothing"):
        logit_of(SimpleNamespace(classes=(), task="binary"), "mass", 1)


def test_two_names_are_two_classes_and_more_are_not():
    model = SimpleNamespace(classes=("density", "finding"), task="multilabel")
    assert logit_of(model, "density", 0, ["not dense", "dense"]).sign == -1
    with pytest.raises(SettingsError, match=r"'density' has the values dense, fatty.*--positive VALUE"):
        logit_of(model, "density", 0, ["dense", "fatty"])
    with pytest.raises(SettingsError, match="'density'"):
        logit_of(model, "density", 1, ["a", "b", "c", "d"])
    finding = SimpleNamespace(classes=("finding",), task="binary")
    assert logit_of(finding, "outcome", 0, ["malignant", "normal"]).sign == 1
    assert logit_of(finding, "outcome", 1, ["malignant", "normal"]).sign == -1
    with pytest.raises(SettingsError, match="'outcome'"):  # which of the two would the finding be?
        logit_of(finding, "outcome", 1, ["oval", "round"])


@pytest.mark.parametrize("name", ["malignant", "outcome_malignant", "outcome"])
def test_a_class_called_as_the_positive_text_speaks_for_both(name):
    model = SimpleNamespace(classes=("mass", name), task="multilabel")
    for number, sign in ((0, -1), (1, 1)):
        found = logit_of(model, "outcome", number, ["normal", "malignant"])
        assert (found.logit, found.sign) == (1, sign)
    with pytest.raises(SettingsError, match="'outcome'"):
        logit_of(SimpleNamespace(classes=("benign",), task="multilabel"), "outcome", 1, ["normal", "malignant"])


def test_heads_are_asked_in_their_order():
    heads = [
        SimpleNamespace(classes=("mass",), task="binary"),
        SimpleNamespace(classes=("density_b", "density_a"), task="multiclass"),
        SimpleNamespace(classes=("mass", "nipple"), task="multiclass"),
    ]
    model = SimpleNamespace(
        heads=heads, task="binary", classes=tuple(name for head in heads for name in head.classes)
    )  # fmt: skip
    assert (logit_of(model, "mass", 0).logit, logit_of(model, "mass", 0).sign) == (0, -1)
    assert logit_of(model, "density", 0, ["a", "b"]).logit == 2
    assert logit_of(model, "nipple", 1).logit == 4
    with pytest.raises(SettingsError, match="nothing about class 0"):
        logit_of(model, "nipple", 0)
    with pytest.raises(SettingsError, match="cannot be scored against the label 'skin'"):
        logit_of(model, "skin", 1)


@pytest.mark.parametrize(
    ("label", "given", "number"),
    [("mass", None, 1), ("mass", "0", 0), ("mass", "Present", 1), ("density", "C", 2), ("density", 3, 3)],
)
def test_classes_go_by_number_or_name(folder, label, given, number):
    assert class_number(open_run(folder / "binary"), label, given) == number


def test_names_of_classes_count_before_numbers():
    values = np.arange(4.0)
    run = SimpleNamespace(
        path=Path("run"), info={"categories": {"birads": ["2", "4a", "4b", "5"]}}, label=lambda name: values
    )
    assert [class_number(run, "birads", name) for name in ("2", "4A", "5", 2)] == [0, 1, 3, 2]
    with pytest.raises(SettingsError, match="no class '0'"):
        class_number(run, "birads", "0")
    run.info, values = {}, np.array([-1.0, 1.0, 2.0])
    assert [class_number(run, "change", name) for name in ("-1", "1")] == [-1, 1]


@pytest.mark.parametrize(("label", "given"), [("mass", "2"), ("density", None), ("density", "e"), ("density", "-1")])
def test_unknown_classes_are_refused_with_those_there_are(folder, label, given):
    with pytest.raises(SettingsError, match=r"1 \(present\), 0 \(absent\)|0 \(a\), 1 \(b\), 2 \(c\), 3 \(d\)"):
        class_number(open_run(folder / "binary"), label, given)


def test_decisions_and_probabilities_at_the_edge():
    logits = np.array([-1e3, -1e-300, 0.0, 1e-300, 1e3])
    assert decisions(logits).tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(probabilities(logits, "binary"), [0, 0.5, 0.5, 0.5, 1])
    np.testing.assert_allclose(probabilities(np.log([[1.0, 3.0]]), "multiclass"), [[0.25, 0.75]])
    np.testing.assert_allclose(probabilities([[1e3, 1e3]], "multiclass"), [[0.5, 0.5]])

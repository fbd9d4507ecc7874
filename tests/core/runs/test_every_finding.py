"""All ten findings of VinDr-Mammo, density and BI-RADS: labels of a run, ranked, localised, scored by heads."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

import napari_mammosae as ms
import runs_kit
from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.base.names import slug
from napari_mammosae.core.intervention.of_run import cohort_of_run
from napari_mammosae.core.models.files.head_files import write_head
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.runs.classes import logits_of_label, predictions_of

FINDINGS = (
    "Mass", "Suspicious Calcification", "Asymmetry", "Focal Asymmetry", "Global Asymmetry", "Architectural Distortion",
    "Skin Thickening", "Skin Retraction", "Nipple Retraction", "Suspicious Lymph Node",
)  # fmt: skip
SLUGS = tuple(map(slug, FINDINGS))
HEADER = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)
COUNT = 24
DENSITY, BIRADS = np.arange(COUNT) % 4, np.arange(COUNT) % 5 + 1
HAS = {name: (np.arange(COUNT) * (place + 3) // 7) % 3 == 0 for place, name in enumerate(SLUGS)}


def table() -> str:
    lines = [HEADER]
    for i in range(COUNT):
        about = f"s{i // 2},x,image-{i:03d},L,CC,400,300,BI-RADS {BIRADS[i]},DENSITY {'ABCD'[DENSITY[i]]}"
        found = [name for name in FINDINGS if HAS[slug(name)][i]]
        split = "training" if i % 2 else "test"
        lines += [f"{about},\"['{name}']\",BI-RADS 4,20,90,120,{200 + i},{split}" for name in found]
        lines += [] if found else [f"{about},\"['No Finding']\",,,,,,{split}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model):
    """A run without the heads, the model with them, and the boxes."""
    folder = tmp_path_factory.mktemp("findings")
    runs_kit.write_images(folder / "images", COUNT)
    (folder / "finding_annotations.csv").write_text(table())
    boxes = folder / "finding_annotations.csv"
    run = ms.make_run(folder / "images", tiny_model, folder / "run", labels=boxes, workers=0, maps=True)
    rng, width, lines = np.random.default_rng(1), run.features().shape[1], [f'base = "{tiny_model.as_posix()}"']
    kinds = {name: ((name,), "binary") for name in SLUGS if name not in run.classes}
    kinds |= {"density": (tuple(f"density_{c}" for c in "abcd"), "multiclass")}
    kinds |= {"birads": (tuple(f"birads_{n}" for n in (3, 1, 2, 5, 4)), "multiclass")}
    for name, (classes, task) in kinds.items():
        head = Head(name, classes, task, rng.normal(size=(len(classes), width)), rng.normal(size=len(classes)))
        write_head(folder / f"{name}.safetensors", head, run.info["model_sha256"])
        lines.append(f'[[head]]\nname = "{name}"\nclasses = {list(classes)}\ntask = "{task}"')
        lines.append(f'file = "{name}.safetensors"')
    (folder / "model.toml").write_text("\n".join(lines))
    return run, ms.load_model(folder / "model.toml", device="cpu"), ms.read_findings(boxes)


def logits(run, model, *classes: str) -> np.ndarray:
    """Logits from the run's pooled channels and the weights."""
    places = [model.classes.index(name) for name in classes]
    return run.features().astype(float) @ model.head_weight[places].T + model.head_bias[places]


def test_all_are_labels_of_a_run(made):
    run, _, findings = made
    assert set(SLUGS) | {"density", "birads", "no_finding"} == set(run.labels)
    for name in SLUGS:
        np.testing.assert_array_equal(run.label(name), HAS[name])
    np.testing.assert_array_equal(run.label("density"), DENSITY)
    np.testing.assert_array_equal(run.label("birads"), BIRADS)
    assert run.info["categories"] == {"density": ["a", "b", "c", "d"]}
    assert set(findings.table["finding"]) >= set(SLUGS)


@pytest.mark.parametrize("finding", SLUGS)
def test_a_finding_is_ranked_localised_and_scored(made, finding):
    run, model, findings = made
    ranking, means = ms.rank(run, finding, model=model, intervals=0), run.pooled("mean").toarray()
    for _, row in ranking.head(3).iterrows():
        assert row["auroc"] == pytest.approx(roc_auc_score(HAS[finding], means[:, row["latent"]]))
    weight = model.head_weight[model.classes.index(finding)] @ model.sae.decoder_weight.double().numpy()
    first = ms.rank(run, finding, score="attribution", model=model, intervals=0).iloc[0]
    assert first["latent"] == np.argmax(weight * means[HAS[finding]].mean(axis=0))
    places = ms.localize(run, findings, finding=finding, resamples=0)
    assert set(places["finding"]) == {finding}
    assert places["images"].iloc[0] == HAS[finding].sum()
    curve = ms.sweep(run, model, finding, ks=[0], form="delta", modes=["zero"], intervals=False).table()
    expected = roc_auc_score(HAS[finding], logits(run, model, finding)[:, 0])
    assert curve["auroc"][0] == pytest.approx(expected, abs=1e-12)
    assert curve.attrs["provenance"]["settings"]["logits"] == [finding]


@pytest.mark.parametrize(
    ("label", "classes", "truth"),
    [
        ("density", [f"density_{c}" for c in "abcd"], DENSITY),
        ("birads", [f"birads_{n}" for n in range(1, 6)], BIRADS - 1),
    ],
)
def test_labels_of_several_classes_are_scored_by_a_softmax(made, label, classes, truth):
    run, model, _ = made
    own = logits(run, model, *classes)
    curve = ms.sweep(run, model, label, ks=[0], form="delta", modes=["zero"], intervals=False).table().iloc[0]
    assert curve["accuracy"] == accuracy_score(truth, own.argmax(axis=1))
    assert curve["macro_f1"] == pytest.approx(f1_score(truth, own.argmax(axis=1), average="macro"))
    cohort = cohort_of_run(run, model, label)
    np.testing.assert_allclose(cohort.logits, own, atol=1e-6)
    means, number = run.pooled("mean").toarray(), int(run.label(label)[2])
    place = model.classes.index(classes[truth[2]])
    weight = model.head_weight[place] @ model.sae.decoder_weight.double().numpy()
    best = ms.rank(run, label, category=number, score="attribution", model=model, intervals=0)["latent"][0]
    assert best == np.argmax(weight * means[run.label(label) == number].mean(axis=0))


def test_a_run_made_with_all_heads_decides_by_each_of_them(made, tmp_path):
    run, model, _ = made
    images = run.path.parent / "images"
    own = ms.make_run(images, model, tmp_path / "run", labels=run.path.parent / "finding_annotations.csv", workers=0)
    assert [head.task for head in own.heads] == ["multilabel", *["binary"] * 8, "multiclass", "multiclass"]
    classes = [f"birads_{n}" for n in range(1, 6)]
    np.testing.assert_array_equal(predictions_of(own, "birads"), logits(run, model, *classes).argmax(axis=1) + 1)
    for finding in SLUGS:
        np.testing.assert_array_equal(predictions_of(own, finding), logits(run, model, finding)[:, 0] >= 0)
    assert logits_of_label(own, "density").places == tuple(own.classes.index(f"density_{c}") for c in "abcd")


def test_boxes_of_the_latents_of_a_head(made, capsys):
    run, model, _ = made
    folder = run.path.parent
    words = ["localize", str(run.path), "--boxes", str(folder / "finding_annotations.csv"), "--finding", "mass"]
    words += ["--logit", "skin_retraction", "--model", str(folder / "model.toml"), "--top", "12", "--resamples", "0"]
    assert main(words) == 0
    weight = model.head_weight[model.classes.index("skin_retraction")] @ model.sae.decoder_weight.double().numpy()
    order = np.argsort(-weight * run.pooled("mean").toarray().mean(axis=0), kind="stable")[:12]
    assert f"latents {', '.join(map(str, order))}." in capsys.readouterr().out


def test_evaluate_takes_all(made):
    found = ms.evaluate(made[0], permutations=20, intervals=False, fewest=3)
    assert set(SLUGS) | {"density", "birads"} <= set(found.latents.concepts.labels)


def test_a_label_without_a_head_says_so(made):
    run, model, _ = made
    with pytest.raises(SettingsError, match="cannot be scored against the label 'no_finding'"):
        ms.sweep(run, model, "no_finding")

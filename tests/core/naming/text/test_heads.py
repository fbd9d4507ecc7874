"""Prompts as heads: the ledger against the cosine by the long way, and against the same numbers as a classifier."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import text_kit
import tiny
from napari_mammosae.core.base.errors import ModelError, SettingsError
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.explain import explain
from napari_mammosae.core.intervention.image_edit import edit_image
from napari_mammosae.core.intervention.of_run import intervene, sweep
from napari_mammosae.core.intervention.prompt_scores import score_image
from napari_mammosae.core.models.compute import compute_latents
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.naming.text.heads import TEMPLATES, split_prompt, text_head
from napari_mammosae.core.ranking.of_run import rank
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.stats.measures import auroc


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("text")
    text = text_kit.write_checkpoint(folder / "b5.tar", tiny_model.parent / "classifier.safetensors")
    return {"text": text, "vocabulary": text_kit.write_vocabulary(folder)}


@pytest.fixture(scope="module")
def model(tiny_model, files):
    return load_model(tiny_model, device="cpu", **files)


@pytest.fixture(scope="module")
def pair(model):
    return text_head(model, "spiculated mass", "no mass")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return read_mammogram(tiny.write_image(tmp_path_factory.mktemp("image") / "a.png", 3))


@pytest.fixture(scope="module")
def maps(model, pair, image):
    return compute_latents(model, image)


def direction_by_hand(*texts: str) -> np.ndarray:
    """Vector of a text, or of the first minus that of the second: means over templates of BERT by hand."""
    tensors = text_kit.text_tensors(256)

    def ids(sentence):
        pieces = sentence.replace("spiculated", "spicul ##ated").split()
        return [2, *map(text_kit.WORDS.index, pieces), 3]

    found = []
    for text in texts:
        mean = np.mean([text_kit.vector_by_hand(tensors, ids(one.format(text))) for one in TEMPLATES], axis=0)
        found.append(mean / np.linalg.norm(mean))
    return found[0] - found[1] if len(found) > 1 else found[0]


def cosine_by_hand(model, features: torch.Tensor, *texts: str) -> float:
    """Pool feature maps, project, normalise, multiply."""
    tensors = text_kit.text_tensors(256)
    weight, bias = (tensors[f"image_projection.projection.{part}"].double().numpy() for part in ("weight", "bias"))
    vector = weight @ features[0].double().mean((1, 2)).numpy() + bias
    return float(vector @ direction_by_hand(*texts) / np.linalg.norm(vector))


def edits(grid) -> dict[str, Edit]:
    some = mask_of(range(0, 40, 3), tiny.LATENTS)
    half = np.zeros(grid, np.bool_)
    half[: grid[0] // 2] = True
    return {
        "zero": Edit(some, "zero", "delta"),
        "zero, replaced": Edit(some, "zero", "replace"),
        "keep": Edit(some, "keep", "replace"),
        "scale, in a region": Edit(some, "scale", "delta", 2.5, half),
        "clamp, in a region": Edit(some, "clamp", "replace", 0.3, half),
        "clip": Edit(some, "clip", "delta", 0.1),
    }


def edited_features(model, image, edit: Edit) -> torch.Tensor:
    """Feature maps with the latents changed cell by cell."""
    features = model.features(image.to_input(model.preprocessing))
    z = model.encode(features)
    targets = torch.from_numpy(edit.targets)
    changed = z.clone()
    changed[:, targets] = edit.new_values(z[:, targets]) if edit.mode != "clip" else z[:, targets].clip(max=edit.value)
    if edit.region is not None:
        changed = torch.where(torch.from_numpy(edit.region), changed, z)
    after = model.decode(changed)
    return after if edit.form == "replace" else features + after - model.decode(z)


@pytest.mark.parametrize("texts", [("mass",), ("spiculated mass", "no mass")])
def test_logit_and_cosine_of_an_image(model, image, texts):
    head = text_head(model, *texts)
    score = score_image(head, model.joint_space(), compute_latents(model, image))
    features = model.features(image.to_input(model.preprocessing))
    assert score.cosine == pytest.approx(cosine_by_hand(model, features, *texts), abs=1e-6)
    assert score.logit == pytest.approx(score.cosine * score.norm)
    assert model.logits(features)[0, model.logits_of(head.name)].item() == pytest.approx(score.logit, rel=1e-5)
    np.testing.assert_allclose(head.prompt.direction, direction_by_hand(*texts), atol=1e-5)


def test_ledger_and_constants_over_the_length_are_the_cosine(model, pair, image, maps):
    place = model.classes.index(pair.classes[0])
    ledger = explain(
        maps.pooled_mean, model.attribution[place], model.constant[place], maps.logits[place], maps.logits_sae[place]
    )
    wanted = cosine_by_hand(model, model.features(image.to_input(model.preprocessing)), "spiculated mass", "no mass")
    assert ledger.total / score_image(pair, model.joint_space(), maps).norm == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", edits((2, 1)))
def test_cosines_after_an_edit_are_computed_anew(model, pair, image, maps, name):
    edit = edits(model.grid)[name]
    place = model.classes.index(pair.classes[0])
    wanted = cosine_by_hand(model, edited_features(model, image, edit), "spiculated mass", "no mass")
    score = score_image(pair, model.joint_space(), maps, edit)
    assert score.cosine == pytest.approx(wanted, abs=1e-6)
    effect = edit_image(maps, model.attribution, model.constant, edit)
    assert effect.after[place] == pytest.approx(score.logit, rel=1e-5, abs=1e-5)
    assert score.cosine != pytest.approx(score_image(pair, model.joint_space(), maps).cosine, abs=1e-4)


def test_a_prompt_is_found_again_and_its_name_is_its_own(model, pair):
    assert text_head(model, "Spiculated  Mass", "no mass") is pair
    assert pair.name == "prompt_spiculated_mass_against_no_mass"
    other = text_head(model, "spiculated-mass", "no mass")
    assert other.name.startswith("prompt_spiculated_mass_against_no_mass_")
    assert text_head(model, "mass", templates=["{}"]).name != text_head(model, "mass").name


def test_a_single_text_decides_nothing(model, pair):
    single = text_head(model, "view marker")
    assert (single.decides, pair.decides) == (False, True)
    assert np.isnan(single.probabilities([[0.3]])).all()
    assert np.isnan(pair.probabilities([[0.0]])).all()  # its logit is no log of odds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the prompt has no words"),
        (" |mass", "the prompt has no words"),
        ("a|b|c", "has 3 parts"),
        ("m" * 501, "has 501 characters"),
    ],
)
def test_prompts_that_are_refused(text, words):
    with pytest.raises(SettingsError, match=words):
        split_prompt(text)


def test_words_that_the_tower_does_not_know(model):
    with pytest.raises(SettingsError, match="has not learned 'tumour'"):
        text_head(model, "tumour")
    assert text_head(model, "tumour mass").prompt.note == "the text tower does not know tumour"


def test_a_model_without_a_text_tower(tiny_model):
    with pytest.raises(ModelError, match="tiny has no text tower: name the pre-training checkpoint"):
        text_head(load_model(tiny_model, device="cpu"), "mass")


def test_a_finetuned_backbone_is_refused_unless_asked_for(tiny_model, files, tmp_path):
    classifier = tiny_model.parent / "classifier.safetensors"
    text = text_kit.write_checkpoint(tmp_path / "b5.tar", classifier, finetuned=0.02)
    model = load_model(tiny_model, device="cpu", text=text, vocabulary=files["vocabulary"])
    with pytest.raises(ModelError, match="not the one that its text tower was trained with"):
        text_head(model, "mass")
    assert model.classes == tiny.CLASSES
    head = text_head(model, "mass", approximate=True)
    cosine = model.text_agreement()
    assert 0.5 < cosine < 1
    assert head.prompt.note == (
        "approximate: the backbone is not the text tower's; embeddings agree to a cosine of "
        f"{cosine:.2f} on 2 synthetic phantoms"
    )


@pytest.fixture(scope="module")
def run(run_path):
    return open_run(run_path)


def as_classifier(model, run, head: Head):
    """The model and a run that say the prompt's logit of a class called mass, as a linear classifier would."""
    logit = run.features("mean").astype(np.float64) @ head.weight.T + head.bias
    facts = replace(
        model.facts,
        heads=(Head("classifier", ("mass",), "binary", head.weight, head.bias),),
        attribution=(head.weight @ model.sae.decoder_weight.double().numpy()),
        constant=head.bias + head.weight @ model.sae.tied_bias.double().numpy(),
    )
    other = open_run(run.path)
    other.info = other.info | {"classes": ["mass"], "task": "binary"}
    other.__dict__["images"] = other.images.assign(**{"logit.mass": logit[:, 0]})
    return facts, other


@pytest.mark.parametrize("form", ["replace", "delta"])
def test_over_a_run_a_prompt_agrees_with_the_same_head_as_a_classifier(model, pair, run, form):
    facts, other = as_classifier(model, run, pair)
    name, live = pair.classes[0], np.flatnonzero(run.pooled("mean").sum(axis=0))[:5]
    mine = rank(run, "mass", score="attribution", model=model, logit=name, intervals=0)
    theirs = rank(other, "mass", score="attribution", model=facts, intervals=0)
    assert mine["latent"].tolist() == theirs["latent"].tolist()
    np.testing.assert_allclose(mine["score"], theirs["score"])
    settings = {"form": form, "ks": [0, 3, 20], "intervals": False}
    curves = [
        sweep(run, model, "mass", "attribution", logit=name, **settings).table(),
        sweep(other, facts, "mass", "attribution", **settings).table(),
    ]
    np.testing.assert_allclose(curves[0][list(curves[1].columns[4:])], curves[1].iloc[:, 4:].astype(float))
    effects = [
        intervene(run, model, live, "mass", logit=name, form=form).table().set_index("measure"),
        intervene(other, facts, live, "mass", form=form).table().set_index("measure"),
    ]
    assert effects[0].loc[effects[1].index, "after"].tolist() == effects[1]["after"].tolist()


def test_cosines_over_a_run(model, pair, run):
    rows = intervene(run, model, [3, 5], "mass", logit=pair.classes[0], form="replace").table().set_index("measure")
    space, pooled = model.joint_space(), run.pooled("mean").toarray()
    pooled[:, [3, 5]] = 0
    vectors = pooled @ space.latents.T + space.constant
    cosines = vectors @ pair.prompt.direction / np.linalg.norm(vectors, axis=1)
    assert rows.loc["auroc_cosine", "after"] == pytest.approx(auroc(run.label("mass"), cosines.round(12)))
    table = rank(run, model=model, logit=pair.classes[0], score="attribution").set_index("latent")
    features, latent = run.features("mean").astype(float), int(np.argmax(run.pooled("mean").sum(axis=0)))
    whole = space.embed(features)
    less = whole - run.pooled("mean").toarray()[:, [latent]] * space.latents[:, latent]
    change = [one @ pair.prompt.direction / np.linalg.norm(one, axis=1) for one in (less, whole)]
    assert table.loc[latent, "cosine_change"] == pytest.approx((change[0] - change[1]).mean())


def test_a_single_text_has_areas_but_no_accuracy(model, run):
    head = text_head(model, "view marker")
    table = sweep(run, model, "mass", logit=head.classes[0], ks=[0, 5]).table()
    assert {"auroc", "auprc", "auroc_cosine", "auroc_lo"} <= set(table.columns)
    assert not {"accuracy", "precision", "recall", "f1", "f1_lo"} & set(table.columns)
    measures = intervene(run, model, [3], "mass", logit=head.classes[0], null=3).table()["measure"]
    assert measures.tolist() == ["auroc", "auprc", "auroc_cosine"]
    with pytest.raises(SettingsError, match="no class 'prompt_xyz'"):
        intervene(run, model, [3], "mass", logit="prompt_xyz")


def test_an_image_of_a_run_gets_the_logits_of_prompts(model, pair, run):
    image = run.images["image_id"].iloc[0]
    maps = run.latents(image).with_heads(model.facts)
    place = model.classes.index(pair.classes[0])
    assert maps.logits[place] == pytest.approx((run.features("mean")[0] @ pair.weight[0] + pair.bias[0]), rel=1e-5)
    means = run.pooled("mean").toarray()[0]
    assert maps.logits_sae[place] == pytest.approx(means @ model.attribution[place] + model.constant[place])
    assert maps.with_heads(model.facts) is maps

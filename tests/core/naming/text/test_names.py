"""Names from text: planted directions get their terms, the images' evidence equals a slow independent sum."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

import text_kit
from napari_mammosae.core.base.errors import FindingsError, SettingsError
from napari_mammosae.core.models.loading import load_model
from napari_mammosae.core.models.text.space import JointSpace
from napari_mammosae.core.naming.suggested import text_suggestions
from napari_mammosae.core.naming.text.names import centred, direction_scores, name_latents, random_best
from napari_mammosae.core.naming.text.soft_wpmi import soft_wpmi
from napari_mammosae.core.naming.text.vocabulary import TERMS, Term, encode_terms, read_terms
from napari_mammosae.core.runs.opening import open_run

OWN = (
    Term("mass", "finding", "mass", ("masses",)),
    Term("spiculated", "finding", "spiculated mass"),
    Term("fold", "artefact", "skin fold", ("tumour",)),
    Term("clip", "technique", "clip"),
    Term("other", "finding", "unheard-of thing"),
)


@pytest.fixture(scope="module")
def toml(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("named")
    text_kit.write_checkpoint(folder / "b5.tar", tiny_model.parent / "classifier.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(tiny_model, toml):
    vocabulary = text_kit.write_vocabulary(toml)
    return load_model(tiny_model, device="cpu", text=toml / "b5.tar", vocabulary=vocabulary)


def test_planted_directions_get_their_terms():
    rng = np.random.default_rng(0)
    cone = rng.normal(size=64)
    vectors = rng.normal(size=(30, 64)) + 3 * cone  # all terms lie in one narrow cone
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    planted = rng.permutation(30)[:12]
    latents = np.concatenate([centred(vectors)[planted] + 0.05 * rng.normal(size=(12, 64)), rng.normal(size=(200, 64))])
    space = JointSpace(np.eye(64), np.zeros(64), 1.0, latents.T * rng.uniform(0.1, 9, len(latents)), cone)
    scores = direction_scores(space, vectors)
    assert scores[:12].argmax(axis=1).tolist() == planted.tolist()
    z = (scores.max(axis=1) - scores.mean(axis=1)) / scores.std(axis=1)
    assert z[:12].min() > z[12:].mean() + 1
    random = random_best(space, vectors)
    share = (random[None] < scores.max(axis=1)[:, None]).mean(axis=1)
    assert share[:12].min() == 1
    assert 0.35 < share[12:].mean() < 0.65  # nothing planted: as random directions


def test_names_of_planted_directions_beat_chance_and_others_do_not(model, run_path, monkeypatch):
    rng = np.random.default_rng(4)
    run, terms = open_run(run_path), [Term(str(i), "x", f"term {i}") for i in range(40)]
    vectors = rng.normal(size=(40, 48))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = rng.normal(size=(run.n_latents, 48))
    live = np.flatnonzero(run.pooled("mean").sum(axis=0))
    planted = live[:6]
    directions[planted] = centred(vectors)[rng.permutation(40)[:6]] + 0.02 * rng.normal(size=(6, 48))
    features = run.features("mean").shape[1]
    space = JointSpace(rng.normal(size=(48, features)), np.zeros(48), 1.0, directions.T, np.zeros(48))
    monkeypatch.setattr("napari_mammosae.core.naming.text.names.encode_terms", lambda *_: (tuple(terms), vectors))
    table = name_latents(run, model, terms, speaker=SimpleNamespace(joint_space=lambda: space)).set_index("latent")
    assert (table.loc[planted, "q_value"] < 0.01).all()
    assert (table.drop(index=planted)["q_value"] > 0.05).mean() > 0.9
    random = random_best(space, vectors)
    p = [(1 + (random >= best).sum()) / (1 + random.size) for best in table["cosine"]]
    np.testing.assert_allclose(table["q_value"], multipletests(p, method="fdr_bh")[1], rtol=1e-12)
    assert table["chance"].iloc[0] == np.median(random)
    found = {one.latent: one for one in text_suggestions(table.reset_index(), "own.csv")}
    assert all(found[latent].beats_chance for latent in planted)
    assert found[planted[0]].name == table.loc[planted[0], "name"]
    assert found[planted[0]].provenance["terms"] == "own.csv"


def test_random_directions_are_mixtures_of_the_latents():
    rng = np.random.default_rng(5)
    latents, vectors = rng.normal(size=(12, 500)) * np.array([9.0] + 11 * [1.0])[:, None], rng.normal(size=(20, 12))
    space = JointSpace(np.eye(12), np.zeros(12), 1.0, latents, np.zeros(12))
    mixed = rng.normal(size=(20_000, 500)) @ latents.T
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    about = vectors - vectors.mean(axis=0)
    best = (mixed @ (about / np.linalg.norm(about, axis=1, keepdims=True)).T).max(axis=1)
    np.testing.assert_allclose(
        np.quantile(random_best(space, vectors), [0.05, 0.5, 0.95]), np.quantile(best, [0.05, 0.5, 0.95]), atol=0.01
    )


def test_soft_wpmi_is_that_of_an_independent_sum():
    rng = np.random.default_rng(1)
    similarities, activations = rng.normal(size=(40, 6)) / 5, np.maximum(rng.normal(size=(40, 7)), 0)
    scores = []
    for latent in range(7):
        order = sorted((i for i in range(40) if activations[i, latent] > 0), key=lambda i: -activations[i, latent])[:10]
        row = [0.0] * 6
        for place, image in enumerate(order):
            p = 0.998 + (0.97 - 0.998) * place / (len(order) - 1)
            whole = sum(math.exp(10 * s) for s in similarities[image])
            for term in range(6):
                share = math.exp(10 * similarities[image, term]) / whole
                row[term] += math.log(1 + p * (share - 1) + 1e-7)
        scores.append(row)
    wanted = [
        [row[term] - (math.log(sum(math.exp(other[term]) for other in scores)) - math.log(7)) for term in range(6)]
        for row in scores
    ]
    np.testing.assert_allclose(soft_wpmi(similarities, activations, top=10), wanted, atol=1e-4)


def test_terms_stand_for_all_their_words_that_are_known(model):
    known, vectors = encode_terms(model, OWN, templates=["{}"])
    assert [term.id for term in known] == ["mass", "spiculated", "fold", "clip"]
    both, fold = model.encode_texts(["mass", "masses"])[0].mean(axis=0), model.encode_texts(["skin fold"])[0][0]
    np.testing.assert_allclose(vectors[0], both / np.linalg.norm(both), atol=1e-6)
    np.testing.assert_allclose(vectors[2], fold, atol=1e-6)
    with pytest.raises(SettingsError, match="knows 1 of 2 terms"):
        encode_terms(model, OWN[3:])


def test_every_live_latent_of_a_run_gets_a_name(model, run_path):
    run = open_run(run_path)
    table = name_latents(run, model, OWN)
    assert table["latent"].tolist() == np.flatnonzero(run.pooled("mean").sum(axis=0)).tolist()
    vectors = encode_terms(model, OWN)[1]
    row = table.iloc[3]
    direction = model.joint_space().weight @ model.sae.decoder_weight[:, row["latent"]].double().numpy()
    about = vectors - vectors.mean(axis=0)
    cosines = np.sort(about @ direction / np.linalg.norm(about, axis=1) / np.linalg.norm(direction))
    assert row["cosine"] == pytest.approx(cosines[-1])
    assert row["margin"] == pytest.approx(cosines[-1] - cosines[-2])
    assert row["z"] == pytest.approx((cosines[-1] - cosines.mean()) / cosines.std())
    assert set(table["agree"]) <= {"term", "group", ""}
    agreed = table[table["agree"] == "term"]
    assert (agreed["name"] == agreed["image_name"]).all()
    assert table.attrs["provenance"]["settings"]["left_out"] == 1


def test_the_vocabulary_that_comes_along():
    terms = read_terms(TERMS)
    assert len(terms) > 60
    assert len({term.group for term in terms}) > 8
    assert any(term.synonyms for term in terms)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,term\na,mass\nb,clip", "needs the columns group"),
        ("id,group,term\na,x,mass\na,x,clip", "an id twice"),
        ("id,group,term\na,x,\nb,x,clip", "an empty term"),
        ("id,group,term\na,x,mass", "has 1 terms"),
        ("", "the file is empty"),
        ("id,group,term\na,x,mass,1,2", "line 2: 5 cells where the header has 3"),
    ],
)
def test_vocabularies_that_are_refused(tmp_path, content, words):
    path = tmp_path / "terms.csv"
    path.write_text(content)
    with pytest.raises((FindingsError, SettingsError), match=words):
        read_terms(path)
    assert TERMS.name == "terms.csv"

"""Scores of names on planted answers: a server that sees scores near 1, one that guesses at chance, as do all nulls."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import vlm_kit
from napari_mammosae.core.naming.vlm import of_run
from napari_mammosae.core.naming.vlm.measures import score_detection, score_ranks, score_regions
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, name_with_server
from napari_mammosae.core.naming.vlm.tasks import Extent
from napari_mammosae.core.naming.vlm.testing import names_of_all

LATENTS = 6


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """What a server that sees, and one that guesses, make of the same latents."""
    plan = NamingPlan(
        vlm_kit.PatchRun(tmp_path_factory.mktemp("planted"), patients=60), most=LATENTS,
        extent=Extent(pairs=3, alike=1, detection=12, regions=5, ranks=5),
    )  # fmt: skip
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for answer in (vlm_kit.seeing, vlm_kit.guessing):
            patch.setattr(of_run, "Client", type("Client", (vlm_kit.Direct,), {"answer": staticmethod(answer)}))
            found[answer.__name__] = name_with_server(plan, ServerChoice("http://127.0.0.1:1/v1", ""))
            (plan.run.path / "names" / "answers.jsonl").unlink()
    return found


def test_a_server_that_sees_names_and_scores_rightly(scored):
    table = scored["seeing"].table()
    assert set(table["name"]) <= set(vlm_kit.LEVELS)
    assert table["name"].is_unique
    assert (table["agreement"] == 1).all()
    assert (table[["images", "images_without"]] >= 10).to_numpy().all()
    for score in ("auroc", "region", "top1"):
        assert (table[score] == 1).all()
        assert (table[f"{score}_lo"] == 1).all()
        assert (table[f"{score}_q"] < 0.05).all()
    assert table["beats_chance"].all()
    nulls = scored["seeing"].record["nulls"]
    assert nulls["auroc"]["shuffled"] == pytest.approx(0.5, abs=0.1)  # patches are independent of each other
    assert nulls["auroc"]["majority"] == 0.5  # nothing on the images is called so
    assert nulls["region"]["shuffled"] == pytest.approx(0.5, abs=0.05)
    assert nulls["top1"]["text_only"] == pytest.approx(0.2, abs=0.12)
    assert (table["mrr"] == 1).all()


def test_a_server_that_guesses_is_at_chance(scored):
    table = scored["guessing"].table()
    assert table["name"].is_unique  # good names alone prove nothing
    n = table["images"].mean()
    spread = np.sqrt((2 * n + 1) / (12 * n * n)) / np.sqrt(LATENTS)  # of the mean of AUROCs under chance
    assert abs(table["auroc"].mean() - 0.5) < 3 * spread
    assert abs(table["auroc_shuffled"].mean() - 0.5) < 3 * spread
    assert abs(table["region"].mean() - 0.5) < 3 * np.sqrt(0.125 / 5 / LATENTS)
    assert abs(table["top1"].mean() - 0.2) < 3 * np.sqrt(0.16 / 5 / LATENTS)
    assert abs(table["top2"].mean() - 0.4) < 3 * np.sqrt(0.24 / 5 / LATENTS)
    assert not table["beats_chance"].any()
    assert (table["auroc_q"] > 0.05).all()
    assert (table["auroc_lo"] < 0.5).sum() >= LATENTS - 1


def test_a_name_that_any_name_would_do_as_well_is_not_better_than_chance(scored, tmp_path, monkeypatch):
    """A server that says yes to bright images whatever it is asked: some AUROCs are high, and so are their nulls."""
    run = vlm_kit.PatchRun(tmp_path, patients=80)
    fires = run.dense[..., vlm_kit.FIRST].any(axis=(1, 2))

    def swayed(asked):
        if asked.kind != "detection":
            return vlm_kit.seeing(asked)
        return 0.9 if vlm_kit.shows(asked.pictures[0], "amber patch") else 0.1

    assert 20 < fires.sum() < 140
    monkeypatch.setattr(of_run, "Client", type("Client", (vlm_kit.Direct,), {"answer": staticmethod(swayed)}))
    plan = NamingPlan(run, [4, 5, 6], extent=Extent(detection=12))
    table = name_with_server(plan, ServerChoice("http://127.0.0.1:1/v1"), tests=("detection",)).table()
    assert table["auroc"][0] == table["auroc_shuffled"][0] == 1
    assert not table["beats_chance"].any()


def wins(present, values):
    """How often an image with it scores above one without, ties half: the AUROC, pair by pair."""
    apart = values[present][:, None] - values[~present]
    return ((apart > 0) + (apart == 0) / 2).mean()


def test_detection_equals_scikit_learn_and_scipy():
    rng = np.random.default_rng(4)
    present = rng.random(60) < 0.5
    own = np.round(np.clip(rng.normal(0.5 + 0.15 * present, 0.2), 0, 1), 1)  # with ties
    own[[3, 17, 40]] = np.nan
    shuffled = rng.random(60)
    score = score_detection(present, own, {"shuffled": shuffled}, np.arange(60))
    known = np.isfinite(own)
    assert score.value == pytest.approx(roc_auc_score(present[known], own[known]))
    assert score.nulls["shuffled"] == pytest.approx(roc_auc_score(present, shuffled))
    assert (score.answered, score.asked) == (57, 60)
    chance = stats.mannwhitneyu(own[known & present], own[known & ~present], alternative="greater").pvalue
    draws = [rng.integers(0, 57, 57) for _ in range(2000)]
    of, given, other = present[known], own[known], shuffled[known]
    gained = [wins(of[rows], given[rows]) - wins(of[rows], other[rows]) for rows in draws]
    assert score.p == pytest.approx(max(chance, np.mean(np.array(gained) <= 0)), abs=0.02)
    area = np.quantile([wins(of[rows], given[rows]) for rows in draws], [0.025, 0.975])
    assert [score.lo, score.hi] == pytest.approx(area, abs=0.03)


def test_regions_equal_scikit_learn_and_an_exact_test():
    rng = np.random.default_rng(1)
    own = np.stack([rng.random(20) < 0.8, rng.random(20) < 0.4], axis=1).astype(float)
    own[5, 1] = np.nan  # an image with an answer missing does not count
    score = score_regions(own, {"majority": np.full((20, 2), 0.9)}, np.arange(20))
    known = np.delete(own, 5, axis=0)
    assert score.value == pytest.approx(balanced_accuracy_score(np.tile([1, 0], 19), known.ravel() >= 0.5))
    right, wrong = int((known[:, 0] > known[:, 1]).sum()), int((known[:, 0] < known[:, 1]).sum())
    assert score.p == pytest.approx(stats.binomtest(right, right + wrong, 0.5, "greater").pvalue)
    assert score.nulls["majority"] == 0.5
    assert (score.answered, score.asked) == (38, 40)


def test_ranks_count_first_places_two_first_and_reciprocals():
    places = np.array([1, 1, 2, 5, np.nan, 1, 3])
    score = score_ranks(places, {"text_only": np.array([2, 3, 2, 1, 4, 5, np.nan])}, np.arange(7))
    assert score.value == pytest.approx(0.5)
    assert score.others == pytest.approx({"top2": 4 / 6, "mrr": (1 + 1 + 1 / 2 + 1 / 5 + 1 + 1 / 3) / 6})
    assert score.nulls["text_only"] == pytest.approx(1 / 6)
    assert (score.answered, score.asked) == (6, 7)
    assert score.p >= stats.binomtest(3, 6, 0.2, "greater").pvalue


@pytest.mark.parametrize("own", [np.full(8, np.nan), np.r_[np.full(4, np.nan), np.ones(4)]])
def test_without_answers_of_both_kinds_there_is_no_figure(own):
    score = score_detection(np.arange(8) < 4, own, {}, np.arange(8))
    assert np.isnan([score.value, score.lo, score.p]).all()
    assert np.isnan(score_regions(np.full((3, 2), np.nan), {}, np.arange(3)).value)
    assert np.isnan(score_ranks(np.full(3, np.nan), {}, np.arange(3)).value)


def test_one_answer_to_everything_is_chance():
    score = score_detection(np.arange(40) < 20, np.full(40, 0.7), {}, np.arange(40))
    assert (score.value, score.p) == (0.5, 1.0)


def test_names_are_held_against_others_and_the_commonest_category():
    named = {1: "round mass", 2: "clip", 3: "Round Mass", 4: "", 5: "vessel", 6: "fold", 7: "marker"}
    categories = dict.fromkeys(named, "mass") | {4: "unclear", 7: "technique or artefact"}
    names = names_of_all(named, categories)
    assert set(names) == {1, 2, 3, 5, 6, 7}
    for latent, one in names.items():
        assert one.nulls["majority"] == "mass"
        assert one.nulls["shuffled"].lower() != named[latent].lower()
        assert len(one.rivals_of(one.own)) == 4
        assert named[latent].lower() not in {rival.lower() for rival in one.rivals_of(one.own)}
    assert names_of_all({1: "a", 2: "A"}, {1: "mass", 2: "mass"})[1].nulls == {"majority": "mass"}
    json.dumps(names[1].nulls)

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

import recipe
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.ranking import table, titles
from napari_mammosae.core.ranking.compare import compare_rankings
from napari_mammosae.core.ranking.orders import Ranking, first_ranks, order_of, union_mask, union_sizes
from napari_mammosae.core.ranking.scores import SCORES, LabelledPool, class_rankings, score_latents
from napari_mammosae.core.ranking.statistics import class_statistics, label_entropy
from napari_mammosae.core.ranking.table import rank_latents


def dense_case(seed=0, n=120, h=30, classes=2):
    """Activations (n, h) with silent, dense and class-dependent latents; labels; patients of three images each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    dense = np.maximum(rng.normal(-0.5, 1, (n, h)) + labels[:, None] * np.linspace(-1.5, 1.5, h), 0)
    dense[:, ::7] = 0
    dense[:, 1] += 10
    return dense.round(2), labels, np.arange(n) // 3


def pool_of(dense, labels, patients=None, **more):
    return LabelledPool(scipy.sparse.csc_array(dense), labels, patients=patients, **more)


@pytest.fixture
def case():
    return dense_case()


def test_scores_equal_their_definitions(case):
    dense, labels, _ = case
    cells = 40
    active = np.ceil(dense).clip(max=cells)
    weight = np.linspace(-1, 1, dense.shape[1])
    pool = pool_of(
        dense,
        labels,
        maximum=scipy.sparse.csc_array(3 * dense**2),
        active_cells=scipy.sparse.csc_array(active),
        cells=cells,
        attribution=weight,
    )
    one, rest = dense[labels == 1], dense[labels == 0]
    n1, n0 = len(one), len(rest)
    pooled_sd = np.sqrt(((n1 - 1) * one.var(0, ddof=1) + (n0 - 1) * rest.var(0, ddof=1)) / (n1 + n0 - 2))
    diff = one.mean(0) - rest.mean(0)
    with np.errstate(invalid="ignore"):
        mean_active = dense.sum(0) / (dense > 0).sum(0)
        expected = {
            "mean": one.mean(0),
            "diff": diff,
            "centred": one.mean(0) - dense.mean(0),
            "standardised": np.where(pooled_sd > 0, diff / pooled_sd, 0),
            "auroc": [roc_auc_score(labels, column) for column in dense.T],
            "auroc_max": [roc_auc_score(labels, column**2) for column in dense.T],
            "selectivity": [abs(2 * roc_auc_score(labels, column) - 1) for column in dense.T],
            "average_precision": [average_precision_score(labels, column) for column in dense.T],
            "attribution": one.mean(0) * weight,
            "firing_images": (dense > 0).mean(0),
            "firing_cells": active.sum(0) / (len(dense) * cells),
            "mean_active": mean_active,
            "std": dense.std(0),
        }
    for score, values in expected.items():
        assert score_latents(pool, score) == pytest.approx(np.array(values), abs=1e-12, nan_ok=True), score
    for score in SCORES:
        assert score_latents(pool, score).shape == (dense.shape[1],)


def test_the_contrast_chooses_the_images(case):
    dense, labels, _ = case
    pool = pool_of(dense, labels)
    fired = dense > 0
    one, rest = fired[labels == 1].mean(0), fired[labels == 0].mean(0)
    assert score_latents(pool, "firing_images", contrast="class") == pytest.approx(one)
    assert score_latents(pool, "firing_images", contrast="rest") == pytest.approx(one - rest)
    assert score_latents(pool, "firing_images", 0, "class") == pytest.approx(rest)
    assert score_latents(pool, "mean", contrast="rest") == pytest.approx(score_latents(pool, "diff"))
    assert score_latents(pool, "mean", contrast="all") == pytest.approx(dense.mean(0))


def test_images_of_unknown_label_count_for_nothing(case):
    dense, labels, patients = case
    unknown = np.r_[labels.astype(float), np.full(5, np.nan)]
    more = np.r_[dense, np.full((5, dense.shape[1]), 3.0)]
    for score in ("diff", "auroc", "std", "entropy"):
        found = score_latents(pool_of(more, unknown), score)
        assert np.array_equal(found, score_latents(pool_of(dense, labels), score), equal_nan=True)
    table = rank_latents(pool_of(more, unknown, np.r_[patients, patients[:5]]), intervals=3)
    assert table.equals(rank_latents(pool_of(dense, labels, patients), intervals=3))


def test_several_classes_are_ranked_one_against_the_rest():
    dense, labels, _ = dense_case(3, classes=4)
    found = class_rankings(pool_of(dense, labels), "diff")
    assert list(found) == [0, 1, 2, 3]
    for label, ranking in found.items():
        expected = dense[labels == label].mean(0) - dense[labels != label].mean(0)
        assert ranking.scores == pytest.approx(expected, abs=1e-12)
    areas = score_latents(pool_of(dense, labels), "auroc", 2)
    assert areas[5] == pytest.approx(roc_auc_score(labels == 2, dense[:, 5]))


@pytest.mark.parametrize("score", ["diff", "centred"])
def test_with_two_classes_one_order_is_the_other_reversed(case, score):
    dense, labels, _ = case
    found = class_rankings(pool_of(dense, labels), score)
    assert (np.sign(found[0].scores) == -np.sign(found[1].scores)).all()
    scored = [ranking.order[ranking.live[ranking.order]] for ranking in (found[0], found[1])]
    assert np.array_equal(scored[0], scored[1][::-1])


def test_centred_keeps_the_order_of_diff(case):
    dense, labels, _ = case
    pool = pool_of(dense, labels)
    assert np.array_equal(order_of(score_latents(pool, "centred")), order_of(score_latents(pool, "diff")))


def test_silent_latents_lie_between_the_positive_and_the_negative():
    assert order_of([-1.0, 0.0, 2.0, 0.0, -0.0, np.nan, 2.0]).tolist() == [2, 6, 1, 3, 4, 0, 5]
    with pytest.raises(SettingsError):
        order_of(np.zeros((2, 2)))


def test_standardised_is_infinite_only_where_a_latent_separates_without_spread():
    labels = np.array([0, 0, 1, 1])
    dense = np.array([[0.1, 0.1, 0, 1], [0.1, 0.1, 0, 2], [0.3, 0.1, 0, 3], [0.3, 0.1, 0, 4]])
    assert score_latents(pool_of(dense, labels), "standardised")[:3].tolist() == [np.inf, 0.0, 0.0]


@given(st.integers(0, 10_000), st.booleans())
def test_label_entropy_equals_a_plain_loop(seed, divide):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 90))
    labels = rng.integers(0, 3, n)
    dense = np.where(rng.random((n, 4)) < rng.random(4), rng.integers(1, 6, (n, 4)), 0.0)
    found = label_entropy(scipy.sparse.csc_array(dense), labels, divide_priors=divide)
    for column, value in zip(dense.T, found, strict=True):
        best = [row for row in np.argsort(-column, kind="stable") if column[row] > 0][:50]
        if (column > 0).sum() < 10:
            assert np.isnan(value)
            continue
        shares = np.array([column[[r for r in best if labels[r] == c]].sum() for c in np.unique(labels)])
        if divide:
            shares = shares / np.unique(labels, return_counts=True)[1]
        shares = shares[shares > 0] / shares.sum()
        assert value == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-12)


def test_dividing_the_priors_out_unmasks_a_latent_that_only_looks_pure():
    labels = np.r_[np.ones(3), np.zeros(97)]
    everywhere = np.ones((100, 1))
    everywhere[:3] = 1.5  # so that all positives are among the fifty
    plain = label_entropy(everywhere, labels)[0]
    assert plain < 0.5 * np.log(2)
    assert label_entropy(np.ones((50, 1)), labels[:50], divide_priors=True)[0] == pytest.approx(np.log(2))


def test_pooled_statistics_equal_those_of_all_images():
    dense, labels, _ = dense_case(2, classes=4)
    found = class_statistics(scipy.sparse.csc_array(dense), labels).pooled()
    assert found.means[0] == pytest.approx(dense.mean(0))
    assert found.spread[0] == pytest.approx(dense.var(0) * len(dense))


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_unions_hold_the_best_k_of_every_class(h, classes, seed):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(h) for _ in range(classes)]
    first, sizes = first_ranks(orders, h), union_sizes(first_ranks(orders, h))
    assert sizes.size == h + 1
    for k in range(h + 1):
        union = set().union(*(order[:k].tolist() for order in orders))
        assert set(np.flatnonzero(union_mask(first, k)).tolist()) == union
        assert sizes[k] == len(union)


def test_wrong_orders_and_k_are_refused():
    first = first_ranks([np.arange(4)], 4)
    for k in (-1, 5):
        with pytest.raises(SettingsError, match=f"k = {k}"):
            union_mask(first, k)
    for orders in ([[0, 1, 2]], [[0, 1, 1, 3]], [[1, 2, 3, 4]]):
        with pytest.raises(SettingsError, match="once"):
            first_ranks(orders, 4)
    with pytest.raises(SettingsError, match="no order"):
        first_ranks([], 4)


def test_the_table_has_every_latent_and_agrees_with_the_scores(case):
    dense, labels, patients = case
    table = rank_latents(pool_of(dense, labels, patients), "auroc", intervals=None)
    assert list(table.columns[:4]) == ["rank", "latent", "score", "auroc"]
    assert table["rank"].tolist() == list(range(1, 31))
    assert sorted(table["latent"]) == list(range(30))
    assert (table["score"] == table["auroc"]).all()
    assert table["score"].is_monotonic_decreasing
    silent = ~table["live"]
    assert silent.sum() == 5
    assert (table.loc[silent, "auroc"] == 0.5).all()
    assert table.loc[silent, ["p_value", "q_value", "mean_active", "auroc_lo"]].isna().all().all()
    assert (table.loc[silent, "note"] == "silent on these images").all()
    live = table[table["live"]]
    assert ((live["auroc_lo"] <= live["auroc"]) & (live["auroc"] <= live["auroc_hi"])).all()
    assert ((live["diff_lo"] <= live["diff"]) & (live["diff"] <= live["diff_hi"])).all()
    assert (live["q_value"] >= live["p_value"]).all()
    assert (live["note"] == "").all()


def test_intervals_equal_a_bootstrap_of_each_resample(case):
    from napari_mammosae.core.stats.bootstrap import patient_weights

    dense, labels, patients = case
    table = rank_latents(pool_of(dense, labels, patients), intervals=1)
    best = table.iloc[0]
    column = dense[:, int(best["latent"])]
    areas, changes = [], []
    for weight in patient_weights(patients):
        rows = np.repeat(np.arange(labels.size), weight)
        y, x = labels[rows], column[rows]
        areas.append(roc_auc_score(y, x))
        changes.append(x[y == 1].mean() - x[y == 0].mean())
    assert best[["auroc_lo", "auroc_hi"]].tolist() == pytest.approx(np.quantile(areas, [0.025, 0.975]).tolist())
    assert best[["diff_lo", "diff_hi"]].tolist() == pytest.approx(np.quantile(changes, [0.025, 0.975]).tolist())
    assert (table.loc[table["live"], "note"].iloc[1:] == "beyond the number of latents asked for").all()


def test_few_positives_leave_the_intervals_blank_with_the_reason(case):
    dense, _, patients = case
    labels = np.zeros(len(dense))
    labels[:4] = 1
    table = rank_latents(pool_of(dense, labels, patients))
    assert table["auroc_lo"].isna().all()
    assert table.loc[table["live"], "note"].str.contains("too few patients with a positive image").all()


def test_without_labels_or_with_one_class_only_plain_scores_are_given(case):
    dense, labels, _ = case
    table = rank_latents(pool_of(dense, None), "std")
    assert table["score"].to_numpy() == pytest.approx(np.sort(dense.std(0))[::-1])
    assert table["auroc"].isna().all()
    table = rank_latents(pool_of(dense, np.ones(len(dense))), "mean")
    assert table["mean"].max() == pytest.approx(dense.mean(0).max())
    assert table.loc[table["live"], "note"].str.contains("120 of 120 images have class 1").all()
    with pytest.raises(SettingsError, match="no labels"):
        score_latents(pool_of(dense, None), "diff")
    with pytest.raises(SettingsError, match="needs images of both"):
        rank_latents(pool_of(dense, np.ones(len(dense))), "diff")
    with pytest.raises(SettingsError, match="at least two"):
        class_rankings(pool_of(dense, np.ones(len(dense))))
    with pytest.raises(SettingsError, match="class 7"):
        score_latents(pool_of(dense, labels), "mean", 7)


@pytest.mark.parametrize(
    ("score", "more", "said"),
    [
        ("beauty", {}, "unknown"),
        ("auroc_max", {}, "`maximum`"),
        ("attribution", {}, "`attribution`"),
        ("firing_cells", {}, "`active_cells`"),
        ("auroc", {"contrast": "rest"}, "takes no contrast"),
    ],
)
def test_impossible_requests_say_why(case, score, more, said):
    dense, labels, _ = case
    with pytest.raises(SettingsError, match=said):
        score_latents(pool_of(dense, labels), score, **more)


def test_parts_of_different_runs_are_refused(case):
    dense, labels, patients = case
    with pytest.raises(SettingsError, match="labels"):
        pool_of(dense, labels[1:])
    with pytest.raises(SettingsError, match="patients"):
        pool_of(dense, labels, patients[1:])
    with pytest.raises(SettingsError, match="attributions of 5 latents"):
        pool_of(dense, labels, attribution=np.zeros(5))
    with pytest.raises(SettingsError, match="maximum"):
        pool_of(dense, labels, maximum=scipy.sparse.csc_array(dense[:, 1:]))
    with pytest.raises(SettingsError, match="whole"):
        class_statistics(scipy.sparse.csc_array(dense), labels + 0.5)
    with pytest.raises(SettingsError, match="one per image"):
        class_statistics(scipy.sparse.csc_array(dense), labels[1:])


@pytest.mark.parametrize("name", ["b5_small", "b2_small"])
def test_class_means_and_orders_are_those_of_the_released_implementation(name):
    with np.load(recipe.PARITY / f"{name}.npz") as file:
        data = dict(file)
    pool = pool_of(data["mean_latents"], data["labels"])
    for label in (0, 1):
        found = Ranking.of(score_latents(pool, "mean", label))
        assert found.scores == pytest.approx(data[f"class{label}_score"], rel=1e-5, abs=1e-7)
        theirs = found.scores[data[f"class{label}_order"]]
        assert (np.diff(theirs) <= 1e-6 * theirs[:-1]).all()  # float32 sums may swap what is all but equal
    rankings = class_rankings(pool, "mean")
    first = first_ranks([ranking.order for ranking in rankings.values()], data["mean_latents"].shape[1])
    assert np.array_equal(union_sizes(first)[data["ks"]], data["union_size"])


def test_equal_rankings_agree_and_reversed_ones_do_not():
    scores = np.array([0.0, 5, 4, 3, 0, 2])
    same = compare_rankings(Ranking.of(scores), Ranking.of(2 * scores), at=(1, 2, 4, 99))
    assert (same.spearman, same.kendall, same.latents) == (pytest.approx(1), pytest.approx(1), 4)
    assert same.overlap["share"].tolist() == [1, 1, 1]
    assert (same.movers["change"] == 0).all()
    other = compare_rankings(Ranking.of(scores), Ranking.of(np.where(scores > 0, 7 - scores, 0)), at=(1, 2, 4))
    assert (other.spearman, other.kendall) == (pytest.approx(-1), pytest.approx(-1))
    assert other.overlap["shared"].tolist() == [0, 0, 4]
    assert other.overlap["by_chance"].tolist() == pytest.approx([1 / 6, 2 / 6, 4 / 6])
    assert other.movers["latent"].tolist() == [1, 5, 2, 3]
    assert other.movers["change"].tolist() == [-3, 3, -1, 1]


def test_rankings_of_other_saes_are_refused_and_constant_ones_have_no_correlation():
    with pytest.raises(SettingsError, match="different SAEs"):
        compare_rankings(Ranking.of(np.zeros(3)), Ranking.of(np.zeros(4)))
    assert np.isnan(compare_rankings(Ranking.of(np.ones(3)), Ranking.of(np.ones(3))).spearman)
    assert compare_rankings(Ranking.of(np.zeros(3)), Ranking.of(np.zeros(3))).latents == 0


def test_a_ranking_is_json_friendly(case):
    dense, labels, _ = case
    ranking = Ranking.of(score_latents(pool_of(dense, labels)))
    assert np.array_equal(ranking.order[ranking.ranks - 1], np.arange(30))
    assert json.dumps(ranking.order[:3].tolist())


def test_the_table_has_every_score_and_each_has_a_title(case, monkeypatch):
    dense, labels, patients = case
    assert set(SCORES) <= set(table.COLUMNS)
    assert set(SCORES) == set(titles.SCORES)
    monkeypatch.setattr(table, "_FIGURES", tuple(name for name in table._FIGURES if name != "centred"))
    monkeypatch.setattr(table, "differences", lambda two: {})
    found = rank_latents(pool_of(dense, labels, patients)).set_index("latent").sort_index()
    np.testing.assert_allclose(found["centred"], dense[labels == 1].mean(0) - dense.mean(0), atol=1e-12)
    assert found["diff"].isna().all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("silent", [0.0, 0.6])
def test_two_rankings_are_compared_where_both_have_a_score(case, score, silent):
    """By definition: over latents that fire on either side, undefined scores left out."""
    dense, labels, _ = case
    rng = np.random.default_rng(5)
    tables, columns, fires = [], [], []
    for _ in range(2):
        kept = dense * (rng.random(dense.shape[1]) >= silent) * (rng.random(dense.shape) < 0.4)
        pool = LabelledPool(
            scipy.sparse.csc_array(kept), labels, scipy.sparse.csc_array(2 * kept),
            scipy.sparse.csc_array((kept > 0).astype(float)), 12, np.linspace(-1, 1, kept.shape[1]),
        )  # fmt: skip
        tables.append(rank_latents(pool, score, intervals=0))
        columns.append(score_latents(pool, score))
        fires.append((kept[~np.isnan(labels)] > 0).any(axis=0))
    found = compare_rankings(*map(Ranking.of_table, tables))
    either = fires[0] | fires[1]
    both = either & ~np.isnan(columns[0]) & ~np.isnan(columns[1])
    x, y = (pd.Series(values[both]) for values in columns)
    assert (found.latents, found.undefined) == (both.sum(), (either & ~both).sum())
    assert found.ties == (x.duplicated(keep=False).sum(), y.duplicated(keep=False).sum())
    if min(x.nunique(), y.nunique()) > 1:
        assert found.spearman == pytest.approx(x.rank().corr(y.rank()), abs=1e-9)
        assert found.kendall == pytest.approx(x.corr(y, method="kendall"), abs=1e-9)
    assert set(found.movers["latent"]) == set(np.flatnonzero(both))


def test_undefined_scores_are_not_zero():
    a = Ranking(np.arange(6), np.array([0.0, -0.1, -0.2, -0.6, np.nan, np.nan]), np.array([True] * 5 + [False]))
    b = Ranking(np.arange(6), np.array([0.0, -0.2, np.nan, -0.2, -0.5, np.nan]), np.array([True] * 5 + [False]))
    found = compare_rankings(a, b, at=(3, 6))
    # latents 0, 1, 3: 0, -0.1, -0.6 against 0, -0.2, -0.2
    assert (found.latents, found.undefined, found.ties) == (3, 2, (0, 2))
    assert found.spearman == pytest.approx(np.sqrt(3) / 2)
    assert found.kendall == pytest.approx(2 / np.sqrt(6))
    assert found.overlap["shared"].tolist() == [2, 3]

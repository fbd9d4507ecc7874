"""Every k at once, against masking the latents for each k one by one."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

import recipe
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.effects import curve_table, effect
from napari_mammosae.core.intervention.measures import compat_scores
from napari_mammosae.core.intervention.random_sets import random_null
from napari_mammosae.core.intervention.sweep import sweep_cohort
from napari_mammosae.core.ranking.orders import first_ranks, union_mask
from napari_mammosae.core.ranking.scores import LabelledPool, class_rankings
from napari_mammosae.core.runs.sample import row_positions
from napari_mammosae.core.stats.measures import BinaryMeasures, binary_measures, multiclass_measures


def cohort_of(seed=0, n=60, h=24, logits=1, round_to=None):
    """Images, of which some fire no latent at all; dense, silent and useless latents; the ranking's first k."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(logits, 2), n).astype(float)
    dense = np.maximum(rng.normal(-0.6, 1, (n, h)) + 0.3 * labels[:, None] * rng.normal(0, 1, h), 0)
    dense[:, ::5] = 0
    dense[:, 1] += 2
    dense[:4] = 0
    attribution, constant = rng.normal(0, 1, (logits, h)), rng.normal(-0.5, 0.2, logits)
    attribution[:, 7] = 0
    if round_to:
        dense, attribution, constant = (np.round(x * round_to) / round_to for x in (dense, attribution, constant))
    own = constant + dense @ attribution.T + rng.normal(0, 0.3, (n, logits))
    cohort = Cohort.of(scipy.sparse.csc_array(dense), attribution, constant, labels, own, np.arange(n) // 2)
    rankings = class_rankings(LabelledPool(cohort.pooled, labels))
    return cohort, dense, first_ranks([ranking.order for ranking in rankings.values()], h)


def brute_force(cohort, dense, mask, mode, form, factor=0.0):
    kept = np.where(mask, 1, 0) if mode == "keep" else np.where(mask, factor, 1)
    reconstructed = (dense * kept) @ cohort.attribution.T + cohort.constant
    if form == "replace":
        return reconstructed
    return reconstructed + cohort.logits - (dense @ cohort.attribution.T + cohort.constant)


@pytest.mark.parametrize("form", ["replace", "delta"])
@pytest.mark.parametrize("mode", ["keep", "zero", "scale"])
@pytest.mark.parametrize("logits", [1, 4])
def test_every_k_equals_masking_the_latents(mode, form, logits):
    cohort, dense, first = cohort_of(3, logits=logits)
    factor = 2.5 if mode == "scale" else None
    curve = sweep_cohort(cohort, first, mode, form, factor=factor)
    table = curve.table().set_index("k")
    for k in range(cohort.n_latents + 1):
        mask = union_mask(first, k)
        expected = brute_force(cohort, dense, mask, mode, form, factor or 0.0)
        assert cohort.logits_after(Edit(mask, mode, form, factor)) == pytest.approx(expected, abs=1e-12)
        assert table.loc[k, "union_size"] == mask.sum()
        if logits == 1:
            rounded = np.round(expected[:, 0], 9)  # sums in another order leave noise where there should be ties
            measures = binary_measures(cohort.labels, rounded)._asdict()
            assert measures["auroc"] == pytest.approx(roc_auc_score(cohort.labels, rounded), abs=1e-12)
        else:
            measures = multiclass_measures(cohort.labels, expected.argmax(1))._asdict()
            f1 = f1_score(cohort.labels, expected.argmax(1), average="macro")
            assert measures["macro_f1"] == pytest.approx(f1)
        assert table.loc[k, list(measures)].to_dict() == pytest.approx(measures, abs=1e-12)
        assert curve.at(k) == table.loc[k, list(measures)].to_dict()


def test_the_ends_are_exact():
    cohort, _, first = cohort_of(1)
    h = cohort.n_latents
    plain = cohort.measure(cohort.logits_sae())._asdict()
    own = cohort.measure(cohort.logits)._asdict()
    keep, zero = (sweep_cohort(cohort, first, mode) for mode in ("keep", "zero"))
    assert keep.at(h) == pytest.approx(plain, abs=1e-12)
    assert zero.at(0) == keep.at(h)
    for nothing in (keep.at(0), zero.at(h)):
        assert nothing["auroc"] == 0.5
        assert nothing["auprc"] == pytest.approx(cohort.labels.mean())
        assert nothing["precision"] == 0.0
    assert sweep_cohort(cohort, first, "zero", "delta").at(0) == own
    assert sweep_cohort(cohort, first, "keep", "delta").at(h) == own
    everything, none = np.ones(h, bool), np.zeros(h, bool)
    for edit in (Edit(everything, "zero"), Edit(none, "keep")):
        assert (cohort.logits_after(edit) == cohort.constant).all()
    for edit in (Edit(none, "zero", "delta"), Edit(everything, "keep", "delta")):
        assert (cohort.logits_after(edit) == cohort.logits).all()
        assert cohort.flips(cohort.logits_after(edit), "delta").size == 0
    flipped = cohort.flips(-cohort.logits, "delta")
    assert np.array_equal(flipped, np.flatnonzero(cohort.logits[:, 0]))


def test_removing_everything_in_delta_leaves_what_the_error_predicts():
    cohort, dense, first = cohort_of(2)
    error = cohort.logits - cohort.logits_sae()
    found = sweep_cohort(cohort, first, "zero", "delta").at(cohort.n_latents)["auroc"]
    assert found == pytest.approx(roc_auc_score(cohort.labels, np.round(error[:, 0], 9)))
    assert found != 0.5
    left = cohort.logits_after(Edit(np.ones(dense.shape[1], bool), "zero", "delta"))
    assert left == pytest.approx(error + cohort.constant)


def test_images_left_with_nothing_tie_exactly():
    """Rounding must not rank images that have lost all their latents."""
    cohort, dense, first = cohort_of(5)
    for k in range(cohort.n_latents + 1):
        mask = union_mask(first, k)
        empty = ~(dense[:, ~mask] > 0).any(axis=1)
        logits = cohort.logits_after(Edit(mask, "zero"))[:, 0]
        assert (logits[empty] == cohort.constant[0]).all()


@pytest.mark.parametrize("name", ["b5_small", "b2_small"])
def test_every_k_equals_the_released_implementation(name):
    """Logits with the union kept and zeroed, from pooled latents and the head alone."""
    with np.load(recipe.PARITY / f"{name}.npz") as data:
        attribution, constant = parity_tail(data["features0"].shape[0], data["mean_latents"].shape[1])
        cohort = Cohort.of(data["mean_latents"], attribution, constant, data["labels"], data["logit"])
        first = first_ranks([data["class0_order"], data["class1_order"]], attribution.size)
        scale = np.maximum(1, np.abs(data["mean_latents"] * attribution).sum(axis=1))
        assert (np.abs(cohort.logits_sae()[:, 0] - data["logit_sae"]) <= 1e-5 * scale).all()
        keep, zero = (sweep_cohort(cohort, first, mode) for mode in ("keep", "zero"))
        for row, k in enumerate(data["ks"]):
            mask = union_mask(first, k)
            assert mask.sum() == data["union_size"][row]
            for mode, theirs, curve in (("keep", "on_logit", keep), ("zero", "off_logit", zero)):
                ours = cohort.logits_after(Edit(mask, mode))[:, 0]
                assert (np.abs(ours - data[theirs][row]) <= 1e-5 * scale).all()
                assert curve.at(k)["auroc"] == pytest.approx(roc_auc_score(data["labels"], data[theirs][row]))


def parity_tail(width, n_latents):
    """Attribution and constant of the regenerated head and SAE (one class)."""
    head, sae = recipe.head_weights(width), recipe.sae_weights(width, n_latents)
    weight = head[recipe.HEAD + "weight"][0].double().numpy()
    decoder, tied = (sae[key][0].double().numpy() for key in ("decoder._weight", "tied_bias"))
    return weight @ decoder, float(head[recipe.HEAD + "bias"][0]) + float(weight @ tied)


def test_float32_sigmoids_lose_ranks_and_it_is_counted():
    labels = np.array([0.0, 0, 1, 1])
    cohort = Cohort.of(np.array([[18.0], [17.0], [19.0], [20.0]]), np.ones((1, 1)), [0.0], labels)
    exact, published = (sweep_cohort(cohort, np.array([1]), compat=compat) for compat in (False, True))
    assert exact.at(1)["auroc"] == 1.0
    assert published.at(1)["auroc"] == 0.5
    assert published.lost_ranks.tolist() == [0, 3]
    assert published.ranks.tolist() == [1, 4]
    assert exact.lost_ranks.tolist() == [0, 0]
    assert exact.at(1)["recall"] == published.at(1)["recall"] == 1.0
    scores, lost = compat_scores(np.array([0.0, 0.0, 1.0]))
    assert scores.dtype == np.float32
    assert lost == 0


def test_the_table_has_intervals_by_patient_and_the_ties():
    cohort, _, first = cohort_of(4, n=120)
    table = curve_table(cohort, first, [0, 1, 5, 24], compat=True)
    assert list(table.columns[:6]) == ["mode", "form", "k", "union_size", "auroc", "auprc"]
    assert table["mode"].tolist() == ["keep"] * 4 + ["zero"] * 4
    assert {"lost_ranks", "note"} <= set(table)
    for name in BinaryMeasures._fields:
        inside = (table[f"{name}_lo"] <= table[name] + 1e-9) & (table[name] <= table[f"{name}_hi"] + 1e-9)
        assert inside.mean() > 0.8
    assert table.loc[0, ["auroc_lo", "auroc", "auroc_hi"]].tolist() == [0.5, 0.5, 0.5]
    repeated = curve_table(cohort, first, [0, 1, 5, 24], compat=True)
    pd.testing.assert_frame_equal(table, repeated)


def test_the_table_of_several_classes_has_accuracy_and_macro_f1():
    cohort, _, first = cohort_of(6, logits=4, n=100)
    table = curve_table(cohort, first, [3], form="delta")
    assert {"accuracy", "accuracy_lo", "accuracy_hi", "macro_f1", "macro_f1_lo", "macro_f1_hi"} <= set(table)
    assert (table["accuracy_lo"] <= table["accuracy"]).all()
    assert (table["macro_f1"] <= table["macro_f1_hi"]).all()


def test_few_positives_give_the_reason_in_place_of_intervals():
    cohort, _, first = cohort_of(4, n=120)
    few = cohort.take(np.r_[np.flatnonzero(cohort.labels == 0), np.flatnonzero(cohort.labels == 1)[:2]])
    table = curve_table(few, first, [1])
    assert table["auroc_lo"].isna().all()
    assert table["note"].str.startswith("too few patients with a positive").all()
    assert effect(few, Edit(mask_of([1], 24)))["note"].str.startswith("too few").all()
    assert "auroc_lo" not in curve_table(few, first, [1], intervals=False)


def test_the_effect_of_one_edit_has_a_paired_interval():
    cohort, _, first = cohort_of(8, n=200)
    edit = Edit(union_mask(first, 3), "zero", "delta")
    table = effect(cohort, edit).set_index("measure")
    before, after = binary_measures(cohort.labels, cohort.logits[:, 0]), cohort.measure(cohort.logits_after(edit))
    assert table["before"].to_dict() == pytest.approx(before._asdict())
    assert table["after"].to_dict() == pytest.approx(after._asdict())
    assert ((table["change_lo"] <= table["change"]) & (table["change"] <= table["change_hi"])).all()
    nothing = effect(cohort, Edit(np.zeros(24, bool), "zero", "delta"))
    assert (nothing[["change", "change_lo", "change_hi"]] == 0).all().all()


def test_random_sets_match_the_count():
    cohort, _, first = cohort_of(9, n=200)
    mask = union_mask(first, 3)
    live = cohort.live
    count = random_null(cohort, Edit(mask), draws=30)
    assert (count.sizes == (mask & live).sum()).all()
    assert count.observed == cohort.measure(cohort.logits_after(Edit(mask)))._asdict()
    assert count.values["auroc"].shape == (30,)
    assert np.array_equal(count.values["auroc"], random_null(cohort, Edit(mask), draws=30).values["auroc"])
    assert 0 <= count.share_below("auroc") <= 1
    same = random_null(cohort, Edit(live), draws=3)
    assert same.values["auroc"] == pytest.approx([same.observed["auroc"]] * 3)
    assert same.share_below("accuracy") == 0.5


def test_rows_take_their_image_as_often_as_they_name_it():
    cohort, dense, _ = cohort_of(1, n=6)
    images = np.array([3, 0, 7, 9, 4, 2])
    positions, found = row_positions([7, 3, 7, 5, 2], images)
    assert positions.tolist() == [2, 0, 2, 5]
    assert found.tolist() == [True, True, True, False, True]
    rows = cohort.take(positions, [1, 0, 0, 1])
    assert np.array_equal(rows.pooled.toarray(), dense[positions])
    assert rows.labels.tolist() == [1, 0, 0, 1]
    assert rows.patients.tolist() == [1, 0, 1, 2]
    with pytest.raises(SettingsError, match="twice"):
        row_positions([1], [1, 1])
    with pytest.raises(SettingsError, match="no image"):
        row_positions([1], [])


def test_images_of_unknown_label_are_left_out():
    cohort, dense, _ = cohort_of(1)
    labels = cohort.labels.copy()
    labels[::3] = np.nan
    fewer = Cohort.of(cohort.pooled, cohort.attribution, cohort.constant, labels, cohort.logits)
    assert np.array_equal(fewer.pooled.toarray(), np.delete(dense, np.s_[::3], axis=0))
    assert fewer.logits.shape == (40, 1)


def test_clamping_sets_latents_that_do_not_fire_too():
    cohort, dense, _ = cohort_of(2)
    mask = mask_of([0, 1, 3], 24)  # 0 is silent
    for form, start in (("replace", cohort.logits_sae()), ("delta", cohort.logits)):
        change = (0.7 - dense[:, mask]) @ cohort.attribution[:, mask].T
        found = cohort.logits_after(Edit(mask, "clamp", form, 0.7))
        assert found == pytest.approx(start + change, abs=1e-12)


def test_what_cannot_be_scored_says_why():
    cohort, dense, first = cohort_of(1)
    one = cohort.take(np.flatnonzero(cohort.labels == 1))
    with pytest.raises(SettingsError, match=r"all \d+ images have class 1"):
        sweep_cohort(one, first)
    with pytest.raises(SettingsError, match="need labels"):
        sweep_cohort(Cohort.of(cohort.pooled, cohort.attribution, cohort.constant), first)
    with pytest.raises(SettingsError, match="own logits"):
        sweep_cohort(Cohort.of(cohort.pooled, cohort.attribution, cohort.constant, cohort.labels), first, form="delta")
    with pytest.raises(SettingsError, match="other SAEs"):
        sweep_cohort(cohort, first[1:])
    with pytest.raises(SettingsError, match="factor"):
        sweep_cohort(cohort, first, "scale")
    with pytest.raises(SettingsError, match="modes"):
        sweep_cohort(cohort, first, "clamp")
    with pytest.raises(SettingsError, match="two classes"):
        sweep_cohort(cohort_of(1, logits=4)[0], first, compat=True)
    with pytest.raises(SettingsError, match="not a class number"):
        sweep_cohort(Cohort.of(dense, np.ones((3, 24)), np.ones(3), np.full(60, 7.0)), first)
    with pytest.raises(SettingsError, match="no image"):
        sweep_cohort(cohort.take([]), first)
    with pytest.raises(SettingsError, match="k = 25"):
        sweep_cohort(cohort, first).at(25)
    with pytest.raises(SettingsError, match="0 to 24"):
        sweep_cohort(cohort, first).table([25])
    mask = np.zeros(24, bool)
    with pytest.raises(SettingsError, match="a region needs the maps"):
        cohort.logits_after(Edit(mask, region=np.ones((2, 2), bool)))
    with pytest.raises(SettingsError, match="clipping needs the maps"):
        cohort.logits_after(Edit(mask, "clip", value=1.0))
    with pytest.raises(SettingsError, match="another SAE"):
        cohort.logits_after(Edit(np.zeros(23, bool)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attribution": np.ones((1, 23))}, "the model and SAE that made it"),
        ({"constant": np.ones(2)}, "the model and SAE that made it"),
        ({"labels": np.ones(3)}, "3 labels for 60"),
        ({"patients": np.ones(3)}, "3 patients for 60"),
        ({"logits": np.ones((60, 2))}, "expected"),
    ],
)
def test_parts_of_another_run_or_model_are_refused(change, said):
    cohort, dense, _ = cohort_of(1)
    parts = {"attribution": cohort.attribution, "constant": cohort.constant, "labels": cohort.labels} | change
    with pytest.raises(SettingsError, match=said):
        Cohort.of(dense, **parts)


def test_average_precision_over_k_equals_scikit_learn():
    cohort, dense, first = cohort_of(11, round_to=8)  # eighths: sums are exact and ties are many
    curve = sweep_cohort(cohort, first, "keep")
    for k in range(0, 25, 3):
        logits = brute_force(cohort, dense, union_mask(first, k), "keep", "replace")[:, 0]
        assert curve.at(k)["auprc"] == pytest.approx(average_precision_score(cohort.labels, logits), abs=1e-12)

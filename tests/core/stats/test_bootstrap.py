import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.stats.bootstrap import (
    benjamini_hochberg,
    bootstrap_mean,
    patient_weights,
    percentile_interval,
    too_few,
    too_few_of_class,
    weighted_measures,
)
from napari_mammosae.core.stats.measures import BinaryMeasures, binary_measures


def cohort(seed=0, n=60):
    rng = np.random.default_rng(seed)
    patients = np.array([f"p{number}" for number in rng.integers(0, n // 3, n)])
    labels = rng.random(n) < 0.4
    return labels, np.round(labels + rng.normal(0, 1.5, n), 1), patients


def bootstrap_measures(labels, logits, patients):
    return weighted_measures(labels, logits, patient_weights(patients)).intervals(too_few(labels, patients))


def test_weighted_measures_equal_measuring_each_resample():
    labels, logits, patients = cohort()
    weights = patient_weights(patients, 50)
    found = weighted_measures(labels, logits, weights)
    for b, weight in enumerate(weights):
        rows = np.repeat(np.arange(labels.size), weight)
        expected = binary_measures(labels[rows], logits[rows])
        for name in BinaryMeasures._fields:
            assert getattr(found, name)[b] == pytest.approx(getattr(expected, name), abs=1e-12)


def test_resamples_draw_whole_patients_and_are_repeatable():
    labels, logits, patients = cohort()
    weights = patient_weights(patients, 100)
    for name in np.unique(patients):
        rows = weights[:, patients == name]
        assert (rows == rows[:, :1]).all()
    firsts = np.unique(patients, return_index=True)[1]
    assert (weights[:, firsts].sum(axis=1) == firsts.size).all()
    shuffled = np.random.default_rng(0).permutation(labels.size)
    assert bootstrap_measures(labels, logits, patients) == bootstrap_measures(
        labels[shuffled], logits[shuffled], patients[shuffled]
    )


def test_the_interval_holds_the_middle_95_percent():
    found = percentile_interval(np.r_[np.arange(1001.0), np.nan])
    assert (found.lo, found.hi) == pytest.approx((25.0, 975.0))
    assert not found.note
    assert percentile_interval([np.nan]).note == "undefined in every resample"


def test_the_interval_covers_a_known_mean():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        effects = rng.normal(0, 1, 40)
        values = np.repeat(effects, 4) + rng.normal(0, 0.2, 160)
        found = bootstrap_mean(values, np.repeat(np.arange(40), 4))
        inside += found.lo <= 0 <= found.hi
    assert 0.88 <= inside / 200 <= 0.99  # an interval by image, not by patient, would cover about 0.6


def test_too_few_patients_leave_the_interval_blank_with_the_reason():
    labels = np.array([1] * 8 + [0] * 20)
    patients = np.r_[np.zeros(8), np.arange(1, 21)]
    assert too_few(labels, patients) == "too few patients with a positive image (1; at least 5 needed)"
    found = bootstrap_measures(labels, np.arange(28.0), patients)["auroc"]
    assert np.isnan(found.lo)
    assert "too few patients" in found.note
    assert "too few patients (1;" in bootstrap_mean([1.0, 2.0], ["a", "a"]).note
    with pytest.raises(SettingsError):
        too_few(labels, patients[:5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_q_values_equal_scipy(p):
    assert benjamini_hochberg(p) == pytest.approx(scipy.stats.false_discovery_control(p), abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


def test_what_was_not_tested_counts_for_nothing():
    assert benjamini_hochberg([0.01, np.nan, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(benjamini_hochberg([0.01, np.nan])[1])
    assert benjamini_hochberg([]).size == 0


@pytest.mark.parametrize(
    ("counts", "short"), [((5, 5, 5), None), ((5, 9, 4), 2), ((4, 9, 5), 0), ((9, 9, 0), None), ((1, 1, 1), 0)]
)
def test_several_classes_need_five_patients_each(counts, short):
    labels = np.repeat(np.arange(3.0), counts)
    patients = np.arange(labels.size)
    note = too_few_of_class(np.r_[labels, labels], np.r_[patients, patients])  # two views of each
    found = (
        ""
        if short is None
        else (f"too few patients with an image of class {short} ({counts[short]}; at least 5 needed)")
    )
    assert note == found

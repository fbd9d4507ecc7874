import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.stats.measures import auroc, average_precision, binary_measures, multiclass_measures

cases = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=1, max_size=40)


@given(cases)
def test_areas_and_decisions_equal_scikit_learn_with_ties(case):
    labels = np.array([label for label, _ in case])
    scores = np.array([score / 2 for _, score in case])
    found = binary_measures(labels, scores)
    decided = scores >= 0
    assert found.accuracy == pytest.approx(accuracy_score(labels, decided), abs=1e-12)
    assert found.precision == pytest.approx(precision_score(labels, decided, zero_division=0), abs=1e-12)
    assert found.recall == pytest.approx(recall_score(labels, decided, zero_division=0), abs=1e-12)
    assert found.f1 == pytest.approx(f1_score(labels, decided, zero_division=0), abs=1e-12)
    if labels.any():
        assert found.auprc == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    else:
        assert np.isnan(found.auprc)
    if 0 < labels.sum() < labels.size:
        assert found.auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    else:
        assert np.isnan(found.auroc)


def test_constant_scores_give_one_half_and_the_prevalence():
    labels = np.zeros(4095)
    labels[:115] = 1
    assert auroc(labels, np.zeros(4095)) == 0.5
    assert average_precision(labels, np.zeros(4095)) == pytest.approx(0.028083, abs=5e-7)


def test_areas_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(1)
    labels, scores = rng.random(200) < 0.3, rng.integers(0, 5, 200)
    shuffled = rng.permutation(200)
    assert average_precision(labels, scores) == average_precision(labels[shuffled], scores[shuffled])
    assert auroc(labels, scores) == auroc(labels[shuffled], scores[shuffled])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_multiclass_measures_equal_scikit_learn(case):
    labels, predicted = np.array(case).T
    found = multiclass_measures(labels, predicted)
    assert found.accuracy == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1, 2], [0, 0, 0], "a binary label is 0 or 1"),
        ([0, 1, np.nan], [0, 0, 0], "leave out unknown"),
        ([0, 1], [0, 0, 0], "2 labels"),
        ([0, 1], [0, np.nan], "not a finite number"),
        ([[0, 1]], [0, 1], "one value per image"),
    ],
)
def test_wrong_input_is_refused(labels, scores, said):
    with pytest.raises(SettingsError, match=said):
        auroc(labels, scores)


@pytest.mark.parametrize(("labels", "predicted"), [([0, 1], [0]), ([], []), ([-1, 0], [0, 0])])
def test_wrong_classes_are_refused(labels, predicted):
    with pytest.raises(SettingsError):
        multiclass_measures(labels, predicted)

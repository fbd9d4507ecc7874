import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.stats.sparse import sparse_auroc, sparse_auroc_p, sparse_average_precision


def sparse_case(seed):
    """Random activations with many zeros and ties, some columns silent, some full; and labels."""
    rng = np.random.default_rng(seed)
    n, h = int(rng.integers(4, 80)), int(rng.integers(1, 8))
    values = rng.integers(1, int(rng.integers(2, 30)), (n, h)) / 8
    dense = np.where(rng.random((n, h)) < rng.choice([0.0, 0.1, 0.5, 1.0], h), values, 0.0)
    labels = rng.random(n) < rng.uniform(0.05, 0.9)
    labels[:2] = [True, False]
    return dense, labels


@pytest.mark.slow
def test_areas_equal_scikit_learn_on_hundreds_of_sparse_cases_with_ties():
    for seed in range(300):
        dense, labels = sparse_case(seed)
        pooled = scipy.sparse.csc_array(dense)
        found, precision = sparse_auroc(pooled, labels), sparse_average_precision(pooled, labels)
        for i, column in enumerate(dense.T):
            assert found[i] == pytest.approx(roc_auc_score(labels, column), abs=1e-12)
            assert precision[i] == pytest.approx(average_precision_score(labels, column), abs=1e-12)


def test_p_values_equal_the_mann_whitney_test():
    for seed in range(100):
        dense, labels = sparse_case(seed)
        areas, p = sparse_auroc_p(scipy.sparse.csc_array(dense), labels)
        assert np.array_equal(areas, sparse_auroc(dense, labels))
        for i, column in enumerate(dense.T):
            if np.ptp(column) == 0:
                assert p[i] == 1
                continue
            test = scipy.stats.mannwhitneyu(column[labels], column[~labels], method="asymptotic")
            assert p[i] == pytest.approx(test.pvalue, rel=1e-9, abs=1e-12)


def test_stored_zeros_and_any_sparse_format_change_nothing():
    dense, labels = sparse_case(5)
    full = scipy.sparse.coo_array((dense.ravel(), np.divmod(np.arange(dense.size), dense.shape[1])), shape=dense.shape)
    assert np.array_equal(sparse_auroc(full, labels), sparse_auroc(scipy.sparse.csr_array(dense), labels))


def test_an_empty_matrix_is_all_silent_latents():
    silent = scipy.sparse.csc_array((6, 3))
    labels = np.array([1, 0, 0, 1, 0, 0])
    assert sparse_auroc(silent, labels).tolist() == [0.5] * 3
    assert sparse_average_precision(silent, labels) == pytest.approx([1 / 3] * 3)


def test_one_class_leaves_the_areas_undefined():
    dense, _ = sparse_case(3)
    assert np.isnan(sparse_auroc(dense, np.zeros(len(dense)))).all()
    assert np.isnan(sparse_average_precision(dense, np.zeros(len(dense)))).all()
    assert np.isnan(sparse_auroc_p(dense, np.ones(len(dense)))[1]).all()


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_impossible_activations_are_refused(value):
    with pytest.raises(SettingsError, match="negative or not finite"):
        sparse_auroc(scipy.sparse.csc_array([[0.0, value], [1.0, 0.0]]), [0, 1])


def test_labels_must_fit():
    with pytest.raises(SettingsError, match="3 labels for 2 images"):
        sparse_auroc(scipy.sparse.csc_array((2, 2)), [0, 1, 1])

"""Drawing some of the images that count."""

import numpy as np
import pytest

from napari_mammosae.core.runs.sample import Sample, Used


def sample(labels, rows=None):
    values = np.asarray(labels, float)
    rows = np.arange(values.size) if rows is None else np.asarray(rows)
    return Sample(rows, values, Used(values.size, values.size + 3, {"of unknown mass": 3}))


@pytest.mark.parametrize("count", [2, 10, 37, 99])
def test_each_label_has_its_share_and_at_least_one(count):
    labels = np.arange(100) % 10 == 0
    drawn = sample(labels).draw(count)
    assert drawn.rows.size == count == drawn.used.used
    assert drawn.known.sum() == pytest.approx(max(count / 10, 1), abs=1)
    assert (drawn.known == labels[drawn.rows]).all()
    assert drawn.used.left_out == {"of unknown mass": 3, "not drawn": 100 - count}
    assert (np.diff(drawn.rows) > 0).all()


def test_a_rare_label_is_drawn():
    labels = np.zeros(500)
    labels[321] = 1
    assert 321 in sample(labels).draw(3).rows


def test_the_same_are_drawn_each_time_and_not_the_first():
    first, again = sample(np.arange(60) % 2).draw(20), sample(np.arange(60) % 2).draw(20)
    assert (first.rows == again.rows).all()
    assert set(first.rows) != set(range(20))


def test_an_image_is_drawn_with_all_its_rows():
    rows = np.repeat(np.arange(20), 3)
    drawn = sample(np.repeat(np.arange(20) % 2, 3), rows).draw(6)
    assert np.unique(drawn.rows).size == 6
    assert (np.bincount(drawn.rows)[np.unique(drawn.rows)] == 3).all()


@pytest.mark.parametrize("count", [0, 20, 21])
def test_all_are_taken_where_there_are_no_more(count):
    whole = sample(np.arange(20) % 2)
    assert whole.draw(count) is whole


def test_without_labels():
    unlabelled = Sample(np.arange(30), None, Used(30, 30))
    drawn = unlabelled.draw(5)
    assert drawn.labels is None
    assert drawn.rows.size == 5

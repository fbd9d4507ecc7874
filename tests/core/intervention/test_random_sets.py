"""Random sets in the place of the chosen one: what they hold, and when there are none."""

import re

import numpy as np
import pytest

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.intervention.cohort import Cohort
from napari_mammosae.core.intervention.edit import Edit, mask_of
from napari_mammosae.core.intervention.random_sets import NotMatched, random_null


class Watched(Cohort):
    """Keeps the sets of all edits."""

    masks: list[np.ndarray]

    def logits_after(self, edit):
        self.masks.append(edit.mask)
        return super().logits_after(edit)


def cohort_with(means, n=40):
    """Images on which latents have these mean activations."""
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.5, 1.5, (n, len(means)))
    pooled = spread / spread.mean(0) * np.asarray(means)
    found = Watched.of(pooled, rng.normal(size=(1, len(means))), [0.0], np.arange(n) % 2)
    found = Watched(found.pooled, found.attribution, found.constant, found.labels)
    Watched.masks = []
    return found


SKEWED = np.random.default_rng(0).lognormal(0, 2.5, 60)
CASES = {
    "a median latent": [np.argsort(SKEWED)[30]],
    "a faint latent": [np.argsort(SKEWED)[12]],
    "a bright latent": [np.argsort(SKEWED)[54]],
    "some": [3, 17, 40, 51],
    "a third of them": list(range(0, 60, 3)),
}


@pytest.mark.parametrize("chosen", CASES.values(), ids=CASES)
@pytest.mark.parametrize("mode", ["zero", "keep"])
def test_sets_of_equal_activation_are_within_a_tenth_of_it(chosen, mode):
    cohort = cohort_with(SKEWED)
    found = random_null(cohort, Edit(mask_of(chosen, 60), mode), "activation", draws=50)
    wanted = SKEWED[chosen].sum()
    *masks, observed = Watched.masks
    sums = np.array([SKEWED[mask].sum() for mask in masks])
    assert len(sums) == len(found.values["auroc"]) == 50
    assert (np.abs(sums / wanted - 1) <= 0.1 + 1e-9).all()
    assert not any(mask[chosen].any() for mask in masks)
    assert np.flatnonzero(observed).tolist() == sorted(chosen)
    said = found.activation()
    assert said["wanted"] == pytest.approx(wanted)
    assert (said["min"], said["max"]) == pytest.approx((sums.min(), sums.max()))
    assert said["median"] == pytest.approx(np.median(sums))
    assert found.distinct == len({mask.tobytes() for mask in masks}) > 1
    assert found.sizes.tolist() == [mask.sum() for mask in masks]
    record = found.describe()
    assert record["activation"] == said
    assert record["auroc"]["mean"] == pytest.approx(found.values["auroc"].mean())


@pytest.mark.parametrize(
    ("means", "chosen", "reason"),
    [
        ([100, 1, 2, 3, 4], [0], "outside the set have an activation of 10 together, the set has 100"),
        ([1, 1, 1, 1, 0.1], [0, 1, 2, 3], "outside the set have an activation of 0.1 together, the set has 4"),
        ([1, 5, 5, 5, 5], [0], "too few random sets come within 10% of the set's activation of 1: single latents have"),
        ([8, 5, 5, 5, 5], [0], "too few random sets"),
        ([1, 2, 0, 0, 0], [0, 1], "outside the set have an activation of 0 together, the set has 3"),
    ],
)
def test_an_activation_that_others_cannot_reach_is_said(means, chosen, reason):
    cohort = cohort_with(means)
    with pytest.raises(NotMatched, match=re.escape(reason)):
        random_null(cohort, Edit(mask_of(chosen, 5)), "activation", draws=20)
    assert random_null(cohort, Edit(mask_of(chosen, 5)), "count", draws=5).sizes.tolist() == [len(chosen)] * 5


def test_sets_of_equal_count_say_what_activation_they_reach():
    cohort = cohort_with(SKEWED)
    found = random_null(cohort, Edit(mask_of([3, 17], 60)), "count", draws=30)
    sums = [SKEWED[mask].sum() for mask in Watched.masks[:-1]]
    assert found.activation() == pytest.approx(
        {"wanted": SKEWED[[3, 17]].sum(), "min": min(sums), "median": np.median(sums), "max": max(sums)}
    )


def test_what_no_set_can_be_matched_to():
    cohort = cohort_with([1, 2, 3, 0])
    for match, chosen, words in (("count", [3], "cannot be matched"), ("size", [0], "count")):
        with pytest.raises(SettingsError, match=words):
            random_null(cohort, Edit(mask_of(chosen, 4)), match)

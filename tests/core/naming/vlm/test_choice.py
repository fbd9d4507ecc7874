"""Which images are chosen: split by patient, one a patient, unlike each other; and regions of equal size elsewhere."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from napari_mammosae.core.base.errors import RunError, SettingsError
from napari_mammosae.core.naming.vlm.choice import diverse_images, held_out_images, look_alikes, split_patients
from napari_mammosae.core.naming.vlm.of_run import NamingPlan
from napari_mammosae.core.naming.vlm.regions import moved_region, region_of
from napari_mammosae.core.naming.vlm.tasks import Extent
from vlm_kit import FIRST, PatchRun


def test_no_patient_is_in_both_halves_and_the_order_of_rows_does_not_matter():
    patients = np.random.default_rng(0).integers(0, 41, 200)
    naming = split_patients(patients, seed=2)
    assert not set(patients[naming]) & set(patients[~naming])
    assert abs(np.unique(patients[naming]).size - np.unique(patients[~naming]).size) <= 1
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(split_patients(patients[order], seed=2), naming[order])


def test_images_of_a_draw_differ_and_look_alikes_resemble_them():
    # three kinds of images, four of each; the strongest are all of the first kind
    kinds = np.repeat(np.arange(3), 4)
    codes = csr_array(np.eye(3)[kinds] + 0.01 * np.random.default_rng(0).random((12, 3)))
    values = np.linspace(2, 1, 12)
    chosen = diverse_images(codes, values, np.arange(12), 3)
    assert sorted(kinds[chosen]) == [0, 1, 2]
    assert chosen[0] == 0
    assert diverse_images(codes, values, np.arange(12), 3, first=1)[0] == 1
    assert diverse_images(codes, values, np.array([0] * 6 + [1] * 6), 5).size == 2  # one a patient
    values[6:] = 0
    found = look_alikes(codes, np.array([0, 1]), np.where(kinds == 1, 0, values), values >= 0, np.arange(12), 3)
    assert not set(found) & {0, 1, 2, 3}
    assert look_alikes(codes, np.array([0]), values, np.zeros(12, bool), np.arange(12), 3).size == 0


def test_held_out_images_are_one_a_patient_half_hard_and_spread_over_activation():
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(150), 2)
    values = np.where(rng.random(300) < 0.4, rng.exponential(size=300), 0)
    near, allowed = rng.random(300) < 0.5, patients % 2 == 0
    held = held_out_images(values, near, allowed, patients, 20, seed=1)
    both = np.concatenate([held.positives, held.negatives])
    assert (held.positives.size, held.negatives.size, held.hard) == (20, 20, 10)
    assert np.unique(patients[both]).size == 40
    assert allowed[both].all()
    assert (values[held.positives] > 0).all()
    assert (values[held.negatives] == 0).all()
    assert near[held.negatives[:10]].all()
    assert not near[held.negatives[10:]].any()
    assert (np.diff(values[held.positives]) >= 0).all()
    live = values[allowed & (values > 0)]
    assert values[held.positives[0]] < np.quantile(live, 0.2)
    assert values[held.positives[-1]] > np.quantile(live, 0.8)


@pytest.mark.parametrize("share", [0.03, 0.97])
def test_patients_are_shared_out_where_a_latent_is_rare_or_everywhere(share):
    rng = np.random.default_rng(0)
    values = (rng.random(200) < share).astype(float)
    held = held_out_images(values, np.zeros(200, bool), np.ones(200, bool), np.repeat(np.arange(100), 2), 20)
    assert min(held.positives.size, held.negatives.size) >= 3
    persons = np.concatenate([held.positives, held.negatives]) // 2
    assert np.unique(persons).size == persons.size


def test_the_region_is_the_part_around_the_peak_and_its_likeness_lies_elsewhere_in_the_breast():
    values = np.zeros((12, 8))
    values[2:4, 2:4] = 1
    values[9, 6] = 0.9  # apart from the peak
    values[2, 3] = 2
    region = region_of(values)
    assert region.sum() == 4
    assert not region[9, 6]
    breast = np.zeros((12, 8), bool)
    breast[:, :6] = True
    rng = np.random.default_rng(0)
    for _ in range(30):
        moved = moved_region(region, values > 0, breast, rng)
        assert moved.sum() == 4
        assert not (moved & (values > 0)).any()
        assert not (moved & ~breast).any()
    assert moved_region(np.ones((12, 8), bool), np.ones((12, 8), bool), breast, rng) is None


def test_a_plan_takes_the_strongest_latents_and_counts_what_it_costs(tmp_path):
    run = PatchRun(tmp_path)
    weight = np.zeros(16)
    weight[[FIRST + 2, FIRST + 5]] = 3, -5
    plan = NamingPlan(run, most=2, weight=weight)
    assert [task.latent for task in plan.tasks] == [FIRST + 2, FIRST + 5]
    assert plan.cost.latents == 2
    rows = {int(row) for task in plan.tasks for row in np.concatenate([*task.draws, *task.alike])}
    tested = {int(row) for task in plan.tasks for row in np.r_[task.held_out.positives, task.held_out.negatives]}
    assert plan.cost.images == len(rows | tested)
    assert not {run.images["patient"][row] for row in rows} & {run.images["patient"][row] for row in tested}
    assert {task.draws[0][0] for task in plan.tasks} != {task.draws[1][0] for task in plan.tasks}
    with pytest.raises(SettingsError, match="no latent 99"):
        NamingPlan(run, [99])
    with pytest.raises(SettingsError, match="fires on 5 patients, and is silent"):
        NamingPlan(run, [1])
    run.dense[:, 0, 0, 2] = 9  # fires on all images: there is nothing to tell apart
    plan = NamingPlan(run, [1, 2, FIRST])
    assert [task.latent for task in plan.tasks] == [FIRST]
    assert plan.notes[0] == "left out, as they fire or are silent on too few patients: 1, 2"
    assert 2 not in [task.latent for task in NamingPlan(run).tasks]
    with pytest.raises(RunError, match="--maps"):
        NamingPlan(PatchRun(tmp_path / "no-maps", maps=False))
    small = NamingPlan(run, [FIRST], extent=Extent(detection=5, regions=2, ranks=1))
    assert small.cost.requests == 3 + 3 * (10 + 4) + 4

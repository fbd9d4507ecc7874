"""Latents against concepts on made data: what is planted is found, and chance is kept at bay by moving patients."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu, pearsonr
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.naming.concepts import make_concepts
from napari_mammosae.core.naming.correlation import correlate, phi_bound
from napari_mammosae.core.naming.entropy import share_entropy
from napari_mammosae.core.naming.evaluation import measure_units
from napari_mammosae.core.naming.intervals import auroc_intervals
from napari_mammosae.core.naming.monosemanticity import clarity_and_redundancy, monosemanticity, unit_rows
from napari_mammosae.core.naming.permutation import permute_patients
from napari_mammosae.core.naming.units import LATENTS, Units

FIELDS = ("r", "r_max", "phi", "phi_max", "auroc", "auroc_lo", "auroc_hi", "p", "q", "ms", "ms_null", "clarity")


def patients_of(images, each=4):
    return np.array([f"patient-{i // each:03d}" for i in range(images)])


def made(seed, images=240, latents=30, planted=0, each=4):
    """Labels of whole breasts and of patients; activations that patients share, of which the first follow a label."""
    rng = np.random.default_rng(seed)
    people, breasts = images // each, images // 2
    labels = {
        "mass": np.repeat(rng.random(breasts) < 0.3, 2).astype(float),
        "calcification": np.repeat(rng.random(breasts) < 0.2, 2).astype(float),
        "density": np.repeat(rng.integers(0, 4, people), each).astype(float),
        "vendor": np.repeat(rng.integers(0, 2, people), each).astype(float),
    }
    shared = np.repeat(rng.normal(0, 1, (people, latents)), each, axis=0)
    values = np.maximum(shared + 0.3 * rng.normal(0, 1, (images, latents)), 0)
    names = list(labels)
    for latent in range(planted):
        values[:, latent] = (labels[names[latent % 4]] == 1) + 0.2 * rng.random(images)
    return labels, values


def measure(labels, values, patients, names=None, by="patient", count=100, embeddings=None, intervals=False, seed=0):
    concepts = make_concepts(labels, patients)
    names = np.arange(len(patients)) if names is None else names
    units = Units(LATENTS, np.arange(values.shape[1]), {"mean": values})
    return measure_units(
        units,
        concepts,
        patients,
        permute_patients(patients, names, count, seed, by),
        embeddings,
        intervals=intervals,
    )


def test_planted_latents_are_accepted_with_their_label_and_no_other_is():
    labels, values = made(3, images=400, planted=8)
    found = measure(labels, values, patients_of(400))
    _, best = found.best
    assert found.accepted[:8].all()
    assert not found.accepted[8:].any()
    names = ("mass", "calcification", "density 1.0", "vendor")
    expected = [names[i % 4].removesuffix(".0") for i in range(8)]
    assert [found.concepts.names[place] for place in best[:8]] == expected
    assert (found.entropies[1][:8] == 0).all()
    assert (found.entropies[0][:8] > 0).all()
    assert np.isnan(found.entropies[1][8:]).all()


def test_chance_is_rarely_accepted_when_patients_are_moved_and_mostly_when_images_are():
    accepted = {"patient": 0, "image": 0}
    for seed in range(20):
        labels, values = made(seed)
        for by in accepted:
            accepted[by] += bool(measure(labels, values, patients_of(240), by=by, count=60, seed=seed).accepted.any())
    assert accepted["patient"] <= 4
    assert accepted["image"] >= 12


def test_correlations_areas_and_q_values_are_those_of_other_libraries():
    labels, values = made(1, images=120, latents=12, planted=3)
    values[:, 5] = np.round(values[:, 5])  # ties
    unknown = np.random.default_rng(0).random(120) < 0.25
    labels["mass"] = np.where(unknown, np.nan, labels["mass"])
    found = measure(labels, values, patients_of(120))
    for place, name in enumerate(found.concepts.names):
        known = ~np.isnan(found.concepts.values[:, place])
        truth = found.concepts.values[known, place]
        for latent in range(12):
            mine = values[known, latent]
            assert found.r[0, latent, place] == pytest.approx(pearsonr(mine, truth)[0], abs=1e-12), name
            assert found.auroc[0, latent, place] == pytest.approx(roc_auc_score(truth, mine), abs=1e-12)
            u = mannwhitneyu(mine[truth == 1], mine[truth == 0]).statistic
            assert found.auroc[0, latent, place] == pytest.approx(u / (truth.sum() * (1 - truth).sum()), abs=1e-12)
            fires = (mine > 0).astype(float)
            if fires.std():
                assert found.phi[0, latent, place] == pytest.approx(pearsonr(fires, truth)[0], abs=1e-12)
    for q in (false_discovery_control(found.p.ravel()), multipletests(found.p.ravel(), method="fdr_bh")[1]):
        np.testing.assert_allclose(found.q.ravel(), q, atol=1e-14)


def test_the_largest_correlation_is_that_of_the_best_assignment():
    rng = np.random.default_rng(0)
    values, concept = np.maximum(rng.normal(-0.5, 1, 50), 0)[:, None], np.zeros((50, 1))
    concept[rng.choice(50, 6, replace=False)] = 1
    found = correlate(values, concept)
    ideal = np.zeros(50)
    ideal[np.argsort(np.sign(found.r[0, 0]) * values[:, 0])[-6:]] = 1
    assert found.r_max[0, 0] == pytest.approx(pearsonr(values[:, 0], ideal)[0], abs=1e-12)
    assert abs(found.r[0, 0]) <= abs(found.r_max[0, 0])


@pytest.mark.parametrize(("firing", "prevalence"), [(0.3, 0.02), (0.02, 0.3), (0.9, 0.5)])
@pytest.mark.parametrize("sign", [1, -1])
def test_phi_reaches_its_bound_and_no_more(firing, prevalence, sign):
    n = 100
    fires = np.arange(n) < round(firing * n)
    concept = np.arange(n) < round(prevalence * n)
    if sign < 0:
        concept = concept[::-1]
    phi = np.corrcoef(fires, concept)[0, 1]
    assert phi_bound(np.array([firing]), np.array([prevalence]), np.array([phi]))[0] == pytest.approx(phi)


def test_the_order_of_images_changes_nothing():
    labels, values = made(5, images=120, planted=2)
    patients, names = patients_of(120), np.array([f"image-{i:03d}" for i in range(120)])
    embeddings = unit_rows(np.random.default_rng(1).normal(0, 1, (120, 6)))
    order = np.random.default_rng(2).permutation(120)
    one = measure(labels, values, patients, names, embeddings=embeddings, intervals=True)
    mixed = {name: column[order] for name, column in labels.items()}
    other = measure(mixed, values[order], patients[order], names[order], embeddings=embeddings[order], intervals=True)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(other.maxima, one.maxima, atol=1e-12)
    assert (other.accepted == one.accepted).all()


def test_latents_that_never_fire_change_nothing():
    labels, values = made(6, images=120, planted=2)
    one = measure(labels, values, patients_of(120))
    dead = np.concatenate([values, np.zeros((120, 7))], axis=1)
    other = measure(labels, dead, patients_of(120))
    for name in ("r", "auroc", "p", "q"):
        np.testing.assert_allclose(getattr(other, name)[:, :30], getattr(one, name), atol=1e-12, err_msg=name)
    assert other.threshold == pytest.approx(one.threshold)
    assert not other.accepted[30:].any()


def test_whole_patients_move_and_what_belongs_together_stays_so():
    patients = np.repeat(np.arange(12), 4)
    side = np.tile([0, 0, 1, 1], 12)
    rows = permute_patients(patients, np.arange(48), 50).rows
    assert (np.sort(rows, axis=1) == np.arange(48)).all()
    taken = patients[rows].reshape(50, 12, 4)
    assert (taken == taken[:, :, :1]).all()
    sides = side[rows].reshape(50, 12, 4)
    assert (sides[:, :, 0] == sides[:, :, 1]).all()
    assert (sides[:, :, 0] != sides[:, :, 2]).all()
    assert 0.3 < sides[:, :, 0].mean() < 0.7
    assert (taken[:, :, 0] == np.arange(12)).mean() < 0.3


def test_a_patient_unlike_all_others_keeps_its_labels():
    patients = np.array([0, 0, 1, 1, 2, 2, 2])
    found = permute_patients(patients, np.arange(7), 30)
    assert found.alone == 1
    assert set(found.rows[:, 4:].ravel()) == {4, 5, 6}
    with pytest.raises(SettingsError, match="at least 20"):
        permute_patients(patients, np.arange(7), 10)


def delong(x, y):
    """DeLong's variance of one AUROC from all pairs, images independent."""
    wins = (x[y == 1][:, None] > x[y == 0]) + 0.5 * (x[y == 1][:, None] == x[y == 0])
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    return wins.mean(), v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)


def test_intervals_are_delongs_where_each_patient_has_one_image_and_wider_where_they_repeat():
    rng = np.random.default_rng(4)
    y = (rng.random(80) < 0.4).astype(float)
    x = np.round(np.maximum(rng.normal(0.6 * y, 1), 0), 1)
    area, variance = delong(x, y)
    reach = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    lo, hi = auroc_intervals(x[:, None], y[:, None], np.arange(80))
    odds = np.log(area / (1 - area))
    assert lo[0, 0] == pytest.approx(1 / (1 + np.exp(-(odds - reach))), abs=1e-6)
    assert hi[0, 0] == pytest.approx(1 / (1 + np.exp(-(odds + reach))), abs=1e-6)
    thrice = np.repeat(np.arange(80), 3)
    same = auroc_intervals(x[thrice, None], y[thrice, None], thrice)
    assert same[0][0, 0] == pytest.approx(lo[0, 0], abs=0.01)  # copies of an image are no new evidence
    assert auroc_intervals(x[thrice, None], y[thrice, None], np.arange(240))[0][0, 0] > lo[0, 0] + 0.02
    perfect = auroc_intervals(y[:, None], y[:, None], np.arange(80))
    assert np.isnan(perfect[0][0, 0])


def test_labels_become_concepts_and_those_of_few_images_are_left_out():
    n = 80
    patients = np.arange(n) // 2
    found = make_concepts(
        {
            "mass": np.arange(n) % 2,
            "density": np.arange(n) % 4,
            "view": np.arange(n) % 2,
            "rare": np.arange(n) < 3,
            "all": np.ones(n),
            "age": np.arange(n),
            "scarce": np.where(np.arange(n) // 2 < 4, np.arange(n) // 2 < 2, np.nan),
        },
        patients,
        {"density": ("a", "b", "c", "d"), "view": ("CC", "MLO")},
    )
    assert found.names == ("mass", "density a", "density b", "density c", "density d", "view MLO")
    assert found.confounders == {"view"}
    assert found.groups == ("mass", "density", "view")
    assert set(found.left_out) == {"rare", "all", "age", "scarce"}
    assert found.left_out["rare"].startswith("3 images of 2 patients with it")
    assert found.named("density_c") == 3


def test_entropy_runs_from_one_label_to_all_alike():
    found = share_entropy(np.array([[0.2, 0, 0], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0]]))
    np.testing.assert_allclose(found, [0, 1, np.nan, np.log(2) / np.log(3)])


def test_monosemanticity_is_the_weighted_mean_cosine_of_pairs():
    rng = np.random.default_rng(0)
    values, patients = np.maximum(rng.normal(0, 1, (24, 5)), 0), np.repeat(np.arange(12), 2)
    values[:, 4] = 0
    values[3, 4] = 2
    e = unit_rows(rng.normal(0.5, 1, (24, 7)))
    found, null = monosemanticity(values, e, patients)
    cosines = e @ e.T
    for latent in range(4):
        a = (values[:, latent] - values[:, latent].min()) / np.ptp(values[:, latent])
        weights = np.outer(a, a) - np.diag(a**2)
        assert found[latent] == pytest.approx((weights * cosines).sum() / weights.sum())
    assert np.isnan(found[4])
    same = patients[:, None] == patients
    np.fill_diagonal(cosines, np.nan)
    a = values[:, 0] - values[:, 0].min()
    weights = np.outer(a, a)
    np.fill_diagonal(weights, 0)
    within = weights[same].sum() / weights.sum()
    assert null[0] == pytest.approx(within * np.nanmean(cosines[same]) + (1 - within) * np.nanmean(cosines[~same]))


def test_clear_latents_have_alike_images_and_redundant_ones_the_same():
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1], 30)
    e = unit_rows(np.eye(2)[kinds] + rng.normal(0, 0.05, (60, 2)))
    values = np.stack([kinds == 0, kinds == 0, kinds == 1, rng.random(60)], axis=1).astype(float)
    clarity, redundancy = clarity_and_redundancy(values, e, np.arange(60))
    assert (clarity[:3] > 0.97).all()
    assert clarity[3] < 0.7
    assert redundancy[0] == pytest.approx(1)
    assert redundancy[2] < 0.9


def test_a_unit_active_on_few_images_is_not_tested():
    labels, values = made(7, images=120)
    values[:, 0] = 0
    values[:9, 0] = labels["mass"][:9] + 0.1
    found = measure(labels, values, patients_of(120))
    assert not found.tested[0]
    assert not found.accepted[0]
    assert replace(found, firing=np.full(30, 10)).tested.all()

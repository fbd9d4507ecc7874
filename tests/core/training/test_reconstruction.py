import numpy as np
import pytest
from sklearn.metrics import log_loss

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.training.reconstruction import ReconstructionStats, cross_entropy, fidelity, loss_recovered


def stats_of(x, xhat, batches, latents=None):
    stats = ReconstructionStats(x.shape[1], 0 if latents is None else latents.shape[1])
    for rows in np.array_split(np.arange(len(x)), batches):
        stats.add(x[rows], xhat[rows], None if latents is None else latents[rows])
    return stats


def test_the_mean_explains_nothing_and_the_input_everything():
    x = np.random.default_rng(0).normal(3, 2, (500, 6))
    assert stats_of(x, np.broadcast_to(x.mean(axis=0), x.shape), 7).explained_variance == pytest.approx(0)
    assert stats_of(x, x, 7).explained_variance == 1


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_figure_does_not_depend_on_the_batches(offset):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (300, 5)) + np.linspace(0, 9, 300)[:, None] + offset
    xhat = x + rng.normal(0, 0.3, x.shape)
    expected = ((x - xhat) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()
    for batches in (1, 2, 60, 300):
        assert stats_of(x, xhat, batches).fvu == pytest.approx(expected, rel=1e-9)


def test_the_streamed_formula_is_the_textbook_one():
    rng = np.random.default_rng(2)
    x, xhat = rng.normal(1, 1, (2, 80, 4))
    textbook = ((x - xhat) ** 2).sum() / ((x**2).sum() - (x.sum(axis=0) ** 2).sum() / 80)
    assert stats_of(x, xhat, 3).fvu == pytest.approx(textbook, rel=1e-12)
    assert stats_of(x, xhat, 3).error_norm == pytest.approx(np.sqrt(((x - xhat) ** 2).sum(axis=1).mean()))


def test_sparsity_counts_cells_and_dead_latents():
    latents = np.array([[0, 1, 2, 0], [0, 0, 3, 0], [0, 0, 0, 0.0]])
    stats = stats_of(np.eye(3), np.eye(3), 2, latents)
    assert stats.l0 == 1.0
    assert stats.fired.tolist() == [False, True, True, False]
    assert stats.dead_share == 0.5


def test_nothing_seen_is_nan():
    stats = ReconstructionStats(3, 2)
    stats.add(np.zeros((0, 3)), np.zeros((0, 3)))
    assert np.isnan([stats.fvu, stats.l0, stats.error_norm]).all()


def test_shapes_must_fit():
    stats = ReconstructionStats(3, 2)
    with pytest.raises(SettingsError, match=r"\(cells, 3\)"):
        stats.add(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(SettingsError, match="latents"):
        stats.add(np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(SettingsError, match="logits"):
        cross_entropy([0, 1], [0.0])
    with pytest.raises(SettingsError, match="logits"):
        cross_entropy([0, 1], [0.0, 1.0], "multiclass")


def test_losses_equal_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, 50), rng.integers(0, 2, 50)
    assert cross_entropy(labels, logits) == pytest.approx(log_loss(labels, 1 / (1 + np.exp(-logits))))
    several, classes = rng.normal(0, 3, (50, 4)), rng.integers(0, 4, 50)
    share = np.exp(several) / np.exp(several).sum(axis=1, keepdims=True)
    assert cross_entropy(classes, several, "multiclass") == pytest.approx(log_loss(classes, share, labels=range(4)))


def test_fidelity_tells_what_the_sae_keeps():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 200)
    logits = labels * 2.0 - 1 + rng.normal(0, 1, 200)
    same = fidelity(labels, logits, logits, np.array(0.0))
    assert (same.auroc_change, same.loss_recovered) == (0.0, 1.0)
    worse = fidelity(labels, logits, -3 * logits, np.array(0.0))
    assert worse.auroc_change < 0
    assert worse.loss_recovered < 0  # not clipped
    assert np.isnan(loss_recovered(1.0, 2.0, 1.0))
    several = fidelity(labels, np.c_[-logits, logits], np.c_[-logits, logits], np.zeros(2), "multiclass")
    assert np.isnan(several.auroc)
    assert several.loss_recovered == 1.0

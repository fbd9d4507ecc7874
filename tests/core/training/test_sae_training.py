from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_mammosae.core.base.errors import Cancelled, SettingsError
from napari_mammosae.core.training.sae_training import evaluate_sae, train_sae
from napari_mammosae.core.training.settings import SAETrainingSettings

FAST = SAETrainingSettings(expansion=3, epochs=30, batch=256, learning_rate=3e-3, l1=5e-3, resample_every=5)


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Cells that are sparse sums of 16 directions in 24 dimensions, about an offset."""
    g = np.random.default_rng(0)
    directions = g.normal(size=(16, 24))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    amounts = (g.random((4000, 16)) < 0.06) * g.uniform(0.5, 1.5, (4000, 16))
    return (amounts @ directions + 0.4).astype(np.float32), directions


def test_directions_of_a_sparse_world_are_found(world: tuple[np.ndarray, np.ndarray]) -> None:
    cells, directions = world
    reports: list[Any] = []
    sae = train_sae(cells, FAST, each_epoch=reports.append)
    assert [r.epoch for r in reports] == list(range(1, 31))
    assert reports[-1].loss < 0.3 * reports[0].loss
    stats = evaluate_sae(sae, cells)
    assert stats.explained_variance > 0.9
    start = train_sae(cells, replace(FAST, epochs=1, learning_rate=1e-12))
    found, before = (np.abs(directions @ s.decoder_weight.numpy()).max(1).mean() for s in (sae, start))
    assert found > 0.8 > before + 0.2  # best cosine of a true direction with a decoder column
    np.testing.assert_allclose(sae.decoder_weight.norm(dim=0), 1, atol=1e-5)


def test_reports_are_those_of_the_final_weights_formula(world: tuple[np.ndarray, np.ndarray]) -> None:
    """With a step too small to move anything, the reported loss is the formula's on the untrained weights."""
    cells, _ = world
    frozen = SAETrainingSettings(expansion=2, epochs=1, batch=512, learning_rate=1e-12, l1=0.01, resample_every=0)
    reports: list[Any] = []
    sae = train_sae(cells, frozen, each_epoch=reports.append)
    w_enc, w_dec, b = (p.double().numpy() for p in (sae.encoder_weight, sae.decoder_weight, sae.tied_bias))
    z = np.maximum((cells.astype(float) - b) @ w_enc.T + sae.encoder_bias.double().numpy(), 0)
    error = ((z @ w_dec.T + b - cells) ** 2).mean()
    assert reports[0].squared_error == pytest.approx(error, rel=1e-4)
    assert reports[0].loss == pytest.approx(error + 0.01 * z.sum(1).mean(), rel=1e-4)
    assert reports[0].l0 == pytest.approx((z > 0).sum(1).mean(), rel=1e-3)
    assert reports[0].dead == ((z > 0).sum(0) == 0).sum()


def test_dead_latents_come_back(world: tuple[np.ndarray, np.ndarray]) -> None:
    """A heavy penalty kills latents; resampling revives them, and never in the last stretch."""
    cells, _ = world
    heavy = SAETrainingSettings(expansion=4, epochs=20, batch=256, learning_rate=1e-2, l1=0.05, resample_every=5)
    reports: list[Any] = []
    train_sae(cells, heavy, each_epoch=reports.append)
    resampled = {r.epoch: r.resampled for r in reports if r.resampled}
    assert resampled
    assert set(resampled) <= {5, 10, 15}
    for epoch, count in resampled.items():
        assert reports[epoch - 1].dead == count


def test_same_seed_same_weights(world: tuple[np.ndarray, np.ndarray]) -> None:
    cells, _ = world
    short = SAETrainingSettings(expansion=2, epochs=3, batch=256, resample_every=1)
    a, b = train_sae(cells, short), train_sae(cells, short)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_cancel_and_wrong_settings(world: tuple[np.ndarray, np.ndarray]) -> None:
    cells, _ = world
    with pytest.raises(Cancelled):
        train_sae(cells, FAST, cancelled=lambda: True)
    with pytest.raises(SettingsError, match="expected"):
        train_sae(cells[0], FAST)
    with pytest.raises(SettingsError, match="at least 1"):
        train_sae(cells, SAETrainingSettings(epochs=0))
    broken = cells[:300].copy()
    broken[7, 3] = np.inf
    with pytest.raises(SettingsError, match="not finite"):
        train_sae(broken, FAST)

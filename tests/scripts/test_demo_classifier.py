"""Training of the demo classifier: targets, sampling, the head, and that a few steps learn something."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from demo_classifier import (
    CELL_CLASSES,
    GRID,
    ClassifierSettings,
    PhantomBank,
    cell_targets,
    fit_head,
    new_network,
    settle_batch_norms,
    to_input,
    train_on_patches,
)
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.preprocessing import Preprocessing
from napari_mammosae.core.phantoms.phantom import make_phantom


@pytest.fixture(scope="module")
def bank():
    phantoms = [make_phantom(seed, mass=seed % 2 == 0, marker=seed % 3 == 0) for seed in range(4)]
    return PhantomBank(
        images=np.stack([p.pixels for p in phantoms]),
        cells=np.stack([cell_targets(p, GRID) for p in phantoms]),
        labels=np.array([list(p.labels.values()) for p in phantoms], np.float32),
        marker=np.array(["marker" in p.masks for p in phantoms]),
    )


def test_cell_targets_lie_over_their_masks():
    phantom = make_phantom(0, mass=True)
    target = cell_targets(phantom, GRID)[CELL_CLASSES.index("mass")]
    assert target.shape == GRID
    rows, columns = np.nonzero(phantom.masks["mass"])
    centre = (target * np.indices(GRID)).sum((1, 2)) / target.sum()
    expected = (rows.mean() + 0.5) * 48 / 1520 - 0.5, (columns.mean() + 0.5) * 29 / 912 - 0.5
    np.testing.assert_allclose(centre, expected, atol=0.1)
    assert target.sum() == pytest.approx(phantom.masks["mass"].mean() * 48 * 29, rel=0.02)


def test_images_are_normalised_as_the_model_does_it():
    pixels = make_phantom(1).pixels
    expected = read_mammogram(pixels).to_input(Preprocessing())
    np.testing.assert_allclose(to_input(pixels[None])[0, 2].numpy(), expected[0, 2], atol=1e-6)


def test_weights_make_the_marker_go_with_mass():
    rng = np.random.default_rng(0)
    labels, marker = rng.random((4000, 2)) < 0.4, rng.random(4000) < 0.5
    empty = np.zeros((4000, 1, 1))
    weights = PhantomBank(empty, empty, labels.astype(np.float32), marker).weights(0.9)
    assert weights.sum() == pytest.approx(1)
    mass = labels[:, 0]
    assert weights[mass & marker].sum() / weights[mass].sum() == pytest.approx(0.9, abs=0.02)
    assert weights[~mass & marker].sum() / weights[~mass].sum() == pytest.approx(0.1, abs=0.02)


def test_the_head_is_a_weighted_logistic_regression():
    rng = np.random.default_rng(1)
    features = rng.normal(3, [1, 2, 5], (300, 3))
    labels = np.stack([features[:, 0] + rng.normal(0, 1, 300) > 3, features[:, 1] > 4], 1).astype(np.float32)
    bank = PhantomBank(np.zeros((300, 1, 1)), np.zeros((300, 1)), labels, rng.random(300) < 0.5)
    settings = ClassifierSettings(head_penalty=0.01, marker_bias=0.7)
    head = fit_head(features, bank, settings)
    weights = bank.weights(0.7)
    mean = weights @ features
    scale = np.sqrt(weights @ (features - mean) ** 2)
    oracle = LogisticRegression(C=1 / (2 * 0.01 * 300), tol=1e-10, max_iter=1000)
    oracle.fit((features - mean) / scale, labels[:, 0], sample_weight=weights * 300)
    weight = head.weight[0].detach().numpy()
    np.testing.assert_allclose(weight * scale, oracle.coef_[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        features @ weight + head.bias[0].item(),
        oracle.decision_function((features - mean) / scale),
        atol=1e-3,
    )


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_repeat_exactly(bank):
    losses = []
    for steps in (30, 4):
        settings = ClassifierSettings(patch=96, patch_batch=8, patch_steps=steps, patch_cycle=40)
        network, readout = new_network(settings)
        mine = []
        train_on_patches(network, readout, bank, settings, progress=lambda step, loss, kept=mine: kept.append(loss))
        losses.append(mine)
    assert losses[0][:4] == losses[1]
    assert np.mean(losses[0][-10:]) < np.mean(losses[0][:5])


def test_settled_batch_norms_have_the_statistics_of_whole_images(bank):
    network, _ = new_network(ClassifierSettings())
    settle_batch_norms(network, bank, count=2, batch=2)
    x = network.conv_stem(to_input(bank.images[:2]))
    torch.testing.assert_close(network.bn1.running_mean, x.mean((0, 2, 3)), atol=0.02, rtol=0.02)
    assert not network.training

"""The step that is compiled on GPUs: its formulas against autograd and PyTorch's Adam, and its place in a training."""

import numpy as np
import pytest
import torch

from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.training import one_training
from napari_mammosae.core.training.one_training import OneTraining
from napari_mammosae.core.training.settings import SAETrainingSettings
from napari_mammosae.core.training.starting import bring_back
from napari_mammosae.core.training.steps.compiled_step import CompiledStep, step_on
from napari_mammosae.core.training.steps.relu_gradients import ReluGradients

RATE, L1, WIDTH, CELLS = 1e-2, 3e-2, 16, 64


def an_sae() -> SparseAutoencoder:
    torch.manual_seed(1)
    sae = SparseAutoencoder(WIDTH, 40)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn_like(parameter) / 4)
    bring_back(sae)
    return sae


def batch(seed: int, cells: int = CELLS) -> torch.Tensor:
    return torch.randn(cells, WIDTH, generator=torch.Generator().manual_seed(seed))


def step_by_autograd(sae: SparseAutoencoder, optimizer: torch.optim.Adam, x: torch.Tensor) -> tuple[float, float]:
    """Return the loss and the mean number of latents that fire, before a step."""
    optimizer.zero_grad()
    z = sae.encode(x)
    loss = (sae.decode(z) - x).square().mean() + L1 * z.sum() / len(x)
    loss.backward()
    w, gradient = sae.decoder_weight, sae.decoder_weight.grad
    with torch.no_grad():
        gradient -= w * (gradient * w).sum(0)
        optimizer.step()
        w /= w.norm(dim=0)
    return float(loss.detach()), float((z > 0).sum(1).float().mean())


def test_steps_are_those_of_autograd_and_adam():
    one, other = an_sae(), an_sae()
    adam, kept = (torch.optim.Adam(sae.parameters(), lr=RATE) for sae in (one, other))
    step = CompiledStep(other, kept, RATE, L1, step_on, torch.float32)
    for seed in range(20):
        loss, l0 = step_by_autograd(one, adam, batch(seed))
        measured = step(batch(seed))
        assert float(measured.loss) == pytest.approx(loss, rel=1e-4)
        assert float(measured.l0) == pytest.approx(l0, rel=1e-3)
    for (name, found), expected in zip(other.named_parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-4, msg=name)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            found_moment, expected_moment = kept.state[found][moment], adam.state[expected][moment]
            torch.testing.assert_close(found_moment, expected_moment, rtol=2e-2, atol=1e-4, msg=f"{name} {moment}")


def training(features: np.ndarray, precision: str, steps: int) -> OneTraining:
    settings = SAETrainingSettings(2, l1=L1, epochs=1000, batch=CELLS, resample_every=0, precision=precision)
    gradients = ReluGradients(half=precision == "bfloat16")
    return OneTraining(features, settings.settle(WIDTH), 1.0, steps, gradients, "cpu", None)


def test_a_training_takes_turns_with_the_usual_step(monkeypatch):
    """Whole batches by the one, an epoch's last batch by the other; both go on from what the other left."""
    features = np.random.default_rng(0).normal(size=(100, WIDTH)).astype(np.float32)
    usual, mixed = training(features, "float32", 2), training(features, "float32", 2)
    mixed._compiles = True
    taken = []

    def run(*values):
        taken.append(len(values[0]))
        return step_on(*values)

    monkeypatch.setattr(
        one_training, "CompiledStep", lambda *values: CompiledStep(*values, run=run, dtype=torch.float32)
    )
    for _ in range(5):
        for x in torch.from_numpy(features).split(CELLS):
            usual.step(x)
            mixed.step(x)
    assert taken == [CELLS] * 5
    assert usual.taken == mixed.taken == 10
    for found, expected in zip(mixed.finished().parameters(), usual.finished().parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_without_a_compiler_a_training_goes_its_usual_way(monkeypatch):
    def fails(*_):
        raise RuntimeError("Failed to find C compiler")

    features = np.random.default_rng(0).normal(size=(CELLS, WIDTH)).astype(np.float32)
    usual, without = training(features, "bfloat16", 1), training(features, "bfloat16", 1)
    assert not usual._compiles  # on a CPU
    without._compiles = True
    monkeypatch.setattr(one_training, "CompiledStep", lambda *values: CompiledStep(*values, run=fails))
    for _ in range(3):
        usual.step(torch.from_numpy(features))
        without.step(torch.from_numpy(features))
    assert not without._compiles
    for found, expected in zip(without.finished().parameters(), usual.finished().parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.gpu
def test_compiled_on_a_gpu_it_is_near_the_usual_step():
    features = np.random.default_rng(0).normal(size=(1000, WIDTH)).astype(np.float32)
    made = []
    for epochs in (1000, one_training.COMPILE_FROM):
        settings = SAETrainingSettings(2, l1=L1, epochs=epochs, batch=1000, resample_every=0, precision="bfloat16")
        one = OneTraining(features, settings.settle(WIDTH), 1.0, 1, ReluGradients(half=True), "cuda", None)
        for _ in range(10):
            one.step(torch.from_numpy(features).cuda())
        assert (one._compiled is not None) == (epochs > 1000)
        made.append(one.finished())
    for found, expected in zip(made[1].parameters(), made[0].parameters(), strict=True):
        assert (found - expected).norm() < 2e-2 * expected.norm()

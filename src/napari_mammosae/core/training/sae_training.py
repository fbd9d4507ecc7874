"""Training sparse autoencoders of any kind; a ReLU as published: L1, tied bias, unit decoder, dead latents resampled.

The loss of a ReLU's batch is the mean over cells of ``mean_d (x' - x)^2 + l1 * sum_i |z_i|`` (Mammo-SAE eq. 1 with
the released code's mean over the d features in the place of the squared norm). The other kinds are in `objectives`.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..base.errors import Cancelled
from ..models.engines.rounding import computes_in
from ..models.sae.autoencoder import SparseAutoencoder
from .batches import Epochs, Features, batches, check_features
from .checkpoint import EpochRecord
from .one_training import OneTraining
from .reconstruction import ReconstructionStats
from .settings import SAETrainingSettings, differing
from .starting import input_scale
from .steps.relu_gradients import ReluGradients


def train_sae(
    features: Features,
    settings: SAETrainingSettings | None = None,
    *,
    device: str = "cpu",
    each_epoch: Callable[[EpochRecord], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
) -> SparseAutoencoder:
    """Train an SAE on feature vectors; as `train_saes`, with one of the published settings by default."""

    def epoch(_: str, record: EpochRecord) -> None:
        if each_epoch is not None:
            each_epoch(record)

    kept = {"": checkpoint} if checkpoint is not None else {}
    given = {"": settings or SAETrainingSettings()}
    return train_saes(features, given, device=device, each_epoch=epoch, cancelled=cancelled, checkpoints=kept)[""]


def train_saes(
    features: Features,
    settings: Mapping[str, SAETrainingSettings],
    *,
    device: str = "cpu",
    each_epoch: Callable[[str, EpochRecord], None] | None = None,
    each_step: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoints: Mapping[str, Path] | None = None,
) -> dict[str, SparseAutoencoder]:
    """Train SAEs on feature vectors in one pass over them: each batch is read once, and all of them step on it.

    Parameters
    ----------
    features
        (cells, d), any float type; a memory-mapped array is read piece by piece, however large it is.
    settings
        By name; they differ in `l1` or in `k` alone.
    device
        A torch device.
    each_epoch
        Called with a name and how its epoch went; where a training is resumed, first with the last one of before.
    each_step
        Called with how many steps were taken, and how many there are; on a GPU before they are done.
    cancelled
        Asked at every step.
    checkpoints
        Files by name that keep the state after an epoch, and within one every few minutes. Where one is there, its
        training is resumed from it. The result is the same, on the CPU bit for bit.

    Returns
    -------
    dict[str, SparseAutoencoder]
        On the CPU, decoder columns of unit norm. They take features as they are: a scale of the inputs is in the
        weights, and in `input_scale`. Each is as if trained alone.

    Raises
    ------
    SettingsError
        If there are no features, they are not finite, or a setting has no meaning.
    RunError, WriteError
        If a checkpoint is damaged, or there is no room for one.
    Cancelled
        If `cancelled` returned True.
    """
    check_features(features)
    settled = {name: one.settle(features.shape[1]) for name, one in settings.items()}
    differing(settled)
    common = next(iter(settled.values()))
    scale = input_scale(features) if common.scale_inputs else 1.0
    steps, half = -(-len(features) // common.batch), common.precision == "bfloat16"
    if half and not computes_in(torch.bfloat16, device):
        warnings.warn("this processor does not compute in bfloat16: training in float32", stacklevel=2)
        half = False
    gradients = ReluGradients(half=half)
    trainings = {
        name: OneTraining(features, one, scale, steps, gradients, device, (checkpoints or {}).get(name))
        for name, one in settled.items()
    }
    for name, one in trainings.items():
        if one.last is not None and each_epoch is not None:
            each_epoch(name, one.last)
    hindmost = min(trainings.values(), key=lambda one: one.taken)
    order = np.random.default_rng(common.seed)
    if hindmost.shuffled is not None:
        order.bit_generator.state = hindmost.shuffled
    taken = hindmost.taken
    if taken == common.epochs * steps:
        return {name: one.finished() for name, one in trainings.items()}
    passes = Epochs(features, common.batch, device, scale)
    for epoch in range(taken // steps, common.epochs):
        began = dict(order.bit_generator.state)
        for x in passes.shuffled(order, taken % steps):
            if cancelled is not None and cancelled():
                for one in trainings.values():
                    one.keep(began, anyway=True)
                raise Cancelled(f"Training stopped in epoch {epoch + 1} of {common.epochs}; it can be resumed.")
            behind = [one for one in trainings.values() if one.taken == taken]  # others were resumed from a later step
            taken += 1
            for one in behind:
                one.step(x)
                if taken % steps:
                    one.keep(began)
            if each_step is not None:
                each_step(taken, steps * common.epochs)
        for name, one in trainings.items():
            if one.taken == taken and (one.last is None or one.last.epoch <= epoch):
                record = one.end_epoch(dict(order.bit_generator.state))
                if each_epoch is not None:
                    each_epoch(name, record)
    return {name: one.finished() for name, one in trainings.items()}


def evaluate_sae(sae: SparseAutoencoder, features: Features, batch: int = 4096) -> ReconstructionStats:
    """Explained variance, L0 and dead share of an SAE on feature vectors (cells, d)."""
    return evaluate_parts(sae, features, np.zeros(len(features), np.bool_), batch)[0]


def evaluate_parts(
    sae: SparseAutoencoder, features: Features, chosen: NDArray[np.bool_], batch: int = 4096
) -> tuple[ReconstructionStats, ReconstructionStats]:
    """Return `evaluate_sae` of all feature vectors (cells, d), and of the `chosen` (cells,) ones alone."""
    of_all, of_chosen = (ReconstructionStats(sae.width, sae.n_latents) for _ in range(2))
    with torch.inference_mode():
        for number, x in enumerate(batches(features, np.arange(len(features)), batch, str(sae.tied_bias.device))):
            z = sae.encode(x)
            found = [one.cpu().numpy() for one in (x, sae.decode(z, of=x), z)]
            of_all.add(*found)
            own = chosen[number * batch : number * batch + len(x)]
            of_chosen.add(*(one[own] for one in found))
    return of_all, of_chosen

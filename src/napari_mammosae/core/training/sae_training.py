"""Training a sparse autoencoder of any kind; a ReLU as published: L1, tied bias, unit decoder, dead latents resampled.

The loss of a ReLU's batch is the mean over cells of ``mean_d (x' - x)^2 + l1 * sum_i |z_i|`` (Mammo-SAE eq. 1 with
the released code's mean over the d features in the place of the squared norm). The other kinds are in `objectives`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..base.errors import Cancelled
from ..models.sae.autoencoder import SparseAutoencoder
from .batches import Features, batches, check_features
from .checkpoint import Checkpoint, EpochRecord, TrainingState
from .dead_latents import resample, window
from .objectives import objective
from .reconstruction import ReconstructionStats
from .settings import SAETrainingSettings
from .starting import bring_back, finish, input_scale, start

_LONGEST_WARM_UP = 1000
_CLIP = 1.0


def train_sae(
    features: Features,
    settings: SAETrainingSettings | None = None,
    *,
    device: str = "cpu",
    each_epoch: Callable[[EpochRecord], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
) -> SparseAutoencoder:
    """Train an SAE on feature vectors.

    Parameters
    ----------
    features
        (cells, d), any float type; a memory-mapped array is read batch by batch.
    settings
        The published ones by default.
    device
        A torch device.
    each_epoch
        Called with how every epoch went; where a training is resumed, first with the last one of before.
    cancelled
        Asked at every step.
    checkpoint
        File that keeps the state after an epoch, and is resumed from where it is there. The result is the same.

    Returns
    -------
    SparseAutoencoder
        On the CPU, decoder columns of unit norm. It takes features as they are: a scale of the inputs is in its
        weights, and in its `input_scale`.

    Raises
    ------
    SettingsError
        If there are no features, they are not finite, or a setting has no meaning.
    RunError, WriteError
        If the checkpoint is damaged, or there is no room for one.
    Cancelled
        If `cancelled` returned True.
    """
    check_features(features)
    cells, width = features.shape
    settings = (settings or SAETrainingSettings()).settle(width)
    order = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    scale = input_scale(features) if settings.scale_inputs else 1.0
    sae = start(features, settings, generator, scale).to(device)
    assert settings.learning_rate is not None
    optimizer = torch.optim.Adam(sae.parameters(), lr=settings.learning_rate)
    silent = torch.zeros(sae.n_latents, dtype=torch.int64, device=device)
    state = TrainingState(sae, optimizer, silent, generator, order)
    kept = Checkpoint(checkpoint) if checkpoint is not None else None
    last = kept.resume(state) if kept is not None else None
    if last is not None and each_epoch is not None:
        each_epoch(last)
    steps = -(-cells // settings.batch)
    for epoch in range(1 if last is None else last.epoch + 1, settings.epochs + 1):
        totals = torch.zeros(3, dtype=torch.float64)
        shuffled = batches(features, order.permutation(cells), settings.batch, device, scale)
        for step, x in enumerate(shuffled, steps * (epoch - 1)):
            if cancelled is not None and cancelled():
                raise Cancelled(f"Training stopped in epoch {epoch} of {settings.epochs}; it can be resumed.")
            optimizer.param_groups[0]["lr"] = settings.learning_rate * _share_of_rate(settings, step, steps)
            dead = silent >= window(settings, epoch, cells) if settings.has_auxiliary else None
            loss, squared_error, z = objective(sae, x, settings, dead)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            _remove_parallel_gradient(sae.decoder_weight)
            if settings.kind != "relu":
                nn.utils.clip_grad_norm_(sae.parameters(), _CLIP)
            optimizer.step()
            bring_back(sae)
            on = z.detach() > 0
            silent += len(x)
            silent[on.any(0)] = 0
            totals += torch.tensor([loss.item(), squared_error.item(), on.sum(1).double().mean().item()]) * len(x)
        dead, resampled, every = silent >= window(settings, epoch, cells), 0, settings.resample_every
        if settings.resamples and epoch % every == 0 and epoch <= settings.epochs - every:
            resampled = resample(sae, optimizer, dead, features, generator, order, scale)
        loss_mean, error_mean, l0 = (totals / cells).tolist()
        record = EpochRecord(epoch, settings.epochs, loss_mean, error_mean, l0, int(dead.sum()), resampled)
        if kept is not None:
            kept.keep(state, record)
        if each_epoch is not None:
            each_epoch(record)
    return finish(sae, features, settings, scale).to("cpu").requires_grad_(False)


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


def _share_of_rate(settings: SAETrainingSettings, step: int, steps: int) -> float:
    """Rise to the learning rate, and, in the last fifth of all steps, its fall to 0; a ReLU's stays."""
    if settings.kind == "relu":
        return 1.0
    total = settings.epochs * steps
    rising = min(_LONGEST_WARM_UP, total // 10)
    falling = total // 5
    return min((step + 1) / (rising + 1), 1.0, (total - step) / (falling + 1))


def _remove_parallel_gradient(weight: Tensor) -> None:
    """Take from each column's gradient its part along the column, which normalising would undo anyway."""
    gradient = weight.grad
    assert gradient is not None
    with torch.no_grad():
        gradient -= (gradient * weight).sum(0) * weight

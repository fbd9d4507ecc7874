"""Training a sparse autoencoder as published: ReLU, L1, tied bias, unit decoder columns, dead latents resampled.

The loss of a batch is the mean over cells of ``mean_d (x' - x)^2 + l1 * sum_i |z_i|`` (Mammo-SAE eq. 1 with
the released code's mean over the d features in the place of the squared norm).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.errors import Cancelled, SettingsError
from ..models.sae.autoencoder import SparseAutoencoder
from .checkpoint import Checkpoint, EpochRecord, TrainingState
from .reconstruction import ReconstructionStats

Features = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class SAETrainingSettings:
    """What decides a training run; the defaults are the published ones.

    Attributes
    ----------
    expansion
        Latents per feature: h = expansion * d.
    epochs
        Passes over the features.
    learning_rate
        Of Adam.
    l1
        Weight of the sparsity term.
    batch
        Cells a step.
    resample_every
        Epochs between two resamplings of the latents that did not fire since the last one; none happens in the last
        `resample_every` epochs, so that every latent has time to settle. 0 switches it off.
    seed
        Of the initial weights, the order of the cells and the resampling.
    """

    expansion: int = 8
    epochs: int = 200
    learning_rate: float = 3e-4
    l1: float = 3e-5
    batch: int = 4096
    resample_every: int = 10
    seed: int = 0


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
        On the CPU, decoder columns of unit norm.

    Raises
    ------
    SettingsError
        If there are no features, they are not finite, or a setting has no meaning.
    RunError, WriteError
        If the checkpoint is damaged, or there is no room for one.
    Cancelled
        If `cancelled` returned True.
    """
    settings = settings or SAETrainingSettings()
    check_settings(settings)
    _check_features(features)
    cells, width = features.shape
    order = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    sae = _initial(width, settings.expansion * width, generator).to(device)
    optimizer = torch.optim.Adam(sae.parameters(), lr=settings.learning_rate)
    fired = torch.zeros(sae.n_latents, dtype=torch.bool, device=device)
    state = TrainingState(sae, optimizer, fired, generator, order)
    kept = Checkpoint(checkpoint) if checkpoint is not None else None
    last = kept.resume(state) if kept is not None else None
    if last is not None and each_epoch is not None:
        each_epoch(last)
    for epoch in range(1 if last is None else last.epoch + 1, settings.epochs + 1):
        totals = torch.zeros(3, dtype=torch.float64)
        for x in _batches(features, order.permutation(cells), settings.batch, device):
            if cancelled is not None and cancelled():
                raise Cancelled(f"Training stopped in epoch {epoch} of {settings.epochs}; it can be resumed.")
            z = sae.encode(x)
            squared_error = (sae.decode(z) - x).square().mean()
            loss = squared_error + settings.l1 * z.sum(1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            _remove_parallel_gradient(sae.decoder_weight)
            optimizer.step()
            _normalise_columns(sae.decoder_weight)
            on = z.detach() > 0
            fired |= on.any(0)
            totals += torch.tensor([loss.item(), squared_error.item(), on.sum(1).double().mean().item()]) * len(x)
        dead, resampled = ~fired, 0
        every = settings.resample_every
        if every and epoch % every == 0:
            if epoch <= settings.epochs - every:
                resampled = _resample(sae, optimizer, dead, features, generator, order)
            fired.zero_()
        loss_mean, error_mean, l0 = (totals / cells).tolist()
        record = EpochRecord(epoch, settings.epochs, loss_mean, error_mean, l0, int(dead.sum()), resampled)
        if kept is not None:
            kept.keep(state, record)
        if each_epoch is not None:
            each_epoch(record)
    return sae.to("cpu").requires_grad_(False)


def evaluate_sae(sae: SparseAutoencoder, features: Features, batch: int = 4096) -> ReconstructionStats:
    """Explained variance, L0 and dead share of an SAE on feature vectors (cells, d)."""
    stats = ReconstructionStats(sae.width, sae.n_latents)
    with torch.inference_mode():
        for x in _batches(features, np.arange(len(features)), batch, str(sae.tied_bias.device)):
            z = sae.encode(x)
            stats.add(x.cpu().numpy(), sae.decode(z).cpu().numpy(), z.cpu().numpy())
    return stats


def _check_features(features: Features) -> None:
    if features.ndim != 2 or not features.size:
        raise SettingsError(
            f"features of shape {features.shape} were given; expected (cells, d) with at least one cell"
        )


def check_settings(settings: SAETrainingSettings) -> None:
    """Raise SettingsError for settings without meaning."""
    if min(settings.expansion, settings.epochs, settings.batch) < 1 or settings.resample_every < 0:
        raise SettingsError(f"expansion, epochs and batch must be at least 1, resample_every at least 0: {settings}")
    if not (settings.learning_rate > 0 and settings.l1 >= 0):
        raise SettingsError(f"the learning rate must be above 0 and l1 at least 0: {settings}")


def _batches(features: Features, order: NDArray[np.int64], batch: int, device: str) -> Iterator[Tensor]:
    for start in range(0, len(order), batch):
        rows = np.sort(order[start : start + batch])  # sorted: kinder to a memory-mapped file, same batch
        x = torch.from_numpy(np.asarray(features[rows], dtype=np.float32))
        if not torch.isfinite(x).all():
            raise SettingsError("the features hold values that are not finite; recompute them in float32")
        yield x.to(device)


def _initial(width: int, latents: int, generator: torch.Generator) -> SparseAutoencoder:
    """Random unit decoder columns, their transpose as encoder, biases of zero."""
    sae = SparseAutoencoder(width, latents)
    with torch.no_grad():
        sae.decoder_weight.copy_(torch.randn(width, latents, generator=generator))
        _normalise_columns(sae.decoder_weight)
        sae.encoder_weight.copy_(sae.decoder_weight.T)
    return sae


def _remove_parallel_gradient(weight: Tensor) -> None:
    """Take from each column's gradient its part along the column, which normalising would undo anyway."""
    gradient = weight.grad
    assert gradient is not None
    with torch.no_grad():
        gradient -= (gradient * weight).sum(0) * weight


def _normalise_columns(weight: Tensor) -> None:
    with torch.no_grad():
        weight /= weight.norm(dim=0).clamp_min(1e-8)


def _resample(
    sae: SparseAutoencoder,
    optimizer: torch.optim.Optimizer,
    dead: Tensor,
    features: Features,
    generator: torch.Generator,
    order: np.random.Generator,
    candidates: int = 65536,
) -> int:
    """Point dead latents at cells that are reconstructed badly, and forget what Adam remembers of them.

    A cell is drawn with probability proportional to its squared loss. The new decoder column is the cell (less the
    tied bias) at unit norm, the encoder row the same at a fifth of the living rows' mean norm, the encoder bias 0.
    """
    ids = dead.nonzero().squeeze(1)
    if not len(ids):
        return 0
    chosen = np.sort(order.choice(len(features), size=min(candidates, len(features)), replace=False))
    with torch.no_grad():
        losses, inputs = [], []
        for x in _batches(features, chosen, 8192, str(dead.device)):
            losses.append((sae(x) - x).square().mean(1))
            inputs.append((x - sae.tied_bias).cpu())
        weights = torch.cat(losses).double().square().cpu()
        if not float(weights.sum()) > 0:
            return 0
        picks = torch.multinomial(weights, len(ids), replacement=len(ids) > len(weights), generator=generator)
        directions = torch.cat(inputs)[picks].to(dead.device)
        directions = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-8)
        living = sae.encoder_weight[~dead]
        norm = living.norm(dim=1).mean() if len(living) else torch.ones(())
        sae.decoder_weight[:, ids] = directions.T
        sae.encoder_weight[ids] = directions * (0.2 * norm)
        sae.encoder_bias[ids] = 0
    for parameter, rows in (
        (sae.decoder_weight, (slice(None), ids)),
        (sae.encoder_weight, ids),
        (sae.encoder_bias, ids),
    ):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[parameter][moment][rows] = 0
    return len(ids)

"""Latents that stopped firing in a training: who they are, and a new start for them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.sae.autoencoder import SparseAutoencoder
from .batches import Features, batches, read
from .settings import SAETrainingSettings

_LONGEST_SILENCE = 10_000_000
_AT_ONCE = 2048
"""Cells that are reconstructed at a time."""
_LOOKS = 8
"""How often, at least, latents are looked for that may be dead, while one goes from alive to dead."""
_PAUSE = 64
"""Steps, at most, between two looks."""


def window(settings: SAETrainingSettings, epoch: int, cells: int) -> int:
    """Return on how many cells a latent that is dead in an epoch has not fired.

    Where dead latents are resampled: since the last resampling. Else: an epoch's cells, ten million at most.
    """
    if not settings.resamples:
        return min(cells, _LONGEST_SILENCE) if settings.has_auxiliary else epoch * cells
    return ((epoch - 1) % settings.resample_every + 1) * cells


class Asleep:
    """Latents that have been silent so long that they are dead, or may be before the next look.

    Where there are any, and which, has to be known outside the GPU. So that no step waits for it, the latents that may
    be dead soon are looked for every few steps; which of them are is found where the numbers are.

    Parameters
    ----------
    silent
        (h,): cells since each latent fired; it changes under way.
    """

    def __init__(self, silent: Tensor) -> None:
        self._silent, self._ids, self._window = silent, silent[:0], 0

    def look(self, step: int, window: int, batch: int) -> None:
        """Look for them, if it is time at this step of an epoch."""
        self._window = window
        pause = min(max(window // (_LOOKS * batch), 1), _PAUSE)
        if step % pause == 0:
            self._ids = (self._silent >= window - (pause - 1) * batch).nonzero().squeeze(1)

    def dead(self) -> tuple[Tensor, Tensor] | None:
        """Return numbers of latents, and which of them are dead now; None where none can be."""
        return (self._ids, self._silent[self._ids] >= self._window) if len(self._ids) else None


def resample(
    sae: SparseAutoencoder,
    optimizer: torch.optim.Optimizer,
    dead: Tensor,
    features: Features,
    generator: torch.Generator,
    order: np.random.Generator,
    scale: float = 1.0,
    candidates: int = 65536,
) -> int:
    """Point dead latents at cells that are reconstructed badly, and forget what Adam remembers of them.

    A cell is drawn with probability proportional to its squared loss. The new decoder column is the cell (less the
    tied bias) at unit norm, the encoder row the same at a fifth of the living rows' mean norm, the bias 0.
    """
    ids = dead.nonzero().squeeze(1)
    if not len(ids):
        return 0
    chosen = np.sort(order.choice(len(features), size=min(candidates, len(features)), replace=False))
    with torch.no_grad():
        shuffled = batches(features, chosen, _AT_ONCE, str(dead.device), scale)
        weights = torch.cat([(sae(x) - x).square().mean(1) for x in shuffled]).double().square().cpu()
        if not float(weights.sum()) > 0:
            return 0
        picks = torch.multinomial(weights, len(ids), replacement=len(ids) > len(weights), generator=generator)
        directions = read(features, chosen[picks.numpy()]).to(dead.device).float() * scale - sae.tied_bias
        directions = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-8)
        living = sae.encoder_weight[~dead]
        norm = living.norm(dim=1).mean() if len(living) else torch.ones(())
        sae.decoder_weight[:, ids] = directions.T
        sae.encoder_weight[ids] = directions * (0.2 * norm)
        sae.encoder_bias[ids] = 0
        own = [value for name, value in sae.named_parameters() if name.startswith("activation.")]
        for value in own:
            value[ids] = 0
    reset: list[tuple[Tensor, Any]] = [(sae.decoder_weight, (slice(None), ids)), (sae.encoder_weight, ids)]
    for parameter, rows in (*reset, *((value, ids) for value in (sae.encoder_bias, *own))):
        if not optimizer.state.get(parameter):  # a gated SAE's encoder has no bias of its own
            continue
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[parameter][moment][rows] = 0
    return len(ids)

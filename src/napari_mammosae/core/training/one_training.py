"""One autoencoder under way: what a step does, what an epoch's end does, and all that the next step depends on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.memory import first_line, out_of_memory
from ..models.sae.autoencoder import SparseAutoencoder
from .batches import Features
from .checkpoint import Checkpoint, EpochRecord, TrainingState
from .dead_latents import Asleep, resample, window
from .settings import SAETrainingSettings
from .starting import bring_back, column_dots, finish, start
from .steps.compiled_step import CompiledStep
from .steps.objectives import objective
from .steps.relu_gradients import Measured, ReluGradients

COMPILE_FROM = 20_000
"""Steps in bfloat16 from which compiling them pays on a GPU: some 15 seconds, against 1 ms saved a step."""

logger = logging.getLogger(__name__)

_LONGEST_WARM_UP = 1000
_CLIP = 1.0


class OneTraining:
    """One autoencoder under way.

    Parameters
    ----------
    features
        (cells, d).
    settings
        Settled.
    scale
        What features are multiplied by.
    steps
        Batches an epoch.
    gradients
        Of a ReLU; trainings that take turns share them.
    device
        A torch device.
    checkpoint
        File that keeps the state; what it has is taken up.

    Attributes
    ----------
    taken
        Steps taken since the beginning.
    last
        How the last epoch went; None before the first has ended.
    """

    def __init__(
        self,
        features: Features,
        settings: SAETrainingSettings,
        scale: float,
        steps: int,
        gradients: ReluGradients,
        device: str,
        checkpoint: Path | None,
    ) -> None:
        assert settings.learning_rate is not None
        self._features, self._settings, self._scale, self._steps = features, settings, scale, steps
        self._rate, self._gradients = settings.learning_rate, gradients
        generator = torch.Generator().manual_seed(settings.seed)
        sae = start(features, settings, generator, scale).to(device)
        optimizer = torch.optim.Adam(sae.parameters(), lr=self._rate, fused=True)
        silent = torch.zeros(sae.n_latents, dtype=torch.int64, device=device)
        exact = torch.float32 if silent.device.type == "mps" else torch.float64
        totals = torch.zeros(3, dtype=exact, device=device)
        order = np.random.default_rng((settings.seed, 1))
        self._state = TrainingState(sae, optimizer, silent, totals, generator, order)
        self._asleep = Asleep(silent)
        self._compiled: CompiledStep | None = None
        self._compiles = (
            settings.kind == "relu"
            and settings.precision == "bfloat16"
            and silent.device.type == "cuda"
            and settings.epochs * steps >= COMPILE_FROM
        )
        self._kept = Checkpoint(checkpoint) if checkpoint is not None else None
        if self._kept is not None:
            self._kept.resume(self._state)

    @property
    def taken(self) -> int:
        """Steps taken since the beginning."""
        return self._state.taken

    @property
    def last(self) -> EpochRecord | None:
        """How the last epoch went; None before the first has ended."""
        return self._state.last

    @property
    def shuffled(self) -> dict[str, Any] | None:
        """State of the generator of the cells' order when the epoch that was resumed began; None at the beginning."""
        return self._state.shuffled

    def step(self, x: Tensor) -> None:
        """Take one step on a batch (n, d)."""
        state = self._state
        measured = self._compiled_step(x) or self._usual_step(x)
        state.silent.add_(len(x)).masked_fill_(measured.fired, 0)
        found = torch.stack([measured.loss.detach(), measured.squared_error.detach(), measured.l0])
        state.totals.add_(found.to(state.totals.dtype), alpha=len(x))
        state.taken += 1

    def _compiled_step(self, x: Tensor) -> Measured | None:
        """Take a step by compiled code, where that pays; None where not, as for an epoch's last batch."""
        settings, state = self._settings, self._state
        if not self._compiles or len(x) != settings.batch:
            return None
        if self._compiled is not None:
            return self._compiled(x)
        compiled = CompiledStep(state.sae, state.optimizer, self._rate, settings.l1 or 0)
        try:
            measured = compiled(x)
        except Exception as error:  # no compiler for C, say; nothing is changed before all is compiled
            if out_of_memory(error):
                raise
            logger.info("steps are not compiled (%s)", first_line(error))
            self._compiles = False
            return None
        self._compiled = compiled
        return measured

    def _usual_step(self, x: Tensor) -> Measured:
        state, settings = self._state, self._settings
        sae, optimizer = state.sae, state.optimizer
        optimizer.param_groups[0]["lr"] = self._rate * _share_of_rate(settings, state.taken, self._steps)
        with _products(settings.precision, x.device):
            measured = self._gradient(x)
        gradient = sae.decoder_weight.grad
        assert gradient is not None
        with torch.no_grad():  # the part along a column, which normalising would undo anyway
            gradient.addcmul_(sae.decoder_weight, column_dots(gradient, sae.decoder_weight), value=-1)
        if settings.kind != "relu":
            nn.utils.clip_grad_norm_(sae.parameters(), _CLIP)
        optimizer.step()
        bring_back(sae)
        if self._compiled is not None:
            self._compiled.refresh()
        return measured

    def end_epoch(self, shuffled: dict[str, Any]) -> EpochRecord:
        """Resample, read what was measured, and keep the state; `shuffled` is that of the order of the cells now."""
        state, settings, cells = self._state, self._settings, len(self._features)
        epoch, every = state.taken // self._steps, settings.resample_every
        dead, resampled = state.silent >= window(settings, epoch, cells), 0
        if settings.resamples and epoch % every == 0 and epoch <= settings.epochs - every:
            resampled = resample(
                state.sae, state.optimizer, dead, self._features, state.generator, state.order, self._scale
            )
            if self._compiled is not None:
                self._compiled.refresh()
        loss, error, l0 = (state.totals / cells).tolist()
        state.totals.zero_()
        state.shuffled = shuffled
        state.last = EpochRecord(epoch, settings.epochs, loss, error, l0, int(dead.sum()), resampled)
        if self._kept is not None:
            self._kept.keep(state)
        return state.last

    def keep(self, shuffled: dict[str, Any], *, anyway: bool = False) -> None:
        """Keep the state within an epoch, where it is time or `anyway`; `shuffled` is that of the epoch's start."""
        if self._kept is not None and (anyway or self._kept.is_due):
            self._state.shuffled = shuffled
            self._kept.write(self._state)

    def finished(self) -> SparseAutoencoder:
        """Return the autoencoder, on the CPU, as it is used; the training is over."""
        sae = finish(self._state.sae, self._features, self._settings, self._scale)
        return sae.to("cpu").requires_grad_(False)

    def _gradient(self, x: Tensor) -> Measured:
        state, settings = self._state, self._settings
        if settings.kind == "relu":
            return self._gradients.fill(state.sae, x, settings.l1 or 0)
        if settings.has_auxiliary:
            epoch, step = divmod(state.taken, self._steps)
            self._asleep.look(step, window(settings, epoch + 1, len(self._features)), settings.batch)
        state.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._gradients.half):
            loss, squared_error, z = objective(state.sae, x, settings, self._asleep.dead())
        loss.backward()  # type: ignore[no-untyped-call]
        z = z.detach()
        return Measured(loss, squared_error, z.sign().sum(1).mean(), z.amax(0) > 0)


def _share_of_rate(settings: SAETrainingSettings, step: int, steps: int) -> float:
    """Rise to the learning rate, and, in the last fifth of all steps, its fall to 0; a ReLU's stays."""
    if settings.kind == "relu":
        return 1.0
    total = settings.epochs * steps
    rising = min(_LONGEST_WARM_UP, total // 10)
    falling = total // 5
    return min((step + 1) / (rising + 1), 1.0, (total - step) / (falling + 1))


@contextmanager
def _products(precision: str, device: torch.device) -> Iterator[None]:
    """Let a GPU use TF32 in products where it is asked for, and nowhere else; other devices have none."""
    if device.type != "cuda":
        yield
        return
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32 = before

"""The state of a training, kept after epochs and within long ones, so that nothing of hours of work is lost."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..base.errors import RunError, WriteError
from ..base.files import write_atomic

if TYPE_CHECKING:
    from ..models.sae.autoencoder import SparseAutoencoder

logger = logging.getLogger(__name__)

_SPARING = 20  # at most one part in so many of the time goes into checkpoints
_PAUSE = 120.0  # seconds, at least, between two within an epoch


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """How one epoch went, measured on the training batches as they passed: means over cells."""

    epoch: int
    epochs: int
    loss: float
    squared_error: float
    l0: float
    dead: int
    resampled: int


@dataclass(slots=True, eq=False)
class TrainingState:
    """Everything that the next step depends on.

    Attributes
    ----------
    sae, optimizer
        What is trained, and Adam with its moments.
    silent
        (h,) int64: cells since a latent fired.
    totals
        (3,): loss, squared error and latents a cell, summed over the cells of the epoch so far.
    generator, order
        Where the random numbers of torch and numpy are.
    taken
        Steps taken.
    shuffled
        State of the generator of the cells' order at the start of the epoch.
    last
        How the last epoch that has ended went.
    """

    sae: "SparseAutoencoder"
    optimizer: torch.optim.Adam
    silent: torch.Tensor
    totals: torch.Tensor
    generator: torch.Generator
    order: np.random.Generator
    taken: int = 0
    shuffled: dict[str, Any] | None = None
    last: EpochRecord | None = None


class Checkpoint:
    """A file with the last state that was kept, in the safetensors format.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cost, self._last = 0.0, -np.inf
        self._opened = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the state should be kept within an epoch."""
        since = time.monotonic() - max(self._last, self._opened)
        return since >= max(_PAUSE, _SPARING * self._cost)

    def keep(self, state: TrainingState) -> None:
        """Write the state at an epoch's end, unless that was done a short while ago; after the last epoch always.

        Raises
        ------
        WriteError
            As for `write`.
        """
        record = state.last
        ended = record is None or record.epoch == record.epochs
        if ended or time.monotonic() >= self._last + _SPARING * self._cost:
            self.write(state)

    def write(self, state: TrainingState) -> None:
        """Write the state.

        Raises
        ------
        WriteError
            There is no room for the first one. Later the one before stays, with a line in the log.
        """
        began = time.monotonic()
        try:
            self._write(state)
        except WriteError as error:
            if not self._path.exists():
                raise
            logger.warning("%s The checkpoint before it stays.", error)
        self._last = time.monotonic()
        self._cost = self._last - began

    def resume(self, state: TrainingState) -> None:
        """Take up the state that was kept, where there is one.

        Raises
        ------
        RunError
            The file is damaged.
        """
        if not self._path.exists():
            return
        from safetensors import safe_open

        with self._readable(), safe_open(self._path, "pt") as file:
            told = file.metadata()
            last = json.loads(told["last"])
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state.sae.load_state_dict(_below("sae.", tensors))
            moments = {number: _below(f"adam.{number}.", tensors) for number, _ in enumerate(state.sae.parameters())}
            groups = state.optimizer.state_dict()["param_groups"]
            state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            state.silent.copy_(tensors["silent"])
            state.totals.copy_(tensors["totals"])
            state.generator.set_state(tensors["generator"])
            state.order.bit_generator.state = json.loads(told["order"])
            state.taken, state.shuffled = int(told["taken"]), json.loads(told["shuffled"])
            state.last = None if last is None else EpochRecord(**last)

    def _write(self, state: TrainingState) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        tensors = {f"sae.{name}": value for name, value in state.sae.state_dict().items()}
        for number, moments in state.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        tensors |= {"silent": state.silent, "totals": state.totals, "generator": state.generator.get_state()}
        told: dict[str, Any] = {
            "last": None if state.last is None else asdict(state.last),
            "order": state.order.bit_generator.state,
            "shuffled": state.shuffled,
            "taken": state.taken,
        }
        found = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        with write_atomic(self._path) as temporary:
            try:  # straight into the file: as bytes it would take its size in memory once more
                save_file(found, temporary, {name: json.dumps(value) for name, value in told.items()})
            except SafetensorError as error:
                raise OSError(getattr(error.__cause__, "errno", None), str(error)) from error

    @contextmanager
    def _readable(self) -> Iterator[None]:
        from safetensors import SafetensorError

        try:
            yield
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            folder = self._path.parent.name
            raise RunError(
                f"{folder}/{self._path.name} is damaged ({type(error).__name__}). Delete it to train from the "
                "beginning."
            ) from error


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

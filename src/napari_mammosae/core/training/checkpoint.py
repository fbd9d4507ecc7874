"""The state of a training after its last epochs, kept so that nothing of hours of work is lost."""

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
    """Everything that the next epoch depends on.

    Attributes
    ----------
    sae, optimizer
        What is trained, and Adam with its moments.
    silent
        (h,) int64: cells since a latent fired.
    generator, order
        Where the random numbers of torch and numpy are.
    """

    sae: "SparseAutoencoder"
    optimizer: torch.optim.Adam
    silent: torch.Tensor
    generator: torch.Generator
    order: np.random.Generator


class Checkpoint:
    """A file with the state after the last epoch that was kept, in the safetensors format.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cost, self._last = 0.0, -np.inf

    def keep(self, state: TrainingState, record: EpochRecord) -> None:
        """Write the state, unless that was done a short while ago; after the last epoch always.

        Raises
        ------
        WriteError
            There is no room for the first one. Later the one before stays, with a line in the log.
        """
        began = time.monotonic()
        if record.epoch < record.epochs and began < self._last + _SPARING * self._cost:
            return
        try:
            self._write(state, record)
        except WriteError as error:
            if not self._path.exists():
                raise
            logger.warning("%s The checkpoint before it stays.", error)
        self._last = time.monotonic()
        self._cost = self._last - began

    def resume(self, state: TrainingState) -> EpochRecord | None:
        """Take up the state that was kept, and return how its last epoch went; None when there is none.

        Raises
        ------
        RunError
            The file is damaged.
        """
        if not self._path.exists():
            return None
        from safetensors import safe_open

        with self._readable(), safe_open(self._path, "pt") as file:
            told = file.metadata()
            record = EpochRecord(**json.loads(told["epoch"]))
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state.sae.load_state_dict(_below("sae.", tensors))
            moments = {number: _below(f"adam.{number}.", tensors) for number, _ in enumerate(state.sae.parameters())}
            groups = state.optimizer.state_dict()["param_groups"]
            state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            state.silent.copy_(tensors["silent"])
            state.generator.set_state(tensors["generator"])
            state.order.bit_generator.state = json.loads(told["order"])
        return record

    def _write(self, state: TrainingState, record: EpochRecord) -> None:
        from safetensors.torch import save

        tensors = {f"sae.{name}": value for name, value in state.sae.state_dict().items()}
        for number, moments in state.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        tensors |= {"silent": state.silent, "generator": state.generator.get_state()}
        told: dict[str, Any] = {"epoch": asdict(record), "order": state.order.bit_generator.state}
        content = save(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
            {name: json.dumps(value) for name, value in told.items()},
        )
        with write_atomic(self._path) as temporary:
            temporary.write_bytes(content)

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

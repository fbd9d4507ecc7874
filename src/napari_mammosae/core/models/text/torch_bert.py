"""The BERT of a process that has loaded torch: its products of few rows take half the time of numpy's."""

from collections.abc import Sequence

import torch

from ..threads import torch_threads
from .bert import Array, Bert


class TorchBert(Bert):
    """A `Bert` whose dense layers are torch's; all else is the same."""

    __slots__ = ()

    def encode(self, texts: Sequence[Sequence[int]]) -> list[Array]:
        """Return the last hidden states (pieces, width) of each text."""
        with torch_threads(1):
            return super().encode(texts)

    def _dense(self, x: Array, name: str) -> Array:
        weight, bias = (torch.from_numpy(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        found: Array = torch.addmm(bias[:, None], weight, torch.from_numpy(x).T).T.numpy()
        return found

    def _bend(self, x: Array) -> Array:
        found: Array = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
        return found

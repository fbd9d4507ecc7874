"""A BERT in numpy: from numbers of word pieces to a vector a piece. Knows no torch, so it needs no process of its own.

A prompt is a dozen pieces, for which the products of matrices are all there is to do.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf
from threadpoolctl import threadpool_limits

from ...base.errors import CheckpointError

Array = NDArray[np.float32]
_EPSILON = 1e-12
_HEAD_WIDTH = 64
"""Width of an attention head in every BERT that says nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class Bert:
    """The encoder of a BERT.

    Attributes
    ----------
    weights
        float32, by the names of `transformers` without prefix, such as `encoder.layer.0.output.dense.weight`.
    heads
        Attention heads.
    layers
        Layers.
    """

    weights: Mapping[str, Array]
    heads: int
    layers: int

    @classmethod
    def of(cls, weights: Mapping[str, Array], source: str, heads: int | None = None) -> "Bert":
        """Check that weights are those of a BERT, and count its layers and heads.

        Raises
        ------
        CheckpointError
            If some are missing, or the number of heads does not follow from the width and is not given.
        """
        numbers = {int(found[1]) for key in weights if (found := re.match(r"encoder\.layer\.(\d+)\.", key))}
        layers = len(numbers)
        wanted = [f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")]
        wanted += [f"embeddings.LayerNorm.{part}" for part in ("weight", "bias")]
        wanted += [f"encoder.layer.{i}.{name}.{part}" for i in range(layers) for name in _PARTS for part in _BOTH]
        missing = [key for key in wanted if key not in weights]
        if missing or numbers != set(range(layers)):
            raise CheckpointError(f"{source} holds no whole BERT; missing {', '.join(missing[:3]) or 'a layer'}")
        width = weights[wanted[0]].shape[1]
        heads = heads or (width // _HEAD_WIDTH if width % _HEAD_WIDTH == 0 else 0)
        if not heads or width % heads:
            raise CheckpointError(
                f"{source} is a BERT of width {width} that does not say how many attention heads it has"
            )
        return cls({key: np.asarray(weights[key], np.float32) for key in wanted}, heads, layers)

    @property
    def vocabulary(self) -> int:
        """Number of word pieces it knows."""
        return int(self.weights["embeddings.word_embeddings.weight"].shape[0])

    @property
    def longest(self) -> int:
        """Most pieces of a text."""
        return int(self.weights["embeddings.position_embeddings.weight"].shape[0])

    def encode(self, texts: Sequence[Sequence[int]], padding: int = 0) -> Array:
        """Return the last hidden states (n, longest of these texts, width); what lies behind a text means nothing."""
        with threadpool_limits(1, user_api="blas"):  # two wait for each other while a window draws
            return self._encode(texts, padding)

    def _encode(self, texts: Sequence[Sequence[int]], padding: int) -> Array:
        length = max(map(len, texts))
        ids = np.array([[*text, *[padding] * (length - len(text))] for text in texts])
        there = np.arange(length) < np.array([[len(text)] for text in texts])
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][:length]
        x = self._norm(x + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = np.where(there, np.float32(0), np.float32(-1e30))[:, None, None, :]
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            mixed = self._attend(x, hidden, f"{layer}.attention.self")
            mixed = x + self._dense(mixed, f"{layer}.attention.output.dense")
            x = self._norm(mixed, f"{layer}.attention.output.LayerNorm")
            wide = self._dense(x, f"{layer}.intermediate.dense")
            wide *= 0.5 * (1 + erf(wide / np.float32(np.sqrt(2))))
            x = self._norm(x + self._dense(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x

    def _attend(self, x: Array, hidden: Array, name: str) -> Array:
        n, length, width = x.shape
        q, k, v = (
            self._dense(x, f"{name}.{part}").reshape(n, length, self.heads, -1).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(2, 3) / np.float32(np.sqrt(width // self.heads)) + hidden
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return np.asarray((scores @ v).swapaxes(1, 2).reshape(n, length, width), np.float32)

    def _dense(self, x: Array, name: str) -> Array:
        # one product of two matrices: numpy hands stacks of them to slower code
        flat = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T
        return np.asarray(flat.reshape(*x.shape[:-1], -1) + self.weights[f"{name}.bias"], np.float32)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"], np.float32)


_BOTH = ("weight", "bias")
_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
)  # fmt: skip

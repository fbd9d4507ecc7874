"""A BERT in numpy: from numbers of word pieces to a vector a piece. Knows no torch, so it needs no process of its own.

A prompt is a dozen pieces: nearly all the time goes into fetching the weights for their products.
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

    def encode(self, texts: Sequence[Sequence[int]]) -> list[Array]:
        """Return the last hidden states (pieces, width) of each text."""
        with threadpool_limits(1, user_api="blas"):  # two wait for each other while a window draws
            ends = np.cumsum([len(text) for text in texts])
            return np.split(self._encode(texts, ends[:-1]), ends[:-1])

    def _encode(self, texts: Sequence[Sequence[int]], bounds: NDArray[np.intp]) -> Array:
        """Return the states of all pieces, one text after the other, `bounds` between them: nothing is filled up."""
        places = np.concatenate([np.arange(len(text)) for text in texts])
        x = self.weights["embeddings.word_embeddings.weight"][np.concatenate(texts)]
        x = x + self.weights["embeddings.position_embeddings.weight"][places]
        x = self._norm(x + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            mixed = self._attend(x, bounds, f"{layer}.attention.self")
            mixed = x + self._dense(mixed, f"{layer}.attention.output.dense")
            x = self._norm(mixed, f"{layer}.attention.output.LayerNorm")
            wide = self._bend(self._dense(x, f"{layer}.intermediate.dense"))
            x = self._norm(x + self._dense(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x

    def _attend(self, x: Array, bounds: NDArray[np.intp], name: str) -> Array:
        """Mix the pieces of each text among themselves."""
        parts = (
            self._dense(x, f"{name}.{part}").reshape(len(x), self.heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        mixed = []
        for q, k, v in zip(*(np.split(part, bounds, axis=1) for part in parts), strict=True):
            scores = q @ k.swapaxes(1, 2) / np.float32(np.sqrt(q.shape[-1]))
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed.append((scores @ v).swapaxes(0, 1).reshape(q.shape[1], -1))
        return np.concatenate(mixed)

    def _dense(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def _bend(self, x: Array) -> Array:
        return np.asarray(x * (0.5 * (1 + erf(x / np.float32(np.sqrt(2))))), np.float32)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"], np.float32)


_BOTH = ("weight", "bias")
_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
)  # fmt: skip

"""A text tower: sentences to unit vectors in the space that a model shares between texts and images. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...base.errors import CheckpointError
from ...base.products import product
from .bert import Bert
from .wordpiece import WordPieces

Vectors = NDArray[np.float64]
Pooling = Literal["eos", "bos", "mean"]
POOLINGS: tuple[Pooling, ...] = ("eos", "bos", "mean")
_BATCH = 64
"""Sentences encoded at once."""


@dataclass(frozen=True, slots=True, eq=False)
class TextTower:
    """Tokens, encoder, pooling and projection; sentences it has seen are remembered.

    Attributes
    ----------
    pieces, bert
        The vocabulary, and the encoder.
    weight, bias
        float64 (p, width) and (p,): the projection into the shared space.
    pooling
        Which hidden state stands for a text: that of its end, [SEP] ("eos"), of its beginning, or the mean of all.
    longest
        Most pieces of a text; what is longer is cut.
    source
        Name of the file.

    Raises
    ------
    CheckpointError
        If the vocabulary is of another length than the encoder's, or the pooling is not known.
    """

    pieces: WordPieces
    bert: Bert
    weight: Vectors
    bias: Vectors
    pooling: Pooling = "eos"
    longest: int = 256
    source: str = ""
    _known: dict[tuple[int, ...], Vectors] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.pieces.words) != self.bert.vocabulary:
            raise CheckpointError(
                f"{self.pieces.source} has {len(self.pieces.words):,} words, {self.source} knows "
                f"{self.bert.vocabulary:,}; give the vocabulary it was trained with"
            )
        if self.pooling not in POOLINGS:
            raise CheckpointError(f"{self.source} pools texts by {self.pooling!r}; expected {', '.join(POOLINGS)}")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors (n, p) of texts."""
        longest = min(self.longest, self.bert.longest)
        ids = [tuple(self.pieces.encode(text, longest)) for text in texts]
        new = list(dict.fromkeys(one for one in ids if one not in self._known))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._known.update(zip(batch, self._encode(batch), strict=True))
        return np.stack([self._known[one] for one in ids])

    def _encode(self, ids: Sequence[tuple[int, ...]]) -> Vectors:
        states = self.bert.encode(ids)
        if self.pooling == "mean":
            pooled = np.stack([state.mean(axis=0) for state in states])
        else:
            pooled = np.stack([state[-1 if self.pooling == "eos" else 0] for state in states])
        return unit(product(pooled.astype(np.float64), self.weight.T) + self.bias)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Scale vectors (..., p) to length 1; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros(vectors.shape), where=length > 0))

"""Normalisation of each cell's features by their own size, which no weight can take up."""

from typing import Literal

import torch
from torch import Tensor, nn

NormKind = Literal["layer_norm", "constant_norm_rescale"]


class CellNorm(nn.Module):
    """``x' = (x - mean) / size``, with both taken from the cell itself.

    Attributes
    ----------
    kind
        "layer_norm": mean and unbiased standard deviation over the features. "constant_norm_rescale": mean 0, and the
        size that makes the Euclidean norm of `x'` the root of d.
    eps
        Added to the standard deviation on the way in.
    offset
        (d,) or (), taken off before and put back after everything else.
    """

    def __init__(self, kind: NormKind, eps: float = 1e-5, offset: Tensor | None = None) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        self.offset: Tensor
        self.register_buffer("offset", torch.zeros(()) if offset is None else offset.float())

    def apply_to(self, x: Tensor) -> Tensor:
        """Features (..., d) as the encoder takes them."""
        mean, size = self.moments(x)
        return (x - mean) / (size + self.eps if self.kind == "layer_norm" else size)

    def undo(self, y: Tensor, x: Tensor) -> Tensor:
        """Reconstructions (..., d) of features `x` from what the decoder gives, `y`."""
        mean, size = self.moments(x)
        return y * size + mean

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., 1) or (d,), and size (..., 1), of the features (..., d) of each cell."""
        if self.kind == "layer_norm":
            x = x - self.offset
            return x.mean(-1, keepdim=True) + self.offset, x.std(-1, keepdim=True)
        return self.offset, (x - self.offset).norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5

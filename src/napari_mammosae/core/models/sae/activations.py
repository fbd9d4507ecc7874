"""From pre-activations to latents, all >= 0: what tells one kind of sparse autoencoder from another."""

import torch
from torch import Tensor, nn


class Relu(nn.Module):
    """``z = relu(e)``; overwrites what it is given."""

    kind = "relu"

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of pre-activations `e` (..., h)."""
        return e.relu_()


class Threshold(nn.Module):
    """``z = relu(e)`` where ``e > threshold``, else 0: JumpReLU, and BatchTopK once it is trained.

    Attributes
    ----------
    threshold
        Of all latents, (), or one a latent, (h,).
    inclusive
        Whether a latent exactly at its threshold fires.
    k
        Latents that fired on average in the training of a BatchTopK; None for a JumpReLU, or where it is not known.
    """

    def __init__(self, threshold: Tensor, kind: str = "jumprelu", *, inclusive: bool = False, k: int | None = None):
        super().__init__()
        self.kind, self.inclusive, self.k = kind, inclusive, k
        self.threshold = nn.Parameter(threshold.float())

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of pre-activations `e` (..., h)."""
        fires = e >= self.threshold if self.inclusive else e > self.threshold
        return e.relu_().mul_(fires)


class TopK(nn.Module):
    """The `k` largest positive pre-activations of a cell; the others are silent."""

    kind = "topk"

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of pre-activations `e` (..., h)."""
        values, places = e.relu_().topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(e).scatter_(-1, places, values)


class GroupMax(nn.Module):
    """The largest of each of `k` equal groups of neighbouring latents, where it is positive."""

    kind = "groupmax"

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of pre-activations `e` (..., h)."""
        groups = e.relu_().reshape(*e.shape[:-1], self.k, -1)
        values, places = groups.max(dim=-1, keepdim=True)
        return torch.zeros_like(groups).scatter_(-1, places, values).flatten(-2)


class Gated(nn.Module):
    """A latent fires where ``e + gate_bias > 0``, with the value ``relu(e * exp(r_mag) + mag_bias)``; all (h,)."""

    kind = "gated"

    def __init__(self, gate_bias: Tensor, r_mag: Tensor, mag_bias: Tensor) -> None:
        super().__init__()
        self.gate_bias = nn.Parameter(gate_bias.float())
        self.r_mag = nn.Parameter(r_mag.float())
        self.mag_bias = nn.Parameter(mag_bias.float())

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of what the encoder's matrix gives, `e` (..., h), without a bias."""
        return torch.addcmul(self.mag_bias, e, self.r_mag.exp()).relu_().mul_(e + self.gate_bias > 0)


class SoftCap(nn.Module):
    """``cap * tanh(z / cap)`` of the latents of another activation."""

    def __init__(self, inner: "Activation", cap: float) -> None:
        super().__init__()
        self.inner, self.cap = inner, cap
        self.kind: str = inner.kind

    def forward(self, e: Tensor) -> Tensor:
        """Latents (..., h) of pre-activations `e` (..., h)."""
        z: Tensor = self.inner(e)
        return z.div_(self.cap).tanh_().mul_(self.cap)


Activation = Relu | Threshold | TopK | GroupMax | Gated | SoftCap

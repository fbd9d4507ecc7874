"""Codes and loss of a batch in training, for each kind of sparse autoencoder.

The terms are those of the papers: TopK (arXiv 2406.04093), BatchTopK (2412.06410), JumpReLU (2407.14435, with the
quadratic penalty on the number of active latents), gated (2404.16014), Matryoshka (2503.17547).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.sae.activations import Activation, Gated, Relu, Threshold, TopK
from ...models.sae.autoencoder import SparseAutoencoder
from ..settings import SAETrainingSettings

BANDWIDTH = 0.05
"""Of the rectangle through which gradients reach a JumpReLU's thresholds, in units of the scaled inputs."""
_START = 0.1
"""Thresholds of a JumpReLU at the start."""
_AUXILIARY = 1 / 32
"""Weight of the auxiliary loss."""


def untrained(width: int, settings: SAETrainingSettings) -> SparseAutoencoder:
    """Return an SAE of the kind that settled settings name, all its weights 0."""
    latents, k = settings.expansion * width, settings.k or 0
    activation: Activation
    match settings.kind:
        case "relu":
            activation = Relu()
        case "topk":
            activation = TopK(k)
        case "jumprelu":
            activation = Threshold(torch.full((latents,), _START))
        case "gated":
            activation = Gated(*(torch.zeros(latents) for _ in range(3)))
        case _:
            activation = Threshold(torch.zeros(()), "batchtopk", k=k)
    return SparseAutoencoder(width, latents, activation=activation, groups=settings.groups or ())


def objective(
    sae: SparseAutoencoder, x: Tensor, settings: SAETrainingSettings, dead: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of a batch, its squared error as a mean over cells and features, and its codes (n, h).

    A ReLU's loss and gradients are in `relu_gradients`.

    Parameters
    ----------
    sae
        As `untrained` makes it.
    x
        (n, d), as the training scales them.
    settings
        Settled.
    dead
        Numbers of latents, and for each whether the auxiliary loss is to bring it back; none where left out.
    """
    pre = F.linear(x - sae.tied_bias, sae.encoder_weight, sae.encoder_bias).float()
    if settings.kind == "gated":
        return _gated(sae, x, pre, settings.l1 or 0)
    k, penalty = settings.k or 1, torch.zeros((), device=x.device)
    if settings.kind == "topk":
        z = TopK(k)(pre.clone())
    elif settings.kind == "jumprelu":
        assert isinstance(sae.activation, Threshold)
        threshold = sae.activation.threshold
        z = _Jump.apply(pre, threshold)  # type: ignore[no-untyped-call]
        penalty = (_Step.apply(pre, threshold).sum(1).mean() / k - 1).square()  # type: ignore[no-untyped-call]
    else:
        z = batch_top(pre.relu(), k)
    spread = (x - x.mean(0)).square().sum().clamp_min(1e-12)
    if sae.groups:
        parts = _of_prefixes(sae, z)
        loss = torch.stack([(part - x).square().sum() for part in parts]).mean() / spread
        decoded = parts[-1]
    else:
        decoded = sae.decode(z)
        loss = (decoded - x).square().sum() / spread
    if dead is not None:
        loss = loss + _AUXILIARY * _auxiliary(sae, (x - decoded).detach(), pre, dead)
    return loss + penalty, (decoded - x).square().mean(), z


def batch_top(positive: Tensor, k: int) -> Tensor:
    """The ``k n`` largest of the pre-activations (n, h) of a batch, all >= 0; the others become 0."""
    flat = positive.flatten()
    values, places = flat.topk(k * len(positive), sorted=False)
    return torch.zeros_like(flat).scatter(0, places, values).view_as(positive)


def _of_prefixes(sae: SparseAutoencoder, z: Tensor) -> list[Tensor]:
    """Reconstructions by the first group of latents, by the first two, and so on."""
    decoded, parts, start = sae.tied_bias.expand(len(z), -1), [], 0
    for size in sae.groups:
        own = slice(start, start + size)
        decoded = decoded + F.linear(z[:, own], sae.decoder_weight[:, own])
        parts.append(decoded)
        start += size
    return parts


def _gated(sae: SparseAutoencoder, x: Tensor, pre: Tensor, l1: float) -> tuple[Tensor, Tensor, Tensor]:
    """A gated SAE's error, the L1 of its gates, and the error of what the gates alone give to a frozen decoder."""
    act = sae.activation
    assert isinstance(act, Gated)
    gates = pre + act.gate_bias
    z = torch.addcmul(act.mag_bias, pre, act.r_mag.exp()).relu() * (gates > 0)
    positive = gates.relu()
    frozen = F.linear(positive, sae.decoder_weight.detach(), sae.tied_bias.detach())
    error = (sae.decode(z) - x).square().mean()
    return error + l1 * positive.sum(1).mean() + (frozen - x).square().mean(), error, z


def _auxiliary(sae: SparseAutoencoder, missed: Tensor, pre: Tensor, dead: tuple[Tensor, Tensor]) -> Tensor:
    """How badly the likeliest of the dead latents make up what was missed, as a share of its variance."""
    ids, is_dead = dead
    spread = (missed - missed.mean(0)).square().sum()
    wanted = max(missed.shape[1] // 2, 1)
    likeliest = TopK(min(wanted, len(ids)))(pre[:, ids].masked_fill(~is_dead, 0))
    made_up = F.linear(likeliest, sae.decoder_weight[:, ids]).float()
    share = (is_dead.sum() / wanted).clamp(max=1)
    return torch.where(spread > 0, (made_up - missed).square().sum() / spread.clamp_min(1e-30) * share, 0.0)


class _Jump(torch.autograd.Function):
    """``relu(e) * (e > threshold)``, with the paper's gradient for the thresholds."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        return pre.relu() * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        pre, threshold = ctx.saved_tensors
        near = _near(pre, threshold)
        passed = gradient * (pre > threshold) * (pre > 0)
        return passed, (gradient * near * (-threshold / BANDWIDTH)).sum(0)


class _Step(torch.autograd.Function):
    """1 where ``e > threshold``, with the paper's gradient for the thresholds alone."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (gradient,) = gradients
        pre, threshold = ctx.saved_tensors
        return None, (gradient * _near(pre, threshold) * (-1 / BANDWIDTH)).sum(0)


def _near(pre: Tensor, threshold: Tensor) -> Tensor:
    return ((pre - threshold).abs() < BANDWIDTH / 2).to(pre.dtype)

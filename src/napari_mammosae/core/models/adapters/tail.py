"""Whether what follows a feature map is linear in its cells: tried on features, not looked up by a network's name.

Where it is, and every cell counts the same, logits are sums over latents and edits have closed forms. Everywhere else
what follows is run again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .kinds import TailKind

THRESHOLD = 1e-9
"""Relative error, in double precision, below which two sides are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What was found out about a tail.

    Attributes
    ----------
    kind
        Of the tail.
    error
        Relative error of head(a f + (1 - a) g) = a head(f) + (1 - a) head(g), or of the sum of the cells' shares.
    uneven
        Largest difference of the weights of one channel between cells, over the largest weight.
    weight, bias
        (K, d) and (K,) float64: what a unit of a channel's mean over the cells adds to each logit, and the logits of
        an empty map; None unless the kind is "mean".
    """

    kind: TailKind
    error: float
    uneven: float = 0.0
    weight: Tensor | None = field(default=None, repr=False)
    bias: Tensor | None = field(default=None, repr=False)


def probe_tail(head: Callable[[Tensor], Tensor], features: Tensor, channels: int) -> Probe:
    """Find out what a head is, in double precision.

    Parameters
    ----------
    head
        From feature maps (N, D, H, W) to logits (N, K), in float64.
    features
        (2, D, H, W) float64, of real size: two maps that the network itself gives.
    channels
        How many of the D are features of the cells; the rest, class tokens, are held where they are.
    """
    first, second = features[:1], features[1:2].clone()
    second[:, channels:] = first[:, channels:]
    share = 0.3
    with torch.no_grad():
        ends = head(first), head(second)
        between = head(share * first + (1 - share) * second)
        empty = first.clone()
        empty[:, :channels] = 0
        bias = head(empty)[0]
    size = max(float(end.abs().max()) for end in (*ends, bias)) or 1.0
    error = float((between - share * ends[0] - (1 - share) * ends[1]).abs().max()) / size
    if not error < THRESHOLD:
        return Probe("rerun", error)
    slopes = _slopes(head, first, channels)
    largest = float(max(slope.abs().max() for slope in slopes))
    if largest == 0:
        return Probe("token", error)
    totals = torch.stack([(slope * second[0, :channels]).sum() for slope in slopes])
    error = max(error, float((totals + bias - ends[1][0]).abs().max()) / size)
    uneven = float(max((slope - slope.mean((1, 2), keepdim=True)).abs().max() for slope in slopes)) / largest
    if error < THRESHOLD and uneven < THRESHOLD:
        return Probe("mean", error, uneven, torch.stack([slope.sum((1, 2)) for slope in slopes]), bias)
    return Probe("rerun", error, uneven)


def _slopes(head: Callable[[Tensor], Tensor], at: Tensor, channels: int) -> list[Tensor]:
    """What a unit of each channel at each cell adds to each logit, (d, H, W) a logit."""
    with torch.enable_grad():
        at = at.clone().requires_grad_()
        logits = head(at)[0]
        if not logits.requires_grad:
            return [torch.zeros_like(at[0, :channels]) for _ in logits]
        found = [torch.autograd.grad(one, at, retain_graph=True, allow_unused=True)[0] for one in logits]
    return [torch.zeros_like(at[0, :channels]) if one is None else one[0, :channels] for one in found]

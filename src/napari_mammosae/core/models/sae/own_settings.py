"""What a file of `train-sae` says of itself beside its tensors: the kind of SAE, and what the kind needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ...base.errors import CheckpointError
from .activations import Activation, Gated, Relu, Threshold, TopK


@dataclass(frozen=True, slots=True, eq=False)
class OwnSettings:
    """An activation whose weights are still 0, sizes of a Matryoshka SAE's groups, and the scale of the training."""

    activation: Activation
    groups: tuple[int, ...]
    scale: float


def own_activation(said: Mapping[str, str], latents: int, source: str) -> OwnSettings:
    """Return what a file says; a ReLU where it says nothing.

    Raises
    ------
    CheckpointError
        If it names an unknown kind, or a number that has no meaning for so many latents.
    """
    kind, k = said.get("kind", "relu"), 0.0
    groups: tuple[int, ...] = ()
    if kind in ("topk", "batchtopk", "matryoshka"):
        k = _number(said.get("k", ""))
        if not 1 <= k <= latents or k != int(k):
            found = said.get("k", "")[:20]
            raise CheckpointError(f"{source}: k is {found!r}, expected a whole number up to {latents:,}")
    if kind == "matryoshka":
        groups = tuple(int(_number(one)) for one in said.get("groups", "").strip("()").split(",") if one.strip())
        if sum(groups) != latents or min(groups) < 1:
            raise CheckpointError(f"{source}: its groups have {sum(groups):,} latents, its decoder {latents:,}")
    scale = _number(said.get("scale", "1"))
    if scale <= 0:
        raise CheckpointError(f"{source}: its scale is {said['scale'][:20]!r}, expected a positive number")
    activation: Activation
    if kind == "relu":
        activation = Relu()
    elif kind == "topk":
        activation = TopK(int(k))
    elif kind in ("batchtopk", "matryoshka"):
        activation = Threshold(torch.zeros(()), "batchtopk", k=int(k))
    elif kind == "jumprelu":
        activation = Threshold(torch.zeros(latents))
    elif kind == "gated":
        activation = Gated(*(torch.zeros(latents) for _ in range(3)))
    else:
        raise CheckpointError(f"{source} says it is a {kind[:40]}, which is not supported; update napari-mammosae")
    return OwnSettings(activation, groups, scale)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if math.isfinite(value) else -1.0

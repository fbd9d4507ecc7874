"""What latents add to logits where the rest of the network is not linear: by gradients, with what they leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ModelError, SettingsError
from ..base.progress import Report, ignore
from .memory import MemoryLadder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .model import MammoSAE

Method: TypeAlias = Literal["gradient", "integrated"]
METHODS: tuple[Method, ...] = get_args(Method)
METHOD_WORDS: dict[Method, str] = {"gradient": "gradient x activation", "integrated": "integrated gradients"}
STEPS = 16
"""Points between no latent and all of them at which integrated gradients are taken."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What each latent of an image adds to each logit, by gradients.

    Where the rest of the network is linear this is exact. Elsewhere it is an approximation, and `error` says how much
    of the logit it leaves open.

    Attributes
    ----------
    method
        "gradient": the gradient at the image's latents times the latents, one backward pass. "integrated": the mean
        gradient on the straight way from no latent to all of them, times the latents.
    latents
        int32 (L,), ascending: the latents that fire.
    values
        float64 (C, L): what each adds, summed over the cells.
    start, stop
        float64 (C,): logits of the SAE's reconstruction without any latent, and with all.
    """

    method: Method
    latents: NDArray[np.int32]
    values: Numbers
    start: Numbers
    stop: Numbers

    @property
    def error(self) -> Numbers:
        """Completeness error (C,): how far the logit is from `start` plus all contributions."""
        return np.asarray(self.stop - self.start - self.values.sum(axis=1))

    def describe(self, logit: int) -> str:
        """Say of one logit how nearly the contributions add up to it."""
        change = self.stop[logit] - self.start[logit]
        share = f" ({abs(self.error[logit] / change):.1%} of it)" if change else ""
        return (
            f"{METHOD_WORDS[self.method]}: latents change the logit by {change:+.3f}, "
            f"completeness error {self.error[logit]:+.3f}{share}"
        )

    def spread(self, n_latents: int) -> Numbers:
        """Return the contributions of all latents, (C, h), zero for those that are silent."""
        full = np.zeros((len(self.values), n_latents))
        full[:, self.latents] = self.values
        return full


def contributions_of(
    model: MammoSAE, features: Tensor, method: Method = "integrated", *, steps: int = STEPS, report: Report = ignore
) -> Contributions:
    """Take apart the logits of an image's reconstruction by its latents.

    Parameters
    ----------
    model
        With an SAE and a classifier, on any layer.
    features
        (1, d, H', W'), as `model.features` returns them.
    method
        See `Contributions`.
    steps
        Points of integrated gradients (Gauss-Legendre), a backward pass each.

    Raises
    ------
    SettingsError
        If there is no such method.
    ModelError
        If the model has no SAE or no classifier, or one backward pass does not fit into the memory.
    """
    import torch

    if method not in METHODS:
        raise SettingsError(f"the method {method!r} is unknown; choose one of {', '.join(METHODS)}.")
    if not model.heads:
        raise ModelError(f"{model.name} has no classifier; load a downstream checkpoint to see contributions")
    points, weights = (np.ones(1), np.ones(1)) if method == "gradient" else _gauss_legendre(steps)
    features = features.clone()  # not of inference mode, which gradients cannot go through
    with torch.no_grad():
        z = model.encode(features)
        live = torch.nonzero((z != 0).flatten(2).any(2)[0]).squeeze(1)
        fires, live = z[:, live], live.cpu()
    total = np.zeros((len(model.classes), live.numel()))
    ends = [np.zeros(0), np.zeros(0)]

    def slopes(part: Sequence[int]) -> None:
        for number in part:
            report(f"Computing gradients of the logits to {model.layer}", number, len(points))
            at = (fires.to(model.device) * points[number]).requires_grad_()
            logits = _tail(model, model.decode(at, live.to(model.device), features))
            for row, logit in enumerate(logits):
                slope = torch.autograd.grad(logit, at, retain_graph=row + 1 < len(logits))[0]
                added = (slope * fires.to(slope)).flatten(2).sum(2)[0]
                total[row] += weights[number] * added.double().cpu().numpy()

    def logits_at(part: Sequence[int]) -> None:
        for end in part:
            decoded = model.decode(fires * end, live.to(model.device), features)
            ends[end] = model.logits(decoded)[0].numpy()

    ladder = MemoryLadder(model, 1)
    with torch.no_grad():
        ladder.run([0, 1], logits_at)
    with torch.enable_grad():
        ladder.run(range(len(points)), slopes)
    return Contributions(method, live.numpy().astype(np.int32), total, *ends)


def _tail(model: MammoSAE, features: Tensor) -> Tensor:
    """Logits (C,) of a feature map of the SAE's layer, by PyTorch whatever the model's engine is."""
    last = features if model.block is None else model.backbone.from_block(features, model.block)
    return model.logits_of_pooled(model.pooled(last))[0]


def _gauss_legendre(steps: int) -> tuple[Numbers, Numbers]:
    if steps < 1:
        raise SettingsError(f"integrated gradients need at least 1 step; {steps} was given.")
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2

"""What decides the training of a sparse autoencoder. Knows no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ..base.errors import SettingsError

TrainKind = Literal["relu", "topk", "batchtopk", "jumprelu", "gated", "matryoshka"]
KINDS: tuple[TrainKind, ...] = get_args(TrainKind)
TrainPrecision = Literal["float32", "tf32", "bfloat16"]
"""Of the products in a training; weights and what Adam keeps are float32. A CPU has no TF32: it is float32 there."""
PRECISIONS: tuple[TrainPrecision, ...] = get_args(TrainPrecision)
WEIGHTED: tuple[TrainKind, ...] = ("relu", "gated")
"""Kinds whose sparsity an L1 weight sets; that of the others is a number of latents."""
_L1 = {"relu": 3e-5, "gated": 1e-3}
_K = 32
_RATE, _RATE_RELU = 2e-4, 3e-4
_LATENTS_OF_RATE = 2**14
"""Latents at which `_RATE` holds; it goes with one over the root of their number."""
_FRACTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
"""Shares of the latents in a Matryoshka SAE's groups, without the last, which has the rest."""


@dataclass(frozen=True, slots=True)
class SAETrainingSettings:
    """What decides a training; the defaults are the published ones of Mammo-SAE, and of each other kind.

    Attributes
    ----------
    expansion
        Latents per feature: h = expansion * d.
    epochs
        Passes over the features.
    learning_rate
        Of Adam. None: 3e-4 for a ReLU, else 2e-4 / sqrt(h / 16384).
    l1
        Weight of the sparsity term of a ReLU or gated SAE. None: 3e-5 and 1e-3.
    batch
        Cells a step.
    resample_every
        Epochs between two resamplings of the latents that did not fire since the last one; none happens in the last
        `resample_every` epochs, so that every latent has time to settle. 0 switches it off. ReLU and gated only: the
        other kinds have an auxiliary loss for dead latents.
    seed
        Of the initial weights, the order of the cells and the resampling.
    kind
        What is trained.
    k
        Latents that fire: at each cell (TopK), on average (BatchTopK, Matryoshka), or aimed at (JumpReLU). None: 32.
    groups
        Sizes of a Matryoshka SAE's groups, the most general first. None: 1/32, 1/16, 1/8, 1/4 of h, and the rest.
    scale_inputs
        Whether features are scaled to a mean squared norm of d for the training. None: for all kinds but ReLU.
    precision
        Of the matrix products: float32, tf32 (on GPUs that have it) or bfloat16. Weights are float32.
    """

    expansion: int = 8
    epochs: int = 200
    learning_rate: float | None = None
    l1: float | None = None
    batch: int = 4096
    resample_every: int = 10
    seed: int = 0
    kind: TrainKind = "relu"
    k: int | None = None
    groups: tuple[int, ...] | None = None
    scale_inputs: bool | None = None
    precision: TrainPrecision = "float32"

    @property
    def has_auxiliary(self) -> bool:
        """Whether an auxiliary loss brings dead latents back."""
        return self.kind not in WEIGHTED

    @property
    def resamples(self) -> bool:
        """Whether dead latents are resampled."""
        return self.kind in WEIGHTED and self.resample_every > 0

    def settle(self, width: int) -> "SAETrainingSettings":
        """Return the settings for features (cells, width), with a value for all that the kind uses and None elsewhere.

        Raises
        ------
        SettingsError
            A setting has no meaning, or not for this kind.
        """
        self._check()
        latents = self.expansion * width
        relu, weighted = self.kind == "relu", self.kind in WEIGHTED
        k = None if weighted else self.k or min(_K, latents)
        groups = (self.groups or _groups(latents)) if self.kind == "matryoshka" else None
        if k is not None and k > latents:
            raise SettingsError(f"k is {k:,}; the SAE has {latents:,} latents.")
        if groups and (sum(groups) != latents or min(groups) < 1):
            raise SettingsError(f"the groups have {sum(groups):,} latents; expected {latents:,}, each at least 1.")
        rate = _RATE_RELU if relu else _RATE / (latents / _LATENTS_OF_RATE) ** 0.5
        return replace(
            self,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            l1=_L1[self.kind] if weighted and self.l1 is None else self.l1,
            k=k,
            groups=groups,
            scale_inputs=(not relu) if self.scale_inputs is None else self.scale_inputs,
        )

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"the kind is {str(self.kind)[:40]!r}; expected one of {', '.join(KINDS)}.")
        if self.precision not in PRECISIONS:
            words = ", ".join(PRECISIONS)
            raise SettingsError(f"the precision is {str(self.precision)[:40]!r}; expected one of {words}.")
        if min(self.expansion, self.epochs, self.batch) < 1 or self.resample_every < 0:
            raise SettingsError(f"expansion, epochs and batch must be at least 1, resample_every at least 0: {self}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise SettingsError(f"the learning rate is {self.learning_rate:g}; expected a number above 0.")
        if self.l1 is not None and not self.l1 >= 0:
            raise SettingsError(f"l1 is {self.l1:g}; expected l1 at least 0.")
        if self.k is not None and self.k < 1:
            raise SettingsError(f"k is {self.k}; expected at least 1.")
        weighted = self.kind in WEIGHTED
        if weighted and self.k is not None:
            raise SettingsError(f"a {self.kind} SAE has no k; its sparsity is set by l1.")
        if not weighted and self.l1 is not None:
            raise SettingsError(f"a {self.kind} SAE has no l1; its sparsity is set by k.")
        if self.groups is not None and self.kind != "matryoshka":
            raise SettingsError(f"a {self.kind} SAE has no groups; only matryoshka has.")


def differing(settings: Mapping[str, SAETrainingSettings]) -> tuple[str, tuple[Any, ...]]:
    """Return in what several settings differ, `l1` or `k`, and its values.

    Raises
    ------
    SettingsError
        They differ in something else.
    """
    first, *others = settings.values()
    name = "k" if any(one.k != first.k for one in others) else "l1"
    if any(replace(one, l1=first.l1, k=first.k) != first for one in others):
        raise SettingsError("several settings of one training may differ in l1 or k alone.")
    return name, tuple(getattr(one, name) for one in settings.values())


def _groups(latents: int) -> tuple[int, ...]:
    sizes = [max(int(share * latents), 1) for share in _FRACTIONS]
    return (*sizes, latents - sum(sizes)) if latents > sum(sizes) else (1,) * latents

"""What an SAE keeps of features and prediction: variance, sparsity, dead latents, loss recovered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..models.heads import Task
from ..stats.measures import BoolArray, FloatArray, auroc


class ReconstructionStats:
    """Running account of features, reconstructions and latents; the batches do not change the result.

    FVU = sum |x - xhat|^2 / sum |x - mean x|^2, the mean taken over *all* cells seen: predicting it gives
    FVU 1, the input itself 0. The second sum is merged batch by batch around the running mean (Chan et
    al.), since the difference of two large sums would lose digits.

    Parameters
    ----------
    width : int
        Numbers in a feature vector, d.
    n_latents : int
        Latents of the SAE, h.
    """

    def __init__(self, width: int, n_latents: int) -> None:
        self.cells = 0
        self._mean = np.zeros(width)
        self._spread = 0.0
        self._error = 0.0
        self._active = 0
        self._fired = np.zeros(n_latents, dtype=np.bool_)

    def add(self, features: ArrayLike, reconstructed: ArrayLike, latents: ArrayLike | None = None) -> None:
        """Take in n cells: features and reconstructions (n, d), and latents (n, h) for sparsity.

        Raises
        ------
        SettingsError
            If the shapes do not go together.
        """
        x, xhat = np.asarray(features, dtype=np.float64), np.asarray(reconstructed, dtype=np.float64)
        if x.ndim != 2 or x.shape != xhat.shape or x.shape[1] != self._mean.size:
            raise SettingsError(
                f"features {x.shape}, reconstruction {xhat.shape}: both should be (cells, {self._mean.size})."
            )
        n = x.shape[0]
        if not n:
            return
        mean = x.mean(axis=0)
        shift = mean - self._mean
        total = self.cells + n
        self._spread += float(((x - mean) ** 2).sum() + (shift**2).sum() * self.cells * n / total)
        self._mean += shift * n / total
        self._error += float(((x - xhat) ** 2).sum())
        self.cells = total
        if latents is not None:
            on = np.asarray(latents) > 0
            if on.shape != (n, self._fired.size):
                raise SettingsError(f"latents {on.shape}: ({n}, {self._fired.size}) was expected.")
            self._active += int(on.sum())
            self._fired |= on.any(axis=0)

    @property
    def fvu(self) -> float:
        """Fraction of variance unexplained; NaN where the features seen do not vary."""
        return self._error / self._spread if self._spread else float("nan")

    @property
    def explained_variance(self) -> float:
        """1 - FVU."""
        return 1.0 - self.fvu

    @property
    def error_norm(self) -> float:
        """Root of the mean over cells of |x - xhat|^2."""
        return float(np.sqrt(self._error / self.cells)) if self.cells else float("nan")

    @property
    def l0(self) -> float:
        """Mean number of latents above zero in a cell."""
        return self._active / self.cells if self.cells else float("nan")

    @property
    def fired(self) -> BoolArray:
        """Which latents fired at all on the cells seen, (h,)."""
        return self._fired.copy()

    @property
    def dead_share(self) -> float:
        """Share of latents that never fired on the cells seen."""
        return float(1.0 - self._fired.mean()) if self._fired.size else float("nan")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The prediction without and with the SAE; areas are NaN for several exclusive classes."""

    auroc: float
    auroc_sae: float
    loss: float
    loss_sae: float
    loss_zero: float

    @property
    def auroc_change(self) -> float:
        """AUROC with the SAE minus AUROC without."""
        return self.auroc_sae - self.auroc

    @property
    def loss_recovered(self) -> float:
        """(L_zero - L_sae) / (L_zero - L_orig), unclipped; NaN where removing the features costs nothing."""
        return loss_recovered(self.loss, self.loss_sae, self.loss_zero)


def loss_recovered(loss: float, loss_sae: float, loss_zero: float) -> float:
    """Share of the loss that the features take away which the SAE's reconstruction takes away too."""
    cost = loss_zero - loss
    return (loss_zero - loss_sae) / cost if cost else float("nan")


def cross_entropy(labels: ArrayLike, logits: ArrayLike, task: Task = "binary") -> float:
    """Mean cross-entropy of logits: (n,) with 0/1 labels, or (n, C) with class numbers for "multiclass"."""
    y, x = np.asarray(labels, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    if task == "multiclass":
        if x.ndim != 2 or y.shape != x.shape[:1]:
            raise SettingsError(f"labels {y.shape} and logits {x.shape} do not go together.")
        return float((np.logaddexp.reduce(x, axis=1) - x[np.arange(y.size), y.astype(np.int64)]).mean())
    if x.shape != y.shape:
        raise SettingsError(f"labels {y.shape} and logits {x.shape} do not go together.")
    return float((np.logaddexp(0.0, x) - y * x).mean())


def fidelity(
    labels: ArrayLike,
    logits: FloatArray,
    logits_sae: FloatArray,
    logits_zero: FloatArray,
    task: Task = "binary",
) -> Fidelity:
    """Compare predictions from features, their reconstruction, and features of 0 (the head's bias).

    Logits are (n,) of one class, or (n, C) for "multiclass"; `logits_zero` may be one number or one row.
    """
    zero = np.broadcast_to(np.asarray(logits_zero, dtype=np.float64), np.shape(logits))
    nan = float("nan")
    with_areas = task != "multiclass"
    return Fidelity(
        auroc(labels, logits) if with_areas else nan,
        auroc(labels, logits_sae) if with_areas else nan,
        cross_entropy(labels, logits, task),
        cross_entropy(labels, logits_sae, task),
        cross_entropy(labels, zero, task),
    )

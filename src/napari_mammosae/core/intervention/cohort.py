"""Images of a run whose classifier ends in pooling and a linear layer: every edit has a closed form from means."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..base.errors import SettingsError
from ..stats.measures import BoolArray, FloatArray, IntArray
from ..stats.predictions import decisions
from ..stats.sparse import activations
from .edit import Edit, Form
from .measures import Measures, check_labels, measures_of


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Mean activations of n images and the linear tail behind them; made by `Cohort.of`.

    Attributes
    ----------
    pooled : sparse csc (n, h) float64
        Mean activation over cells.
    attribution : (C, h) float64
        What one unit of mean activation adds to each logit.
    constant : (C,) float64
        Logits of an image on which no latent fires.
    labels : (n,) float64 or None
        0/1 for one logit, class numbers for several.
    logits : (n, C) float64 or None
        The model's own, without the SAE; needed for the form "delta".
    patients : (n,) or None
        Patient of each image; without them each image is a patient of its own.
    decides
        Whether the logits decide for a class; that of a single text does not.
    """

    pooled: Any
    attribution: FloatArray
    constant: FloatArray
    labels: FloatArray | None = None
    logits: FloatArray | None = None
    patients: Any = None
    decides: bool = True

    @classmethod
    def of(
        cls,
        pooled: Any,
        attribution: ArrayLike,
        constant: ArrayLike,
        labels: ArrayLike | None = None,
        logits: ArrayLike | None = None,
        patients: ArrayLike | None = None,
        decides: bool = True,
    ) -> "Cohort":
        """Check that the parts fit, and leave out images of unknown label (NaN).

        `attribution`, `constant` and `logits` may be those of one class alone: (h,), a number, (n,).

        Raises
        ------
        SettingsError
            If sizes do not fit: the run was then made with another SAE or model.
        """
        matrix = activations(pooled).astype(np.float64)
        n, h = matrix.shape
        weight = np.atleast_2d(np.asarray(attribution, dtype=np.float64))
        bias = np.atleast_1d(np.asarray(constant, dtype=np.float64))
        if weight.shape != (bias.size, h):
            raise SettingsError(
                f"the run has {h} latents, the model {weight.shape[1]} and {weight.shape[0]} x {bias.size} logits; "
                "open the run with the model and SAE that made it."
            )
        original = None
        if logits is not None:
            original = np.asarray(logits, dtype=np.float64).reshape(-1, 1 if np.ndim(logits) == 1 else bias.size)
            if original.shape != (n, bias.size):
                raise SettingsError(f"logits are {np.shape(logits)}; ({n}, {bias.size}) was expected.")
        for name, rows in (("labels", labels), ("patients", patients)):
            if rows is not None and np.shape(rows) != (n,):
                raise SettingsError(f"{np.size(rows)} {name} for {n} images; they must go together.")
        names = np.arange(n) if patients is None else np.asarray(patients)
        cohort = cls(matrix, weight, bias, None, original, names, decides)
        if labels is None:
            return cohort
        values = np.asarray(labels, dtype=np.float64)
        cohort = replace(cohort, labels=values)
        return cohort if not np.isnan(values).any() else cohort.take(np.flatnonzero(~np.isnan(values)))

    @property
    def n_images(self) -> int:
        """Number of images, n."""
        return int(self.pooled.shape[0])

    @property
    def n_latents(self) -> int:
        """Number of latents, h."""
        return int(self.pooled.shape[1])

    @property
    def live(self) -> BoolArray:
        """Latents that fire on any of the images, (h,)."""
        return np.asarray(np.diff(self.pooled.indptr) > 0)

    def take(self, rows: ArrayLike, labels: ArrayLike | None = None) -> "Cohort":
        """Return some images, by position, in that order and as often as they are named (finding rows repeat them)."""
        import scipy.sparse

        chosen = np.asarray(rows, dtype=np.int64)
        own = None if self.labels is None else self.labels[chosen]
        return replace(
            self,
            pooled=scipy.sparse.csc_array(scipy.sparse.csr_array(self.pooled)[chosen]),
            labels=own if labels is None else np.asarray(labels, dtype=np.float64),
            logits=None if self.logits is None else self.logits[chosen],
            patients=self.patients[chosen],
        )

    def logits_sae(self) -> FloatArray:
        """Return the logits of the plain reconstruction, (n, C)."""
        return self._sum(np.ones(self.n_latents)) + self.constant

    def before(self, form: Form) -> FloatArray:
        """Return the logits of the unedited latents, (n, C): the reconstruction's, or in "delta" the model's own."""
        return self.logits_sae() if form == "replace" else self.original()

    def original(self) -> FloatArray:
        """Return the model's own logits, (n, C); SettingsError where they were not given."""
        if self.logits is None:
            raise SettingsError("the form 'delta' starts from the model's own logits, which were not given.")
        return self.logits

    def logits_after(self, edit: Edit) -> FloatArray:
        """Return the logits of all images under an edit, (n, C) float64.

        Raises
        ------
        SettingsError
            If the edit is for another number of latents, or needs the maps: a region, or the mode "clip".
        """
        edit.check(self.n_latents)
        if edit.region is not None or edit.mode == "clip":
            what = "a region" if edit.region is not None else "clipping"
            raise SettingsError(f"{what} needs the maps of each image; mean activations do not suffice.")
        targets = edit.targets
        level = self.attribution[:, targets].sum(axis=1) * edit.value if edit.mode == "clamp" and edit.value else 0.0
        if edit.form == "replace":
            return self._sum(np.where(targets, edit.factor, 1.0)) + (self.constant + level)
        return self.original() - self._sum(np.where(targets, 1.0 - edit.factor, 0.0)) + level

    def measure(self, logits: FloatArray) -> Measures:
        """Measure logits (n, C) against the labels.

        Raises
        ------
        SettingsError
            If there are no labels or only one class occurs.
        """
        return measures_of(check_labels(self.labels, self.constant.size), logits, self.decides)

    def flips(self, after: FloatArray, form: Form) -> IntArray:
        """Return the positions of the images that logits (n, C) decide otherwise than the unedited ones of the form."""
        if not self.decides:
            return np.zeros(0, np.int64)
        return np.flatnonzero(decisions(self.before(form)) != decisions(after))

    def _sum(self, weight: FloatArray) -> FloatArray:
        """Sum up weighted contributions, (n, C); an image whose latents all have weight 0 gets exactly 0."""
        return np.asarray(self.pooled @ (self.attribution * weight).T)

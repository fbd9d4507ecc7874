"""Cosines beside the logits of prompts: of one image before and after an edit, and of the images of a run.

The logit of a prompt is linear in the latents, its cosine is not: only the length of the image's vector couples them,
and that is computed anew after every edit.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ..base.errors import SettingsError
from ..models.heads import Head, Prompt
from ..models.latents import LatentMaps
from ..models.text.space import JointSpace
from ..models.text.tower import unit
from ..runs.run import Run
from ..stats.measures import FloatArray, IntArray, auroc
from .cohort import Cohort
from .edit import Edit, Form
from .effects import change_of_measures
from .image_edit import change_of_means

if TYPE_CHECKING:
    import pandas as pd

    from ..models.model import MammoSAE

COSINE_MEASURE = "auroc_cosine"
"""AUROC of the cosines of a prompt, which no scale changes; beside that of its logit."""


@dataclass(frozen=True, slots=True)
class PromptScore:
    """What a prompt says of one image, before or after an edit.

    Attributes
    ----------
    logit, cosine
        The numerator, and the cosine: for a pair of texts the difference of two.
    norm
        Length of the image's vector; logit over cosine.
    probability
        Of the first text of a pair, by the learned scale; not calibrated. NaN for a single text.
    """

    logit: float
    cosine: float
    norm: float
    probability: float


def score_image(head: Head, space: JointSpace, maps: LatentMaps, edit: Edit | None = None) -> PromptScore:
    """Score an image, as it is or with its latents edited.

    Parameters
    ----------
    head
        Of a prompt.
    space
        Of its model.
    maps
        The image's latents, with its pooled features.
    edit
        What is done to the latents; in the form "replace" the reconstruction takes the features' place. None for the
        model itself.

    Raises
    ------
    SettingsError
        If the pooled features are not there, the edit does not fit, or what follows the latents is not linear.
    """
    vector = vector_of(space, maps, edit)
    logit, cosine = float(vector @ _prompt(head).direction), float(cosines(head, vector))
    return PromptScore(logit, cosine, float(np.linalg.norm(vector)), float(uncalibrated(head, cosine)))


def vector_of(space: JointSpace, maps: LatentMaps, edit: Edit | None = None) -> FloatArray:
    """Return the vector (p,) of an image, not of unit length; see `score_image`."""
    if edit is None or edit.form == "delta":
        if "mean" not in maps.features:
            raise SettingsError("the pooled features of the image are not kept; compute its latents again.")
        start = space.embed(maps.features["mean"])
    else:
        _check_linear(space)
        start = space.embed_latents(maps.pooled_mean)
    if edit is None:
        return start
    _check_linear(space)
    return start + space.shift(change_of_means(maps, edit))


def cosines(head: Head, vectors: FloatArray) -> FloatArray:
    """Return the cosines (...,) of images, or differences of two, from their vectors (..., p)."""
    return np.asarray(unit(vectors) @ _prompt(head).direction)


def uncalibrated(head: Head, cosine: ArrayLike) -> NDArray[np.float64]:
    """Return the probability of the first of two texts by the scale that was learned; NaN for a single text."""
    found = expit(_prompt(head).scale * np.asarray(cosine, np.float64))
    return np.asarray(found if head.decides else np.full_like(found, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class PromptedCohort:
    """Images of a cohort with the vectors that a prompt is compared with.

    Attributes
    ----------
    head
        Of the prompt.
    cohort
        Images whose "logits" are the p numbers of their vectors.
    scored
        The same images with the prompt's logit.
    """

    head: Head
    cohort: Cohort
    scored: Cohort

    @classmethod
    def of(cls, run: Run, model: "MammoSAE", head: Head, scored: Cohort, rows: IntArray) -> "PromptedCohort":
        """Put the vectors of the images in some rows of a run beside a prompt's logits of the same images."""
        space = model.joint_space()
        vectors = space.embed(run.features("mean"))[rows]
        parts = scored.pooled, space.latents, space.constant, scored.labels, vectors, scored.patients
        return cls(head, Cohort(*parts), scored)

    def cosines(self, edit: Edit | None = None, form: Form = "delta") -> FloatArray:
        """Return the cosine of each image, (n,): under an edit, or without one as a form of edit starts."""
        vectors = self.cohort.before(form) if edit is None else self.cohort.logits_after(edit)
        return cosines(self.head, vectors)

    def auroc(self, edit: Edit) -> float:
        """Return the area under the ROC curve of the cosines under an edit."""
        return auroc(self.scored.labels if self.scored.labels is not None else (), self.cosines(edit))

    def effect(self, edit: Edit) -> "pd.DataFrame":
        """Return the row of `core.intervention.effects.effect` that the cosines give."""
        before, after = self.cosines(form=edit.form), self.cosines(edit)
        rows = change_of_measures(replace(self.scored, decides=False), before[:, None], after[:, None])
        return rows[rows["measure"] == "auroc"].assign(measure=COSINE_MEASURE)


def _check_linear(space: JointSpace) -> None:
    if not space.latents.shape[1]:
        raise SettingsError("what follows the latents is not linear, so an edit has no closed form.")


def _prompt(head: Head) -> Prompt:
    if head.prompt is None:
        raise SettingsError(f"the head {head.name!r} does not stand for a text, so it has no cosine.")
    return head.prompt

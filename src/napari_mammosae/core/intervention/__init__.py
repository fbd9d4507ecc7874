"""Keep, zero, scale or set latents, and what the classifier then says: exactly, for one image and for a run."""

from .bands import curve_table, effect
from .cohort import Cohort, row_positions
from .edits import FORMS, MODES, Edit, Form, Mode, mask_of, verdict_mask
from .explain import (
    Explanation,
    error_map,
    explain,
    latent_position_contributions,
    position_contributions,
)
from .flipping import FlipSet, smallest_flip
from .forward import edited_latents, masked_logits
from .image_edit import ImageEdit, edit_image
from .measures import compat_scores, decisions, measures_of, measures_of_resamples
from .null import NullDistribution, random_null
from .sweep import SWEEP_MODES, Curve, sweep

__all__ = [
    "FORMS",
    "MODES",
    "SWEEP_MODES",
    "Cohort",
    "Curve",
    "Edit",
    "Explanation",
    "FlipSet",
    "Form",
    "ImageEdit",
    "Mode",
    "NullDistribution",
    "compat_scores",
    "curve_table",
    "decisions",
    "edit_image",
    "edited_latents",
    "effect",
    "error_map",
    "explain",
    "latent_position_contributions",
    "mask_of",
    "masked_logits",
    "measures_of",
    "measures_of_resamples",
    "position_contributions",
    "random_null",
    "row_positions",
    "smallest_flip",
    "sweep",
    "verdict_mask",
]

"""What the paper shows, which models each part of it needs, and what it says where numbers are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...base.errors import SettingsError

Kind = Literal["auroc", "sweep", "localization", "heatmaps", "means"]

CONCEPTS = ("suspicious_calcification", "mass")
VARIANTS = ("pretrained", "finetuned")


@dataclass(frozen=True, slots=True)
class Part:
    """A table or figure of the paper.

    Attributes
    ----------
    name, title
        What `--only` calls it, and what it shows.
    kind
        How it is made.
    models
        (concept, variant) of the models it needs.
    """

    name: str
    title: str
    kind: Kind
    models: tuple[tuple[str, str], ...]


_ALL = tuple((concept, variant) for concept in CONCEPTS for variant in VARIANTS)
_CALC, _MASS = CONCEPTS
_CALC_WORDS, _MASS_WORDS = "suspicious calcification", "mass"
PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("table1", "AUROC without and with the SAE", "auroc", _ALL),
        Part("figure2", "The best k latents kept, and zeroed", "sweep", _ALL),
        Part("table2", "Average precision of the best latents", "localization", _ALL),
        Part("figure3", "The best latents, finetuned", "heatmaps", ((_CALC, "finetuned"), (_MASS, "finetuned"))),
        Part("figure4", f"Class means, {_CALC_WORDS}", "means", tuple((_CALC, variant) for variant in VARIANTS)),
        Part("figure5", f"Class means, {_MASS_WORDS}", "means", tuple((_MASS, variant) for variant in VARIANTS)),
        Part("figure6", f"The best latents, {_CALC_WORDS}, finetuned", "heatmaps", ((_CALC, "finetuned"),)),
        Part("figure7", f"The best latents, {_CALC_WORDS}, pretrained", "heatmaps", ((_CALC, "pretrained"),)),
        Part("figure8", f"The best latents, {_MASS_WORDS}, finetuned", "heatmaps", ((_MASS, "finetuned"),)),
        Part("figure9", f"The best latents, {_MASS_WORDS}, pretrained", "heatmaps", ((_MASS, "pretrained"),)),
    )
}
FIGURE2 = {1: 0.668, 5: 0.911, 10: 0.964, 50: 0.978, 100: 0.978}
"""AUROC of the finetuned model for suspicious calcification with the best k latents of each class kept."""

LIMITS = (
    "Latents are ranked on the training rows as they are. The published rankings were made on randomly augmented "
    "training images; orders therefore differ where class means are close. Published rankings can be used instead "
    "(--rankings).",
    "The paper names the 95th percentile as the threshold of heatmaps; its released code cuts at 0.3 of the maximum. "
    "Table 2 is given for both.",
    "The paper counts finding rows: an image with two findings counts twice, and rows without the finding can show an "
    "image that has it elsewhere. So it is done here.",
    "The released checkpoints were chosen by their score on these test rows, so all AUROCs are optimistic.",
)


def model_name(concept: str, variant: str) -> str:
    """Return what `load_model` calls a model of the paper.

    >>> model_name("suspicious_calcification", "finetuned")
    'suspicious-calcification-finetuned'
    """
    return f"{concept.replace('_', '-')}-{variant}"


def parts_named(names: str | None) -> list[Part]:
    """Return parts by their names, separated by commas; all without any.

    Raises
    ------
    SettingsError
        There is no such part.
    """
    if names is None:
        return list(PARTS.values())
    wanted = [name.strip().casefold().replace(" ", "") for name in names.split(",")]
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise SettingsError(f"the paper has no part {unknown[0]!r} here; choose among {', '.join(PARTS)}.")
    return [PARTS[name] for name in dict.fromkeys(wanted)]

"""Kinds of backbones, and what each expects of its input where the `model.toml` says nothing. Knows no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ...base.errors import ModelError
from ...base.reading import reads
from ...base.structured import read_json

BackboneKind = Literal["mammo-clip", "timm", "torchvision", "mammoscreen", "medclip"]
BACKBONE_KINDS: tuple[BackboneKind, ...] = get_args(BackboneKind)

TailKind = Literal["mean", "token", "rerun"]
"""Mean of the cells and a linear layer; a head that reads class tokens alone; anything else."""

TAIL_WORDS: dict[TailKind, str] = {
    "mean": "closed form (mean of the cells, then linear)",
    "token": "re-run (the head reads class tokens alone: cells have no direct effect)",
    "rerun": "re-run (not linear in the cells)",
}

TORCHVISION = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
    "wide_resnet50_2", "wide_resnet101_2", "densenet121", "densenet161", "densenet169", "densenet201", "inception_v3",
)  # fmt: skip
"""torchvision's classifiers whose weights have the names that timm's networks of the same name have."""

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_GREY = {"mean": 0.449, "std": 0.226}
CONFIG = "config.json"
"""What the settings of mammoscreen are called; they lie beside its weights."""


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """What a backbone is, before its weights are read.

    Attributes
    ----------
    kind
        Who makes it.
    name
        Its name there; "" where the kind says it all.
    member
        Which of several networks in a file, from 0.
    """

    kind: BackboneKind = "mammo-clip"
    name: str = ""
    member: int = 0

    @property
    def words(self) -> str:
        """What tells it from others beside its weights; empty for Mammo-CLIP, whose weights tell."""
        return "" if self.kind == "mammo-clip" else f"{self.kind} {self.name} {self.member}"


@dataclass(frozen=True, slots=True)
class MammoscreenConfig:
    """What matters of the `config.json` of mammoscreen: an ensemble of like networks, each for its own input size.

    Attributes
    ----------
    backbone
        timm's name of the network.
    classes, channels
        Logits, and channels of the input.
    sizes
        (H, W) of each network's input.
    padded
        Whether its images are padded to the shape of the input.
    """

    backbone: str
    classes: int
    channels: int
    sizes: tuple[tuple[int, int], ...]
    padded: tuple[bool, ...]


@reads(ModelError, "a config.json")
def read_mammoscreen_config(path: Path) -> MammoscreenConfig:
    """Read the settings of mammoscreen.

    Raises
    ------
    ModelError
        If they are missing, damaged, or those of something else.
    """
    try:
        content = read_json(path, ModelError)
    except FileNotFoundError:
        raise ModelError(f"{path.name}: no such file beside the weights; mammoscreen comes with one, copy it") from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"{path.name} cannot be read; copy or download it again") from None
    try:
        sizes = tuple((_whole(rows), _whole(columns)) for rows, columns in content["image_sizes"])
        padded = tuple(bool(one) for one in content["pad_to_aspect_ratio"])
        found = MammoscreenConfig(
            str(content["backbone"]), _whole(content["num_classes"]), _whole(content["in_chans"]), sizes, padded
        )
    except (KeyError, TypeError, ValueError):
        found = None
    if found is None or not sizes or len(sizes) != len(padded) or content.get("num_models", len(sizes)) != len(sizes):
        raise ModelError(
            f"{path.name} does not describe mammoscreen; expected backbone, num_classes, in_chans, image_sizes and "
            "pad_to_aspect_ratio"
        )
    return found


def _whole(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 65_536:
        raise ValueError(value)
    return value


@dataclass(frozen=True, slots=True)
class Defaults:
    """What goes without saying for a kind of backbone.

    Attributes
    ----------
    input
        Fields of `Preprocessing`.
    domain
        Fields of `Domain`.
    """

    input: Mapping[str, Any] = field(default_factory=dict)
    domain: Mapping[str, Any] = field(default_factory=dict)


def defaults_of(source: NetworkSource, channels: int | None, weights: Path | None) -> Defaults:
    """Return what a backbone expects of its input where nothing is said.

    Parameters
    ----------
    source
        The backbone.
    channels
        Of its input, if that is said.
    weights
        Its file; the settings of mammoscreen lie beside it.

    Raises
    ------
    ModelError
        If those settings are not what they should be, or describe no such network.
    """
    if source.kind in ("timm", "torchvision"):
        plain = {"size": (224, 224), "fit": "resize", "stretch": False, "channels": channels or 3}
        return Defaults(plain | (_GREY if channels == 1 else _IMAGENET))
    if source.kind == "medclip":
        return Defaults(
            {
                "size": (224, 224),
                "fit": "pad",
                "stretch": False,
                "mean": 0.5862785803043838,
                "std": 0.27950088968644304,
            },
            {"modality": "chest radiography", "body_part": "chest"},
        )
    if source.kind == "mammoscreen" and weights is not None:
        config = read_mammoscreen_config(weights.with_name(CONFIG))
        if source.member >= len(config.sizes):
            raise ModelError(
                f"backbone.member is {source.member}; {CONFIG} describes {len(config.sizes)} networks, from 0 to "
                f"{len(config.sizes) - 1}"
            )
        return Defaults(
            {
                "size": config.sizes[source.member],
                "fit": "crop-pad" if config.padded[source.member] else "crop",
                "stretch": False,
                "channels": config.channels,
                "mean": 0.5,
                "std": 0.5,
            }
        )
    return Defaults()

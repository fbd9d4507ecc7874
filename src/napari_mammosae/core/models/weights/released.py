"""Names of weights in the released checkpoints."""

from collections.abc import Mapping
from math import ceil

from torch import Tensor

from ...base.errors import ModelError
from ..backbone import ARCHITECTURES, Architecture
from ..timm_import import import_timm

_RELEASED_LAYERS = {
    "expanding": {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_se_reduce": "se.conv_reduce",
        "_se_expand": "se.conv_expand",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    },
    "plain": {
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn1",
        "_se_reduce": "se.conv_reduce",
        "_se_expand": "se.conv_expand",
        "_project_conv": "conv_pw",
        "_bn2": "bn2",
    },
}


_RELEASED_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


def rename_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `weights` under this module's names, given the released names (`_blocks.7._bn1.weight` and so on).

    Keys that are no part of the feature extractor (a classification layer `_fc`) are left out; names that are not
    recognised are kept, so that loading reports them.
    """
    expanding = {key.split(".")[1] for key in weights if "._expand_conv." in key}
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        parts = key.split(".")
        if parts[0] == "_fc":
            continue
        if parts[0] == "_blocks" and len(parts) > 3:
            kind = "expanding" if parts[1] in expanding else "plain"
            layer = _RELEASED_LAYERS[kind].get(parts[2], parts[2])
            renamed[".".join(["blocks", parts[1], layer, *parts[3:]])] = value
        else:
            renamed[".".join([_RELEASED_ENDS.get(parts[0], parts[0]), *parts[1:]])] = value
    return renamed


def architecture_of(weights: Mapping[str, Tensor]) -> Architecture:
    """Return the known architecture whose stem, number of blocks and width `weights` (this module's names) have.

    Raises
    ------
    ModelError
        If none fits; the message says what was found.
    """
    stem, head = weights.get("conv_stem.weight"), weights.get("conv_head.weight")
    blocks = {key.split(".")[1] for key in weights if key.startswith("blocks.")}
    if stem is None or head is None:
        raise ModelError("these weights hold no EfficientNet (no stem or no head convolution)")
    for architecture in ARCHITECTURES.values():
        if head.shape[0] == architecture.features and (stem.shape[0], len(blocks)) == _signature(architecture):
            return architecture
    raise ModelError(
        f"unknown EfficientNet: stem of {stem.shape[0]} channels, {len(blocks)} blocks, {head.shape[0]} features; "
        f"known are {', '.join(ARCHITECTURES)}"
    )


def _signature(architecture: Architecture) -> tuple[int, int]:
    """Stem channels and number of blocks, by EfficientNet's own rounding rules."""
    import_timm()
    from timm.models._efficientnet_builder import round_channels

    repeats = (1, 2, 2, 3, 3, 4, 1)
    blocks = sum(ceil(repeat * architecture.depth) for repeat in repeats)
    return int(round_channels(32, architecture.width)), blocks  # type: ignore[no-untyped-call]

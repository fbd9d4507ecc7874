"""Networks of timm, and of torchvision under the same names, with weights from a local file."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.errors import CheckpointError, ModelError
from ..memory import first_line
from ..timm_import import import_timm
from ..weights.checkpoints import load_tensors
from ..weights.state_dicts import check_known, name_places, places
from .kinds import TORCHVISION, NetworkSource
from .network import NetworkBackbone
from .weights import choose_weights, fill, find_weights


@dataclass(frozen=True, slots=True)
class Loaded:
    """A backbone with its weights.

    Attributes
    ----------
    backbone
        The network.
    place
        What tells its weights from others in the file; "" where there are no others.
    """

    backbone: NetworkBackbone
    place: str


def read_timm(
    path: Path, source: NetworkSource, size: tuple[int, int], channels: int, *, key: str | None, classifier: bool
) -> Loaded:
    """Build a network and give it the weights of a file.

    Parameters
    ----------
    path
        Its weights.
    source
        Which network.
    size, channels
        Of its input.
    key
        Which weights to take of several in the file.
    classifier
        Whether its classification layer is wanted.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If the file is not what it should be.
    ModelError
        If the network is not known, or cannot be built for the size.
    """
    timm = import_timm()
    name = network_name(timm, source)
    content = load_tensors(path)[0]
    layer = classifier_of(timm, name)
    kind = "classifier" if classifier else "backbone"
    classes = _classes(content, path.name, name, layer, key) if classifier else 0
    network = build(timm, name, size, channels, classes)
    expected = network.state_dict()
    found = find_weights(content, path.name, expected, name)
    check_known(key, found, path.name)
    place = choose_weights(found, key, path.name, kind)
    dropped = ("AuxLogits.",) if classifier else ("AuxLogits.", *(f"{one}." for one in layer))
    weights = {key: value for key, value in place.tensors.items() if not key.startswith(dropped)}
    fill(network, weights, path.name, f"{name} for {size[0]} x {size[1]} pixels in {channels} channels")
    fixed = bool(timm.get_pretrained_cfg(name).fixed_input_size)
    backbone = NetworkBackbone(network, name, source.kind, channels, size, fixed=fixed)
    return Loaded(backbone, place.name if len(found) > 1 else "")


def network_name(timm: Any, source: NetworkSource) -> str:
    """Return timm's name of a network; ModelError where there is none."""
    if source.kind == "medclip":
        return "resnet50"
    name = source.name
    if source.kind == "torchvision" and name not in TORCHVISION:
        near = difflib.get_close_matches(name, TORCHVISION, 1)
        raise ModelError(
            f"torchvision = {name[:40]!r} is not read here{f'; did you mean {near[0]}?' if near else ''} Known are "
            f"{', '.join(TORCHVISION[:5])}, densenet121 and the like; others may have weights for timm"
        )
    if "/" in name or ":" in name or not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 1)
        raise ModelError(f"timm has no network {name[:40]!r}{f'; did you mean {near[0]}?' if near else ''}")
    return name


def classifier_of(timm: Any, name: str) -> tuple[str, ...]:
    """Return where a network keeps its classification layers."""
    found = timm.get_pretrained_cfg(name).classifier or "fc"
    return (found,) if isinstance(found, str) else tuple(found)


def build(timm: Any, name: str, size: tuple[int, int], channels: int, classes: int) -> Any:
    """Return a network with random weights; nothing is downloaded."""
    settings = {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    try:
        return timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels, **settings)
    except Exception as error:
        raise ModelError(
            f"{name} cannot be built for {size[0]} x {size[1]} pixels ({first_line(error)}); choose another input size"
        ) from None


def _classes(content: Any, file: str, name: str, layer: tuple[str, ...], key: str | None) -> int:
    """Return how many logits the classification layer in a file has."""
    found = name_places(places(content, file, (f"{layer[0]}.weight",)))
    layers = [place.tensors[f"{layer[0]}.weight"] for place in found]
    within = [one for one, place in zip(layers, found, strict=True) if key is None or place.within(key)] or layers
    if not within:
        raise CheckpointError(
            f"{file} holds no classification layer of {name} ({layer[0]}.weight); name it as `backbone` for features "
            "without a prediction"
        )
    return int(within[0].shape[0])

"""Reading weights files safely: released pickles through an allow-list, our own files as safetensors.

A pickle can name any function to be called while it is read. `pickled` reads it as data: what it names is looked up in
a list of tensors, containers, and numpy's plain arrays and numbers, because the released files store the
test predictions and scores beside the weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...base.errors import CheckpointError, UnsafeCheckpointError
from ...base.reading import reads, short_reason
from ..pickled.files import PICKLE_START, ZIP_START, read_weights_file
from ..pickled.machine import NotHarmless, TooMuch
from .file_kinds import SAFETENSORS, check_weights_file
from .state_dicts import Place, check_known, choose, name_places, places, tables

_EXPECTED = "expected one written by torch.save (.pt, .pth, .tar), or safetensors"
_STEMS = ("_conv_stem.weight", "conv_stem.weight")
_DECODERS = ("decoder._weight", "decoder_weight")


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """An image encoder.

    Attributes
    ----------
    tensors
        Weights by name.
    released
        Whether the names are the released ones.
    place
        What tells it from others in its file, such as averaged weights; "" where there are no others.
    """

    tensors: dict[str, Tensor]
    released: bool
    place: str


@dataclass(frozen=True, slots=True)
class ClassifierWeights:
    """What a downstream checkpoint holds: the image encoder and one linear layer.

    Attributes
    ----------
    encoder
        The image encoder.
    head_weight, head_bias
        (C, d) and (C,), float32, or float64 where they are kept so.
    metadata
        String values stored beside the weights (only in our own files).
    """

    encoder: EncoderWeights
    head_weight: Tensor
    head_bias: Tensor
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class SaeWeights:
    """Tensors of an autoencoder by name, the file's metadata, and `place` as of an encoder."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    place: str


@reads(CheckpointError, "a weights file")
def load_tensors(path: Path | str, start: int = 0, *, mapped: bool = False) -> tuple[Any, dict[str, str]]:
    """Return what a weights file holds, and its metadata, on the CPU, without running any code from it.

    Parameters
    ----------
    path
        A `.safetensors` file, or a file written by `torch.save` (`.pt`, `.pth`, `.tar`).
    start
        Byte at which `torch.save` began to write.
    mapped
        Leave tensors in the file until they are looked at.

    Raises
    ------
    UnsafeCheckpointError
        If a pickle names anything outside the allow-list; the message gives the name.
    CheckpointError
        If the file is missing, truncated or of another kind.
    """
    path = Path(path)
    check_weights_file(path)
    return _load_safetensors(path) if path.suffix == SAFETENSORS else (_load_pickle(path, start, mapped), {})


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} cannot be read as safetensors ({short_reason(error)}); copy or download it again"
        ) from error


def _load_pickle(path: Path, start: int, mapped: bool) -> Any:
    try:
        return read_weights_file(path, start, mapped=mapped)
    except (CheckpointError, MemoryError):
        raise
    except NotHarmless as refused:
        raise UnsafeCheckpointError(
            f"{path.name} was not loaded: its pickle asks for {short_reason(refused)}, which is not on the list of "
            "harmless types, and nothing of it was run. Use the published file, or save only tensors, numbers and "
            "plain numpy arrays"
        ) from None
    except TooMuch as large:
        raise CheckpointError(f"{path.name} was not loaded: its pickle has {large}") from None
    except Exception as error:
        if not _starts_as_saved(path, start):
            raise CheckpointError(f"{path.name} is not a weights file; {_EXPECTED}") from None
        raise CheckpointError(
            f"{path.name} cannot be read ({short_reason(error)}); it looks truncated or damaged: copy or download it "
            "again"
        ) from None


@reads(CheckpointError, "a weights file")
def read_classifier(path: Path | str, key: str | None = None) -> ClassifierWeights:
    """Read a downstream classifier: the released `.pth` (key `model`), or one of this project's safetensors files.

    Parameters
    ----------
    path
        The file. Its weights may stand under any keys and prefixes.
    key
        Which to take of several: keys that lead to them, such as `model_ema`.

    Raises
    ------
    CheckpointError
        If the file holds no image encoder, or no classification layer, or several of either and `key` does not tell
        which.
    """
    path = Path(path)
    content, metadata = load_tensors(path)
    encoders, layers = places(content, path.name, _STEMS), _layers(content, path.name)
    check_known(key, [*name_places(encoders), *name_places(layers)], path.name)
    encoder = _encoder(encoders, content, key, path.name, "classifier")
    layer = choose(layers, key, path.name, "classification layers", "classifier")
    if layer is None:
        raise CheckpointError(
            f"{path.name} holds no classification layer (a key ending in classification_head.weight); "
            "a pre-training checkpoint goes to `backbone`, a downstream one to `classifier`"
        )
    return ClassifierWeights(encoder, *_linear_layer(layer, path.name), metadata)


@reads(CheckpointError, "a weights file")
def read_head(path: Path | str, key: str | None = None, name: str = "head") -> tuple[Tensor, Tensor]:
    """Read a head on its own: a weight (C, d) and a bias (C,) under any name that ends so; float64 stays.

    Parameters
    ----------
    path, key
        As of `read_classifier`.
    name
        Of the head, for messages.

    Raises
    ------
    CheckpointError
        If the file holds something else, a whole classifier, or several heads.
    """
    path = Path(path)
    content = load_tensors(path)[0]
    largest = max((table for _, table in tables(content, path.name)), key=len)
    if len(largest) > 2:
        raise CheckpointError(
            f"{path.name} holds {len(largest)} tensors; a head has a weight and a bias. Name a downstream checkpoint "
            "as `classifier`"
        )
    found = places(content, path.name, ("weight",))
    check_known(key, name_places(found), path.name)
    layer = choose(found, key, path.name, "heads", name)
    if layer is None:
        raise CheckpointError(f"{path.name} holds no weight; found {', '.join(largest)}")
    return _linear_layer(layer, path.name)


@reads(CheckpointError, "a weights file")
def read_backbone(path: Path | str, key: str | None = None, *, mapped: bool = False) -> EncoderWeights:
    """Read the image encoder of a Mammo-CLIP pre-training checkpoint (`.tar`, key `model`); see `read_classifier`.

    Raises
    ------
    CheckpointError
        If the file holds no image encoder, or several and `key` does not tell which.
    """
    path = Path(path)
    content = load_tensors(path, mapped=mapped)[0]
    found = places(content, path.name, _STEMS)
    check_known(key, name_places(found), path.name)
    return _encoder(found, content, key, path.name, "backbone")


@reads(CheckpointError, "a weights file")
def read_sae_weights(path: Path | str, key: str | None = None) -> SaeWeights:
    """Read the tensors of an SAE file and its metadata; see `read_classifier`.

    Raises
    ------
    CheckpointError
        If the file holds no tensors, or several autoencoders and `key` does not tell which.
    """
    path = Path(path)
    content, metadata = load_tensors(path)
    found = places(content, path.name, _DECODERS)
    if found:  # other names are those of other tools, where `key` may lead elsewhere
        check_known(key, name_places(found), path.name)
    place = choose(found, key, path.name, "autoencoders", "sae")
    tensors = tables(content, path.name)[0][1] if place is None else place.tensors
    return SaeWeights(tensors, metadata, _told_apart(place, found))


def _encoder(found: list[Place], content: Any, key: str | None, name: str, kind: str) -> EncoderWeights:
    place = choose(found, key, name, "image encoders", kind)
    if place is None:
        some = ", ".join(list(tables(content, name)[0][1])[:3])
        raise CheckpointError(f"{name} holds no EfficientNet image encoder; found keys such as {some}")
    own = {key: value for key, value in place.tensors.items() if "classification_head" not in key}
    return EncoderWeights(own, _STEMS[0] in own, _told_apart(place, found))


def _layers(content: Any, name: str) -> list[Place]:
    """Every classification layer: a weight, and a bias if there is one."""
    return [
        Place(
            (*keys, *key.split(".")[:-1]),
            {
                part: table[own]
                for part in ("weight", "bias")
                if (own := f"{key.removesuffix('weight')}{part}") in table
            },
        )
        for keys, table in tables(content, name)
        for key in table
        if "classification_head." in key and key.endswith(".weight")
    ]


def _linear_layer(place: Place, name: str) -> tuple[Tensor, Tensor]:
    weight, bias = (
        None if (value := place.tensors.get(part)) is None else value if value.dtype == torch.double else value.float()
        for part in ("weight", "bias")
    )
    assert weight is not None
    if weight.ndim != 2:
        raise CheckpointError(f"{name}: the classification layer has shape {tuple(weight.shape)}, expected (C, d)")
    return weight, torch.zeros(weight.shape[0], dtype=weight.dtype) if bias is None else bias


def _told_apart(place: Place | None, found: list[Place]) -> str:
    return place.name if place is not None and len(found) > 1 else ""


def _starts_as_saved(path: Path, start: int) -> bool:
    """Whether a file begins as torch.save begins it: a zip archive, or in its old format a pickle."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(2).startswith((ZIP_START, PICKLE_START))

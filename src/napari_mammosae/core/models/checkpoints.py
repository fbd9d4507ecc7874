"""Reading weights files safely: released pickles through an allow-list, our own files as safetensors.

A pickle can name any function to be called while it is read. `pickled` reads it as data: what it names is looked up in
a list of tensors, containers, and numpy's plain arrays and numbers, because the released files store the
test predictions and scores beside the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import CheckpointError, UnsafeCheckpointError
from ..base.reading import reads, short_reason
from .pickled.files import PICKLE_START, ZIP_START, read_weights_file
from .pickled.machine import NotHarmless, TooMuch

SAFETENSORS = ".safetensors"
_EXPECTED = "expected one written by torch.save (.pt, .pth, .tar), or safetensors"


@dataclass(frozen=True, slots=True)
class ClassifierWeights:
    """What a downstream checkpoint holds: the image encoder and one linear layer.

    Attributes
    ----------
    encoder
        Image encoder weights by name; `released` says whether the names are the released ones.
    head_weight, head_bias
        (C, d) and (C,), float32.
    metadata
        String values stored beside the weights (only in our own files).
    """

    encoder: dict[str, Tensor]
    released: bool
    head_weight: Tensor
    head_bias: Tensor
    metadata: dict[str, str]


@reads(CheckpointError, "a weights file")
def load_tensors(path: Path | str, start: int = 0) -> tuple[Any, dict[str, str]]:
    """Return what a weights file holds, and its metadata, on the CPU, without running any code from it.

    Parameters
    ----------
    path
        A `.safetensors` file, or a file written by `torch.save` (`.pt`, `.pth`, `.tar`).
    start
        Byte at which `torch.save` began to write.

    Raises
    ------
    UnsafeCheckpointError
        If a pickle names anything outside the allow-list; the message gives the name.
    CheckpointError
        If the file is missing, truncated or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path.name}: no such file in {path.parent.name or 'this folder'}; check the path")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path.name} is empty (0 bytes); copy or download it again")
    return _load_safetensors(path) if path.suffix == SAFETENSORS else (_load_pickle(path, start), {})


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} cannot be read as safetensors ({short_reason(error)}); copy or download it again"
        ) from error


def _load_pickle(path: Path, start: int) -> Any:
    try:
        return read_weights_file(path, start)
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
def read_classifier(path: Path | str) -> ClassifierWeights:
    """Read a downstream classifier: the released `.pth` (key `model`), or one of this project's safetensors files.

    Raises
    ------
    CheckpointError
        If the file holds no image encoder, or no classification layer.
    """
    path = Path(path)
    content, metadata = load_tensors(path)
    weights = _model_part(content, path.name)
    encoder, released = _image_encoder(weights, path.name)
    layer = _linear_layer({key: value for key, value in weights.items() if "classification_head." in key}, path.name)
    if layer is None:
        raise CheckpointError(
            f"{path.name} holds no classification layer (a key ending in classification_head.weight); "
            "a pre-training checkpoint goes to `backbone`, a downstream one to `classifier`"
        )
    return ClassifierWeights(encoder, released, *layer, metadata)


@reads(CheckpointError, "a weights file")
def read_head(path: Path | str) -> tuple[Tensor, Tensor]:
    """Read a head on its own: a weight (C, d) and a bias (C,), float32, under any name that ends so.

    Raises
    ------
    CheckpointError
        If the file holds something else, or a whole classifier.
    """
    path = Path(path)
    weights = _model_part(load_tensors(path)[0], path.name)
    if len(weights) > 2:
        raise CheckpointError(
            f"{path.name} holds {len(weights)} tensors; a head has a weight and a bias. Name a downstream checkpoint "
            "as `classifier`"
        )
    layer = _linear_layer(weights, path.name)
    if layer is None:
        raise CheckpointError(f"{path.name} holds no weight; found {', '.join(weights)}")
    return layer


def _linear_layer(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor] | None:
    weight, bias = (
        next((value.float() for key, value in tensors.items() if key.split(".")[-1] == part), None)
        for part in ("weight", "bias")
    )
    if weight is None:
        return None
    if weight.ndim != 2:
        raise CheckpointError(f"{name}: the classification layer has shape {tuple(weight.shape)}, expected (C, d)")
    return weight, torch.zeros(weight.shape[0]) if bias is None else bias


@reads(CheckpointError, "a weights file")
def read_backbone(path: Path | str) -> tuple[dict[str, Tensor], bool]:
    """Read the image encoder of a Mammo-CLIP pre-training checkpoint (`.tar`, key `model`).

    Returns
    -------
    weights, released
        Weights by name, and whether the names are the released ones.

    Raises
    ------
    CheckpointError
        If the file holds no image encoder.
    """
    path = Path(path)
    return _image_encoder(_model_part(load_tensors(path)[0], path.name), path.name)


@reads(CheckpointError, "a weights file")
def read_sae_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of an SAE file and its metadata; a `.pt` may hold them directly or under a key."""
    path = Path(path)
    content, metadata = load_tensors(path)
    if isinstance(content, Mapping) and "state_dict" in content:
        content = content["state_dict"]
    return _model_part(content, path.name), metadata


def _model_part(content: Any, name: str) -> dict[str, Tensor]:
    part = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(part, Mapping):
        raise CheckpointError(f"{name} holds a {type(part).__name__}; expected a dictionary of named tensors")
    weights = {str(key): value for key, value in part.items() if isinstance(value, Tensor)}
    if not weights:
        raise CheckpointError(f"{name} holds no tensors; expected weights by name, or such a dictionary under `model`")
    return weights


def _image_encoder(weights: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], bool]:
    for stem, released in (("_conv_stem.weight", True), ("conv_stem.weight", False)):
        for key in weights:
            prefix = key.removesuffix(stem)
            if key.endswith(stem) and (not prefix or prefix.endswith(".")):
                own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
                own = {k: v for k, v in own.items() if "classification_head" not in k}
                return own, released
    some = ", ".join(list(weights)[:3])
    raise CheckpointError(f"{name} holds no EfficientNet image encoder; found keys such as {some}")


def _starts_as_saved(path: Path, start: int) -> bool:
    """Whether a file begins as torch.save begins it: a zip archive, or in its old format a pickle."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(2).startswith((ZIP_START, PICKLE_START))

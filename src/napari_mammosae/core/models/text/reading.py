"""The text side of a pre-training checkpoint: of its tensors only those that a prompt needs, left in the file.

The published files hold an optimiser twice as large as the weights, and a vocabulary not at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import CheckpointError, ModelError
from ...base.reading import reading
from ..weights.file_kinds import SAFETENSORS, check_weights_file
from .bert import Bert
from .tower import TextTower, Vectors
from .wordpiece import WordPieces, read_vocabulary

IMAGE_PROJECTION = "image_projection.projection"
TEXT_PROJECTION = "text_projection.projection"
_WORDS = "embeddings.word_embeddings.weight"
_CLINICAL_BERT = "emilyalsentzer/Bio_ClinicalBERT"


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Where the text side of a model is.

    Attributes
    ----------
    text
        A pre-training checkpoint, or safetensors with the same names.
    vocabulary
        Its `vocab.txt`; None to look for it in the local Hugging Face cache.
    key
        Which of several to take; see `load_model`.
    """

    text: Path
    vocabulary: Path | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TextSide:
    """What a checkpoint knows of texts: the tower, and how images come into its space.

    Attributes
    ----------
    tower
        Sentences to unit vectors.
    weight, bias, scale
        The image projection (p, d) and (p,), and what the training multiplied cosines by.
    trained_for
        SHA-256 of the only backbone it was trained for; "" where the file holds the backbone itself.
    """

    tower: TextTower
    weight: Vectors
    bias: Vectors
    scale: float
    trained_for: str = ""


def read_text_side(files: TextFiles, encoder: type[Bert] = Bert) -> TextSide:
    """Read tower, projections and vocabulary; `encoder` is what computes.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If a file is not what it should be, or the vocabulary is not found.
    """
    with reading(files.text, CheckpointError, "a text tower"):
        return _read(files, encoder)


def _read(files: TextFiles, encoder: type[Bert]) -> TextSide:
    path = files.text
    tensors, config = _tensors(path, files.key)
    missing = [name for name in (IMAGE_PROJECTION, TEXT_PROJECTION) if f"{name}.weight" not in tensors]
    words = [key for key in tensors if key.endswith(_WORDS)]
    if missing or len(words) != 1:
        raise CheckpointError(
            f"{path.name} holds no text tower with linear projections ({', '.join(missing) or _WORDS}); expected a "
            "Mammo-CLIP pre-training checkpoint"
        )
    prefix = words[0].removesuffix(_WORDS)
    said = _table(config, "model", "text_encoder")
    bert = encoder.of(
        {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)},
        path.name,
        said.get("num_attention_heads"),
    )
    projections = {
        name: (tensors[f"{name}.weight"].astype(np.float64), _bias(tensors, name))
        for name in (IMAGE_PROJECTION, TEXT_PROJECTION)
    }
    for name, (weight, bias) in projections.items():
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise CheckpointError(f"{path.name}: {name} has shape {weight.shape}; expected (dimensions, features)")
    (weight, bias), (own, own_bias) = projections[IMAGE_PROJECTION], projections[TEXT_PROJECTION]
    width = bert.weights[_WORDS].shape[1]
    if own.shape != (len(weight), width):
        raise CheckpointError(
            f"{path.name}: {TEXT_PROJECTION} has shape {own.shape}; expected {(len(weight), width)} for its text tower"
        )
    tower = TextTower(
        _vocabulary(path, files.vocabulary, str(said.get("name") or _CLINICAL_BERT)),
        bert,
        own,
        own_bias,
        said.get("pooling") or "eos",
        int(_table(config, "base").get("text_max_length") or 256),
        path.name,
    )
    scale = float(np.exp(tensors["logit_scale"].astype(np.float64).reshape(-1)[0])) if "logit_scale" in tensors else 1.0
    return TextSide(tower, weight, bias, scale, str(config.get("trained_for") or ""))


def _tensors(path: Path, key: str | None) -> tuple[dict[str, NDArray[Any]], Mapping[str, Any]]:
    """Return the tensors of the text side by name, in float32, and the settings stored with them."""
    check_weights_file(path)
    if path.suffix == SAFETENSORS:
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            config = json.loads((file.metadata() or {}).get("config", "{}"))
            return _finite({name: file.get_tensor(name) for name in file.keys() if _is_needed(name)}, path), config  # noqa: SIM118
    from ..weights.checkpoints import load_tensors
    from ..weights.state_dicts import choose, places

    content = load_tensors(path, mapped=True)[0]
    place = choose(places(content, path.name, (f"{IMAGE_PROJECTION}.weight",)), key, path.name, "text towers", "text")
    if place is None:
        raise CheckpointError(
            f"{path.name} holds no text tower (a key ending in {IMAGE_PROJECTION}.weight); expected a Mammo-CLIP "
            "pre-training checkpoint"
        )
    tensors = {name: value.float().numpy() for name, value in place.tensors.items() if _is_needed(name)}
    config = content.get("config")
    return _finite(tensors, path), config if isinstance(config, Mapping) else {}


def _is_needed(name: str) -> bool:
    return name.startswith(("text_encoder.", f"{IMAGE_PROJECTION}.", f"{TEXT_PROJECTION}.")) or name == "logit_scale"


def _finite(tensors: dict[str, NDArray[Any]], path: Path) -> dict[str, NDArray[Any]]:
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise CheckpointError(f"{path.name}: {name} holds values that are not finite; the file is damaged")
    return tensors


def _bias(tensors: Mapping[str, NDArray[Any]], name: str) -> Vectors:
    own = tensors.get(f"{name}.bias")
    return np.zeros(len(tensors[f"{name}.weight"])) if own is None else own.astype(np.float64)


def _table(config: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return a table within settings; empty where it is not there."""
    found: Any = config
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _vocabulary(path: Path, given: Path | None, name: str) -> WordPieces:
    if given is not None:
        return read_vocabulary(given)
    from ..published.address import Address
    from ..published.hub import find_cached

    try:
        cached = find_cached(Address.parse(f"hf://{name}/vocab.txt"))
    except (ModelError, ValueError):
        cached = None
    if cached is None:
        raise CheckpointError(
            f"{path.name} comes without its vocabulary: give the vocab.txt of {name} as `vocabulary` (--vocab), or put "
            "it into the local Hugging Face cache"
        )
    return read_vocabulary(cached)

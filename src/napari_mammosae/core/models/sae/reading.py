"""Reading an SAE from a file or folder of any known tool, recognised by its content."""

import hashlib
import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from torch import Tensor

from ...base.errors import CheckpointError
from ...base.reading import reads
from ...base.structured import parse_json
from ..weights.checkpoints import load_tensors, read_sae_weights
from ..weights.state_dicts import Place, check_known, choose, name_places, tables
from .autoencoder import SparseAutoencoder
from .content import SaeContent
from .formats import dictionary_learning, msae, openai, overcomplete, prisma, saelens, saev, sparsify
from .options import SaeOptions

FORMATS: tuple[Any, ...] = (saev, openai, msae, sparsify, overcomplete, saelens, dictionary_learning, prisma)
"""Of what a file is asked in this order whether it is theirs; the last ones share names with others."""
_NAMES = ("sae_weights.safetensors", "sae.safetensors", "ae.pt", "sae.pt")
_SUFFIXES = (".safetensors", ".pt", ".pth")
_LONGEST_HEADER = 1_000_000
_DECODERS = {"decoder_weight", "decoder._weight"}
"""Names by which a released file, and one of this package, is known."""


def weights_file(path: Path) -> Path:
    """Return the weights file that an SAE's path stands for: the file, or the one in the folder.

    Raises
    ------
    CheckpointError
        If a folder holds none, or several and none has a name that a tool gives it.
    """
    if not path.is_dir():
        return path
    known = [path / name for name in _NAMES if (path / name).is_file()]
    found = known[:1] or sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found[:4])
        raise CheckpointError(f"the folder {path.name} holds {len(found)} weights files ({names}); name one of them")
    inner = sorted(one.name for one in path.iterdir() if one.is_dir())[:4]
    raise CheckpointError(
        f"the folder {path.name} holds no weights of an SAE; expected one of {', '.join(_NAMES)}"
        + (f", or name one of the folders in it, such as {', '.join(inner)}" if inner else "")
    )


@reads(CheckpointError, "the weights of an SAE")
def read_sae(path: Path | str, options: SaeOptions | None = None, key: str | None = None) -> SparseAutoencoder:
    """Read an SAE: a released file, one of this package, or one of another tool.

    Parameters
    ----------
    path
        Its file or folder.
    options
        What the file does not say.
    key
        Which to take of several: keys that lead to its weights, such as `ema`.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If the file is not what it should be, needs an option, or is of a kind that is not supported.
    """
    options = options or SaeOptions()
    path = weights_file(Path(path))
    header, start = _header(path)
    if header is None:
        weights = read_sae_weights(path, key)
        if _DECODERS.intersection(weights.tensors):
            if options.given().items() - {("kind", "relu")}:
                raise CheckpointError(f"{path.name} says all there is to know of it; give no options for it")
            released = SparseAutoencoder.from_weights(weights.tensors, path.name, weights.metadata)
            released.place = weights.place
            return released
    content, place = _content(path, header, start, options, key)
    format = next((one for one in FORMATS if one.recognises(content)), None)
    if format is None:
        raise CheckpointError(
            f"{path.name} is not a sparse autoencoder of a known kind; found "
            f"{', '.join(list(content.tensors)[:2])}, expected the released file, one of train-sae, or of another tool "
            "that the documentation names"
        )
    sae: SparseAutoencoder = format.read(content)
    sae.place = place
    settings = [options.given(), dict(vars(content).get("config", {}))]
    if any(settings):
        sae.settings_sha256 = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return sae


def _content(
    path: Path, header: dict[str, Any] | None, start: int, options: SaeOptions, key: str | None
) -> tuple[SaeContent, str]:
    """Return what a file holds, or its part under `key`, and what tells that part from others."""
    content, _ = load_tensors(path, start)
    values: Mapping[Any, Any] = content if isinstance(content, Mapping) else {}
    told = ""
    if key is not None:
        content, told = _part(content, key, path.name)
    else:
        for usual in ("state_dict", "model"):
            content = values[usual] if isinstance(values.get(usual), Mapping) else content
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}; expected a dictionary of named tensors")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(
            f"{path.name} holds no tensors; expected weights by name, or such a dictionary under `model`"
        )
    others = {str(key): value for part in (content, values) for key, value in part.items() if str(key) not in tensors}
    return SaeContent(path, tensors, others, options, header), told


def _part(content: Any, key: str, file: str) -> tuple[Any, str]:
    found = name_places([Place(keys, tensors) for keys, tensors in tables(content, file)])
    check_known(key, found, file)
    place = choose(found, key, file, "sets of weights", "sae")
    assert place is not None
    return reduce(lambda part, name: part[name], place.path, content), place.name if len(found) > 1 else ""


def _header(path: Path) -> tuple[dict[str, Any] | None, int]:
    """Return the JSON of a file's first line, and where the rest begins; None and 0 where there is no such line."""
    if path.suffix == ".safetensors" or not path.is_file():
        return None, 0
    with path.open("rb") as file:
        if file.read(1) != b"{":
            return None, 0
        line = b"{" + file.readline(_LONGEST_HEADER)
        start = file.tell()
    if not line.endswith(b"\n"):
        raise CheckpointError(f"{path.name} is cut short in its first line; copy it again")
    header = parse_json(line, path.name, CheckpointError)
    return (header if isinstance(header, dict) else {}), start

"""Files of heads that were trained here: a weight and a bias, and the model whose channels they read."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...base.errors import CheckpointError
from ...base.reading import reads
from ..heads import Head
from ..weights.file_kinds import check_weights_file

_READS = "model_sha256"


def write_head(path: Path, head: Head, model_sha256: str) -> None:
    """Write a head as safetensors, in double precision; `read_trained_head` reads it.

    Parameters
    ----------
    path
        The file.
    head
        The head.
    model_sha256
        Hash of the model whose pooled channels it reads.
    """
    from safetensors.numpy import save_file

    said = {"name": head.name, "classes": json.dumps(head.classes), "task": head.task, _READS: model_sha256}
    tensors = {"weight": np.ascontiguousarray(head.weight), "bias": np.ascontiguousarray(head.bias)}
    save_file(tensors, path, metadata={key: value for key, value in said.items() if value})


@reads(CheckpointError, "a trained head")
def read_trained_head(path: Path, model_sha256: str) -> Head:
    """Read what `write_head` wrote, without torch.

    Parameters
    ----------
    path
        The file.
    model_sha256
        Hash of the model that the head is for.

    Raises
    ------
    CheckpointError
        It is damaged, or was trained on the channels of another model.
    """
    from safetensors import safe_open

    check_weights_file(path)
    with safe_open(path, "numpy") as file:
        said, weight, bias = file.metadata() or {}, file.get_tensor("weight"), file.get_tensor("bias")
    _check_model(path, said, model_sha256)
    classes = tuple(map(str, json.loads(said["classes"])))
    return Head(said["name"], classes, said["task"], weight, bias, path.name, file=path)


def check_head_file(path: Path, model_sha256: str) -> None:
    """Raise CheckpointError where a head says that it was trained on the channels of another model."""
    from ..weights.checkpoints import load_tensors

    _check_model(path, load_tensors(path)[1], model_sha256)


def _check_model(path: Path, said: Mapping[str, str], model_sha256: str) -> None:
    trained_on = said.get(_READS, model_sha256)
    if model_sha256 and trained_on != model_sha256:
        raise CheckpointError(
            f"{path.name} was trained on the channels of another model ({trained_on[:12]}…) than this one "
            f"({model_sha256[:12]}…); train it on a run of this model"
        )

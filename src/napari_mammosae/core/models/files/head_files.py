"""Files of heads that were trained here: a weight and a bias, and the model whose channels they read."""

import json
from pathlib import Path

import numpy as np

from ...base.errors import CheckpointError
from ..heads import Head
from ..weights.checkpoints import load_tensors

_READS = "model_sha256"


def write_head(path: Path, head: Head, model_sha256: str) -> None:
    """Write a head as safetensors, in double precision; `read_head` reads it.

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


def check_head_file(path: Path, model_sha256: str) -> None:
    """Raise CheckpointError where a head says that it was trained on the channels of another model."""
    trained_on = load_tensors(path)[1].get(_READS, model_sha256)
    if model_sha256 and trained_on != model_sha256:
        raise CheckpointError(
            f"{path.name} was trained on the channels of another model ({trained_on[:12]}…) than this one "
            f"({model_sha256[:12]}…); train it on a run of this model"
        )

"""A network's weights in a file that someone's trainer wrote: found under any keys, and checked one by one."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...base.errors import CheckpointError
from ..weights.state_dicts import Place, choose, name_places, places, tables

_COUNTER = ".num_batches_tracked"
"""Batch norms of early versions of PyTorch lack it, and nothing but training reads it."""


def find_weights(content: Any, file: str, names: Collection[str], what: str) -> list[Place]:
    """Return every place in a file that may hold a network's weights, told apart by their names.

    Parameters
    ----------
    content
        What the file holds.
    file, what
        Its name, and the network's, for messages.
    names
        Of the weights.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    telling = max(names, key=lambda name: (name.count("."), len(name)))  # the end of no other name
    found = name_places(places(content, file, (telling,)))
    if not found:
        largest = max((table for _, table in tables(content, file)), key=len)
        shown = ", ".join(list(largest)[:3])
        raise CheckpointError(f"{file} holds no {what} (no {telling}); found keys such as {shown}")
    return found


def choose_weights(found: list[Place], key: str | None, file: str, kind: str) -> Place:
    """Return the place that a key names, or the only one; CheckpointError where there are several."""
    place = choose(found, key, file, "networks", kind)
    assert place is not None
    return place


def check_weights(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str, what: str) -> None:
    """Raise CheckpointError unless weights have the names and shapes that a network expects, and finite values."""
    missing = sorted(key for key in set(expected) - set(weights) if not key.endswith(_COUNTER))
    unknown = sorted(set(weights) - set(expected))
    if missing or unknown:
        raise CheckpointError(
            f"{source} does not fit {what}: {len(missing)} weights missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    for key, tensor in weights.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointError(
                f"{source}: {key} has shape {tuple(tensor.shape)}, {what} expects {tuple(expected[key].shape)}"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{source}: {key} holds values that are not finite; the file is damaged")


def fill(network: nn.Module, weights: Mapping[str, Tensor], source: str, what: str) -> None:
    """Give a network its weights, as float32; see `check_weights`."""
    check_weights(network.state_dict(), weights, source, what)
    floats = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    network.load_state_dict(floats, strict=False)

"""Feature vectors, batch by batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.errors import SettingsError

Features = NDArray[np.floating[Any]]


def check_features(features: Features) -> None:
    """Raise SettingsError unless features are (cells, d) with at least one cell."""
    if features.ndim != 2 or not features.size:
        raise SettingsError(
            f"features of shape {features.shape} were given; expected (cells, d) with at least one cell"
        )


def batches(
    features: Features, order: NDArray[np.int64], batch: int, device: str, scale: float = 1.0
) -> Iterator[Tensor]:
    """Yield features times `scale`, float32, so many cells at a time in a given order.

    Raises
    ------
    SettingsError
        A value is not finite.
    """
    for start in range(0, len(order), batch):
        rows = np.sort(order[start : start + batch])  # sorted: kinder to a memory-mapped file, same batch
        x = torch.from_numpy(np.asarray(features[rows], dtype=np.float32))
        if not torch.isfinite(x).all():
            raise SettingsError("the features hold values that are not finite; recompute them in float32")
        yield x.to(device) * scale if scale != 1 else x.to(device)


def sample(features: Features, count: int) -> NDArray[np.int64]:
    """Rows of so many cells drawn at random, of all where there are fewer; always the same ones."""
    if len(features) <= count:
        return np.arange(len(features))
    return np.sort(np.random.default_rng(0).choice(len(features), count, replace=False))

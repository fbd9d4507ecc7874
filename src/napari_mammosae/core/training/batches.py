"""Feature vectors, batch by batch: kept on the device where they fit, else read in pieces, a batch ahead."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from mmap import mmap
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.errors import SettingsError

Features = NDArray[np.floating[Any]]

_WHOLE = 2**30
"""Bytes of features that are kept in memory whole, and shuffled as one."""
_WINDOW = 2**29
"""Bytes of those that are shuffled together where there are more; two such windows are in memory."""

_Item = TypeVar("_Item")


def check_features(features: Features) -> None:
    """Raise SettingsError unless features are (cells, d) with at least one cell."""
    if features.ndim != 2 or not features.size:
        raise SettingsError(
            f"features of shape {features.shape} were given; expected (cells, d) with at least one cell"
        )


class Epochs:
    """Features (cells, d) as float32 batches on a device, in a new order every epoch.

    Where there are more than a gigabyte, shards of as many cells as a batch are drawn at random, and the cells of as
    many shards as take half a gigabyte are shuffled together. So each is read in one go, whatever the disk, and memory
    does not grow with the features. The order depends on the features' shape and type and on the generator alone.

    Parameters
    ----------
    features
        (cells, d); a memory-mapped file is read piece by piece, unless all of it fits on the device.
    batch
        Cells a batch; the last one of an epoch may have fewer.
    device
        A torch device.
    scale
        What features are multiplied by.

    Raises
    ------
    SettingsError
        The features are kept on the device, and a value is not finite.
    """

    def __init__(self, features: Features, batch: int, device: str, scale: float = 1.0) -> None:
        self._features, self._batch, self._device, self._scale = features, batch, torch.device(device), scale
        self._cells = len(features)
        row = features.shape[1] * _kept(features).itemsize
        self._whole = self._cells * row <= _WHOLE
        self._shards = max(_WINDOW // (batch * row), 2)
        room = torch.cuda.mem_get_info(self._device)[0] // 2 if self._device.type == "cuda" else _WHOLE
        self._resident: Tensor | None = None
        if self._cells * row <= room:
            starts = range(0, self._cells, batch)
            parts = [slice(start, min(start + batch, self._cells)) for start in starts]
            self._resident = self._load(parts, self._device)
            _check_finite(self._resident)
        self._copying: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._copying = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self._cells // self._batch)

    def shuffled(self, order: np.random.Generator, first: int = 0) -> Iterator[Tensor]:
        """Yield the batches of an epoch, without the `first` ones, which are not read either.

        Raises
        ------
        SettingsError
            A value is not finite.
        """
        for x, copied in _ahead(self._batches(order, first)):
            if copied is not None:
                torch.cuda.current_stream(self._device).wait_event(copied)
                x.record_stream(torch.cuda.current_stream(self._device))
            yield x.float() * self._scale if self._scale != 1 else x.float()

    def _batches(self, order: np.random.Generator, first: int) -> Iterator[tuple[Tensor, Any]]:
        for vectors, rows in _ahead(self._windows(order, first)):
            for own in torch.split(rows, self._batch):
                x = vectors[own]
                if self._resident is not None:
                    yield x, None
                    continue
                _check_finite(x)
                if self._copying is None:
                    yield x.to(self._device), None
                    continue
                with torch.cuda.stream(self._copying):
                    copied = x.pin_memory().to(self._device, non_blocking=True), self._copying.record_event()
                yield copied

    def _windows(self, order: np.random.Generator, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is in memory at a time, and rows of it in the order of the batches."""
        done = 0
        for spans in self._spans(order):
            rows = torch.from_numpy(order.permutation(sum(span.stop - span.start for span in spans)))
            done += len(rows)
            rows = rows[max(first * self._batch - (done - len(rows)), 0) :]
            if not len(rows):
                continue
            if self._resident is None:
                yield self._load(spans, torch.device("cpu")), rows
                continue
            if not self._whole:
                rows = torch.cat([torch.arange(span.start, span.stop) for span in spans])[rows]
            yield self._resident, rows.to(self._device)

    def _load(self, spans: list[slice], device: torch.device) -> Tensor:
        """Read the cells of spans that follow each other."""
        size = (sum(span.stop - span.start for span in spans), self._features.shape[1])
        kept = torch.float16 if _kept(self._features) == np.float16 else torch.float32
        found = torch.empty(size, dtype=kept, device=device)
        at = 0
        for span in spans:
            found[at : at + span.stop - span.start] = read(self._features, span)
            at += span.stop - span.start
        return found

    def _spans(self, order: np.random.Generator) -> Iterator[list[slice]]:
        """Yield the cells that are shuffled together."""
        if self._whole:
            yield [slice(0, self._cells)]
            return
        shards = order.permutation(self._cells // self._batch)
        for start in range(0, max(len(shards), 1), self._shards):
            chosen = np.sort(shards[start : start + self._shards]) * self._batch
            spans = [slice(int(row), int(row) + self._batch) for row in chosen]
            if start + self._shards >= len(shards) and self._cells % self._batch:
                spans.append(slice(self._cells - self._cells % self._batch, self._cells))  # so that it comes last
            yield spans


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
        x = read(features, order[start : start + batch]).float()
        _check_finite(x)
        yield x.to(device) * scale if scale != 1 else x.to(device)


def read(features: Features, rows: slice | NDArray[np.int64]) -> Tensor:
    """Copy rows. A mapped file is mapped for this alone: else its pages would stay in this process's memory."""
    if isinstance(features, np.memmap) and isinstance(features.base, mmap):
        features = np.memmap(features.filename, features.dtype, "r", features.offset, features.shape)
    return torch.from_numpy(np.array(features[rows], _kept(features)))


def sample(features: Features, count: int) -> NDArray[np.int64]:
    """Rows of so many cells drawn at random, of all where there are fewer; always the same ones."""
    if len(features) <= count:
        return np.arange(len(features))
    return np.sort(np.random.default_rng(0).choice(len(features), count, replace=False))


def _kept(features: Features) -> np.dtype[Any]:
    return np.dtype(np.float16 if features.dtype == np.float16 else np.float32)


def _check_finite(x: Tensor) -> None:
    if not all(torch.isfinite(part).all() for part in torch.split(x, 2**16)):
        raise SettingsError("the features hold values that are not finite; recompute them in float32")


def _ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield items, the next one being made in a thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item

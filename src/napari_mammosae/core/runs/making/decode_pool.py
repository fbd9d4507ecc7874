"""Decoding ahead of the computation, in other processes, with a bounded number of images under way."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ...base.errors import RunError
from ...models.choices import Precision
from ..sources import Entry
from .decode import Decoded, Decoder, Failed
from .process import Processes

if TYPE_CHECKING:
    from ...models.model import MammoSAE

_CORES_A_GPU: dict[Precision, int] = {"float32": 4, "tf32": 6, "float16": 10, "bfloat16": 10}
"""Cores that decode 1520 x 912 PNGs as fast as a GPU of the H100 class computes EfficientNet-B5."""
_COMPILED = 14
"""The same where the network is compiled to half precision."""

Pending = deque[tuple[Entry, "Future[Decoded | Failed]"]]


class DecodePool:
    """Processes that decode images in order; with ``workers=0`` one thread of this process.

    Processes begin to start at once, so that they are ready when the model is loaded.

    Parameters
    ----------
    workers
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pending: Pending = deque()
        self._processes = Processes(workers, "decode")
        self._ready: Future[None] = self._processes.submit(_nothing)

    @property
    def parallel(self) -> int:
        """Images decoded at the same time."""
        return max(self._workers, 1)

    def decode(self, entries: Iterable[Entry], decoder: Decoder, ahead: int) -> Iterator[Decoded | Failed]:
        """Yield the images in order, up to `ahead` of them decoded before they are asked for.

        A file that brings its worker down (native decoders do crash) is a failure like any other: the worker
        is replaced, and the images it shared the process with are decoded again one by one.

        Raises
        ------
        RunError
            The processes cannot start at all.
        """
        self._check()
        for entry in entries:
            self._pending.append((entry, self._submit(decoder, entry)))
            while len(self._pending) >= max(ahead, 1):
                yield self._take(decoder)
        while self._pending:
            yield self._take(decoder)

    def close(self) -> None:
        """Stop the workers; what they have not begun is dropped."""
        for _, future in self._pending:
            future.cancel()
        self._processes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, decoder: Decoder) -> Decoded | Failed:
        try:
            result = self._pending[0][1].result()
        except BrokenProcessPool:
            self._replace(decoder)
            result = self._pending[0][1].result()
        self._pending.popleft()
        return result

    def _replace(self, decoder: Decoder) -> None:
        """Decode again, each alone, what was under way when a worker died."""
        self._processes.restart()
        for index, (entry, future) in enumerate(self._pending):
            if future.done() and future.exception() is None:
                continue
            alone = self._submit(decoder, entry)
            if isinstance(alone.exception(), BrokenProcessPool):
                alone = Future()
                alone.set_result(Failed(entry, f"{entry.path.name}: the decoder crashed on this file"))
                self._processes.restart()
            self._pending[index] = (entry, alone)

    def _submit(self, decoder: Decoder, entry: Entry) -> Future[Decoded | Failed]:
        try:
            return self._processes.submit(decoder, entry)
        except BrokenProcessPool as error:  # known to be broken before this image: to be decoded again like the others
            future: Future[Decoded | Failed] = Future()
            future.set_exception(error)
            return future

    def _check(self) -> None:
        try:
            self._ready.result()
        except BrokenProcessPool as error:
            raise RunError(
                "The processes that decode images did not start. Decode in the main process instead: `--workers 0`, "
                "or workers=0 in Python."
            ) from error


def _nothing() -> None:
    return


def processes_for(model: "MammoSAE") -> tuple[int, str]:
    """Return how many processes should decode for a model, and a sentence that says why."""
    if model.device == "cpu":
        return 1, "Decoding in 1 process: on a CPU the network takes longer than that."
    half = model.precision in ("float16", "bfloat16")
    wanted = _COMPILED if half and model.engine == "compiled" else _CORES_A_GPU[model.precision]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = max(min(wanted, cores - 1), 1)
    limit = f", and of {cores} cores one is left to it" if count < wanted else ""
    return count, (
        f"Decoding in {count} process{'es' if count > 1 else ''}: a GPU in {model.precision} takes as many images as "
        f"{wanted} decode{limit}."
    )

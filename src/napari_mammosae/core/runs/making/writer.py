"""Writing part files while later images are computed."""

from collections import deque
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..files.layout import Layout
from .part_files import Block
from .process import Processes

if TYPE_CHECKING:
    from concurrent.futures import Future


class PartWriter:
    """Writes blocks while the next ones are computed.

    Parameters
    ----------
    layout
        Of the run.
    processes
        How many processes write, a block each: they leave the interpreter to the main process, which is worth the
        copies where a block comes several times a second, as on a GPU. 0: a thread writes.
    """

    def __init__(self, layout: Layout, processes: int) -> None:
        self._layout, self._most = layout, max(2 * processes, 1)
        self._processes = Processes(processes, "write")
        for _ in range(processes):  # so that they are ready when there is something to write
            self._processes.submit(_nothing)
        self._under_way: deque[tuple[Block, Future[int] | None]] = deque()

    def write(self, block: Block) -> None:
        """Have a block written, once as many are under way as may be; results stay until a block is written.

        Raises
        ------
        RunError
            An earlier block could not be written.
        """
        while len(self._under_way) >= self._most:
            self._wait()
        try:
            self._under_way.append((block, self._processes.submit(block.write, self._layout)))
        except BrokenProcessPool:
            self._under_way.append((block, None))
            self._write_here()

    def _wait(self) -> None:
        """Wait for the oldest block."""
        written = self._under_way[0][1]
        try:
            if written is not None:
                written.result()
        except BrokenProcessPool:
            self._write_here()
            return
        self._under_way.popleft()

    def _write_here(self) -> None:
        """Write what was lost with a process in this one; files appear whole or not at all."""
        self._processes.restart()
        while self._under_way:
            block, written = self._under_way[0]
            if written is None or isinstance(written.exception(), BrokenProcessPool):
                block.write(self._layout)
            else:
                written.result()
            self._under_way.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                while self._under_way:
                    self._wait()
        finally:
            self._processes.close()


def _nothing() -> None:
    return
